"""A judge is asked like any model: by every format, and by simulated providers alone (R5, R6)."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from paceline_server.completion.answer import Completion, Confidence, ConfidenceSource, Target
from paceline_server.completion.content import Message, Part, Role, Text
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import Usage
from paceline_server.providers import anthropic_request, gemini_request, openai_request
from paceline_server.providers.anthropic_settings import AnthropicSettings
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.gemini_settings import GeminiSettings
from paceline_server.providers.openai_settings import OpenAISettings
from paceline_server.providers.profile import NOTHING_KNOWN
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.strategies.racing.judge import judge_prompt
from paceline_server.strategies.racing.judge_answer import read_judgement
from paceline_server.strategies.racing.rule import JudgeTask

HELLO = Prompt((Message(Role.USER, (Part(Text("Say hello.")),)),))


async def complete(provider: SimulatedProvider, model: str, prompt: Prompt) -> Completion:
    """The answer of a simulated model."""
    answer = await provider.complete(ProviderRequest(model, prompt))
    end = answer.ending
    target = Target("sim", model)
    return Completion(
        answer.parts,
        end.finish_reason,
        end.provider_reason,
        target,
        end.served_model,
        end.usage or Usage(),
        end.confidence,
    )


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (JudgeTask.SCORE, '```json\n{"scores": {"A": 9, "B": 2.5, "C": 0}}\n```'),
        (JudgeTask.GROUP, '{"groups": [["A", "C"], ["B"]]}'),
    ],
)
async def test_candidates_and_judge_may_be_simulated(task: JudgeTask, said: str) -> None:
    """R5, R6: an answer that is given as it is makes a judge, a confidence a candidate that reports it."""
    models = {
        **{f"c{index}": SimulatedModel(answer=f"answer {index}", confidence=index / 4) for index in range(3)},
        "judge": SimulatedModel(answer=said),
    }
    provider = SimulatedProvider("sim", models, seed=7)
    answers = {index: await complete(provider, f"c{index}", HELLO) for index in range(3)}
    assert answers[2].confidence == Confidence(0.5, ConfidenceSource.REPORTED)
    question = judge_prompt(task, HELLO, answers, "", Random(3))
    judgement = read_judgement(task, question, await complete(provider, "judge", question.prompt))
    await provider.aclose()

    shown = question.indices
    if task is JudgeTask.SCORE:
        assert judgement.scores == {shown["A"]: 0.9, shown["B"]: 0.25, shown["C"]: 0.0}
    else:
        together = tuple(sorted((shown["A"], shown["C"])))
        assert set(judgement.groups) == {together, (shown["B"],)}


@pytest.mark.parametrize("task", JudgeTask)
async def test_every_format_can_ask_a_judge(task: JudgeTask) -> None:
    """R5, R6: the question fits each format, with its schema, its temperature and its bound."""
    provider = SimulatedProvider("sim", {"m": SimulatedModel()}, seed=7)
    answers = {index: await complete(provider, "m", HELLO) for index in range(2)}
    await provider.aclose()
    request = ProviderRequest("m", judge_prompt(task, HELLO, answers, "", Random(3)).prompt)

    def sent(body: bytes) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(body)
        return decoded

    openai = openai_request.RequestWriter("a", OpenAISettings(), lambda _: NOTHING_KNOWN)
    anthropic = anthropic_request.RequestWriter("b", AnthropicSettings(), lambda _: NOTHING_KNOWN)
    gemini = gemini_request.RequestWriter("c", GeminiSettings(), lambda _: NOTHING_KNOWN)
    of_openai, of_anthropic = (
        sent(openai.body(request, stream=False)),
        sent(anthropic.body(request, stream=False)),
    )
    config = sent(gemini.body(request))["generationConfig"]
    schema = of_openai["response_format"]["json_schema"]["schema"]
    assert of_openai["response_format"]["json_schema"]["strict"] is True
    assert schema == of_anthropic["output_config"]["format"]["schema"] == config["responseJsonSchema"]
    assert (of_openai["temperature"], of_openai["max_completion_tokens"]) == (0, 2048)
    assert (of_anthropic["temperature"], of_anthropic["max_tokens"]) == (0, 2048)
    assert (config["temperature"], config["maxOutputTokens"]) == (0, 2048)
