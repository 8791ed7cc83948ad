"""The bill of an answer that the OpenAI adapter read and the engines refused."""

from __future__ import annotations

import json

import pytest

from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.usage import Usage
from paceline_server.providers.openai_usage import usage_of
from paceline_server.providers.openai_wire import CompletionDetails, WireUsage
from paceline_server.strategies.chain import Chain
from tests.providers.openai_support import connected
from tests.providers.replay import answering
from tests.strategies.scripted import says
from tests.strategies.world import Outcome, World

_FILTERED = {
    "choices": [{"index": 0, "message": {"content": None}, "finish_reason": "content_filter"}],
    "usage": {"prompt_tokens": 1234, "completion_tokens": 7},
}


async def _called(body: bytes, *, stream: bool) -> Outcome:
    # The world is there for the health and the budget; the provider is the adapter on its server.
    world = World({"acme/gpt-test": says("unused")})
    async with connected(answering(body)) as (provider, _):
        model = Chain([world.model("acme/gpt-test", provider)], world.surroundings)
        return await (world.stream(model) if stream else world.complete(model))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_wholly_filtered_answer_costs_what_the_provider_told(*, stream: bool) -> None:
    """K4, A2: filtered before any content it is CONTENT_FILTERED, and booked as told, not as estimated."""
    document = json.dumps(_FILTERED).encode()
    events = b"data: " + document + b"\n\ndata: [DONE]\n\n"

    outcome = await _called(events if stream else document, stream=stream)

    (attempt,) = outcome.attempts
    assert (attempt.outcome, attempt.failure_class) == (
        AttemptOutcome.FAILED,
        FailureClass.CONTENT_FILTERED,
    )
    assert attempt.usage == Usage(1234, 7)


@pytest.mark.parametrize(
    ("total", "reasoning", "output"),
    [(135, 94, 103), (41, 94, 9), (41, None, 9), (None, 94, 9), (136, 94, 9), (135, None, 9)],
)
def test_thoughts_that_are_counted_beside_the_answer_are_output(
    total: int | None, reasoning: int | None, output: int
) -> None:
    """K4: xAI's completion leaves the thoughts out, which only its total shows; others are not guessed at."""
    told = WireUsage(32, 9, total, completion_tokens_details=CompletionDetails(reasoning))
    usage = usage_of(told)
    assert (usage.input_token_count, usage.output_token_count) == (32, output)
    assert usage.reasoning_token_count == (None if reasoning is None else min(reasoning, output))
