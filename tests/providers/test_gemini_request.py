"""What the Gemini adapter sends besides the messages; see also what recorded clients have sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Message, Role, Text
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import (
    GenerationConfig,
    Prompt,
    ReasoningEffort,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.providers.gemini import GeminiFormat
from paceline_server.providers.gemini_models import traits_of
from paceline_server.providers.gemini_request import RequestWriter
from paceline_server.providers.gemini_settings import GeminiSettings
from paceline_server.providers.profile import Profile
from tests.providers.gemini_support import (
    HELLO,
    KEY,
    PROMPT,
    a_request,
    connected,
    message,
    signed,
    sse,
    streamed,
)
from tests.providers.replay import answering

_CONTENTS = [{"role": "user", "parts": [{"text": "Hello"}]}]


def a_writer(name: str, settings: GeminiSettings, *, gives_logprobs: bool = False) -> RequestWriter:
    """A writer for a provider of which no more is known."""
    return RequestWriter(name, settings, lambda _: Profile(gives_logprobs=gives_logprobs))


def _sent(
    prompt: Prompt, model: str = "gemini-2.5-flash", settings: GeminiSettings | None = None
) -> dict[str, Any]:
    writer = a_writer("acme", settings or GeminiSettings())
    sent: dict[str, Any] = json.loads(writer.body(a_request(prompt, model)))
    return sent


def _config(config: GenerationConfig, model: str) -> Any:
    return _sent(Prompt((HELLO,), config=config), model).get("generationConfig")


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("gives", [True, False])
def test_log_probabilities_are_asked_for_where_they_are_given(*, asked: bool, gives: bool) -> None:
    """R5: a race's wish reaches the targets known to fulfil it; others may refuse the whole prompt."""
    request = a_request(Prompt((HELLO,), config=GenerationConfig(logprobs=asked)))
    # The same call may ask one who gives none before.
    assert b"ogprobs" not in a_writer("other", GeminiSettings()).body(request)
    sent = json.loads(a_writer("acme", GeminiSettings(), gives_logprobs=gives).body(request))
    assert sent.get("generationConfig") == ({"responseLogprobs": True} if asked and gives else None)


def test_the_plainest_request_is_the_plainest_body() -> None:
    """A8: what the caller leaves open is left to the provider; caching is the provider's own, unasked."""
    assert _sent(PROMPT) == {"contents": _CONTENTS}
    assert _sent(Prompt((HELLO,), config=GenerationConfig(cache_prompt=True))) == {"contents": _CONTENTS}


def test_every_setting_of_the_generation_is_sent() -> None:
    """A8: nothing that the caller asks for is dropped."""
    config = GenerationConfig(
        max_output_token_count=50,
        temperature=0.0,
        top_p=0.9,
        top_k=5,
        seed=7,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        stop_sequences=("END",),
    )
    sent = _sent(Prompt((HELLO,), config=config), settings=GeminiSettings(asks_logprobs=True))
    assert sent["generationConfig"] == {
        "maxOutputTokens": 50,
        "temperature": 0.0,
        "topP": 0.9,
        "topK": 5,
        "seed": 7,
        "frequencyPenalty": 0.5,
        "presencePenalty": -0.5,
        "stopSequences": ["END"],
        "responseLogprobs": True,
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-2.5-flash", (0, 512, 1024, 8192, 24576)),
        ("gemini-2.5-flash-lite-preview-09-2025", (0, 512, 1024, 8192, 24576)),
        ("models/gemini-2.5-pro", (128, 512, 1024, 8192, 24576)),
        ("gemini-3-pro-preview", ("low", "low", "low", "high", "high")),
        ("gemini-3.1-pro-preview", ("low", "low", "low", "medium", "high")),
        ("gemini-3-flash-preview", ("minimal", "minimal", "low", "medium", "high")),
        ("google/gemini-3.5-flash-lite", ("minimal", "minimal", "low", "medium", "high")),
        ("gemini-3.8-flash", ("low", "low", "low", "medium", "high")),
        ("gemini-4-hydrogen", ("low", "low", "low", "medium", "high")),
        ("gemini-flash-latest", ("low", "low", "low", "medium", "high")),
        ("gemini-2.0-flash", None),
        ("gemini-3-pro-image-preview", None),
        ("gemma-3-27b-it", None),
        ("tuned-1234", None),
    ],
)
def test_effort_is_a_budget_or_a_level_by_the_models_generation(
    model: str, expected: tuple[object, ...] | None
) -> None:
    """The contract of ReasoningEffort: the least that the target allows, or nothing where it has no say."""
    field = "thinkingBudget" if model.removeprefix("models/").startswith("gemini-2") else "thinkingLevel"
    for place, effort in enumerate(ReasoningEffort):
        sent = _config(GenerationConfig(reasoning_effort=effort), model)
        if expected is None:
            assert sent is None
        elif effort is ReasoningEffort.NONE:
            assert sent == {"thinkingConfig": {field: expected[place]}}
        else:
            assert sent == {"thinkingConfig": {field: expected[place], "includeThoughts": True}}
    assert _config(GenerationConfig(), model) is None


@pytest.mark.parametrize(
    ("model", "length", "budget"),
    [
        ("gemini-2.5-flash", 100_000, 24_576),
        ("gemini-2.5-flash", 10_000, 8000),
        ("gemini-2.5-flash", 640, 512),
        ("gemini-2.5-flash", 639, 0),
        ("gemini-2.5-pro", 10_000, 8000),
        ("gemini-2.5-pro", 639, 128),
    ],
)
def test_a_budget_leaves_room_for_an_answer(model: str, length: int, budget: int) -> None:
    """The contract of ReasoningEffort: thoughts count among the answer's tokens, but are not all of it."""
    sent = _config(
        GenerationConfig(max_output_token_count=length, reasoning_effort=ReasoningEffort.HIGH), model
    )
    assert sent is not None
    shown = {"includeThoughts": True} if budget else {}
    assert sent["thinkingConfig"] == {"thinkingBudget": budget, **shown}


def test_tools_and_the_choice_among_them() -> None:
    """A8: schemas go out as they came in, to the letter, in the field that takes JSON Schema."""
    tools = (Tool("add", "Adds", '{"type":"object","z":1,"a":2}'), Tool("now"))
    prompt = Prompt((HELLO,), tools, ToolChoice(ToolChoiceMode.NAMED, "add"))
    body = a_writer("acme", GeminiSettings()).body(a_request(prompt))
    assert b'"parametersJsonSchema":{"type":"object","z":1,"a":2}' in body
    sent = json.loads(body)
    assert sent["tools"][0]["functionDeclarations"][1] == {"name": "now"}
    assert sent["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["add"]},
    }
    for mode, word in ((ToolChoiceMode.AUTO, "AUTO"), (ToolChoiceMode.NONE, "NONE")):
        sent = _sent(Prompt((HELLO,), tools, ToolChoice(mode)))
        assert sent["toolConfig"] == {"functionCallingConfig": {"mode": word}}
    sent = _sent(Prompt((HELLO,), tools, ToolChoice(ToolChoiceMode.REQUIRED)))
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


def test_response_formats() -> None:
    """A8: the form of the answer is asked for in the format's own words."""
    schema = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "point", '{"type":"object"}', strict=True)
    for wanted, expected in (
        (ResponseFormat(ResponseFormatKind.TEXT), None),
        (ResponseFormat(ResponseFormatKind.JSON_OBJECT), {"responseMimeType": "application/json"}),
        (schema, {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}),
    ):
        assert _sent(Prompt((HELLO,), response_format=wanted)).get("generationConfig") == expected


def test_options_are_laid_over_this_providers_body_only() -> None:
    """A8: options stand beside the caller's settings and tools, in either form of their names."""
    options = {
        "acme": json.dumps(
            {
                "generation_config": {"temperature": 0.5, "mediaResolution": "LOW"},
                "tools": [{"googleSearch": {}}],
                "tool_config": {"retrievalConfig": {}},
                "safetySettings": [],
                "cachedContent": "cachedContents/1",
            }
        ),
        "other": '{"labels":{}}',
    }
    prompt = Prompt(
        (HELLO,),
        (Tool("now"),),
        ToolChoice(ToolChoiceMode.AUTO),
        config=GenerationConfig(temperature=1.0, seed=7),
        provider_options_json=options,
    )
    assert _sent(prompt) == {
        "contents": _CONTENTS,
        "tools": [{"functionDeclarations": [{"name": "now"}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}, "retrievalConfig": {}},
        "generationConfig": {"temperature": 0.5, "seed": 7, "mediaResolution": "LOW"},
        "safetySettings": [],
        "cachedContent": "cachedContents/1",
    }


@pytest.mark.parametrize(
    "options",
    [
        '{"contents":[]}',
        '{"systemInstruction":{}}',
        '{"system_instruction":{}}',
        '{"model":"models/other"}',
        '{"generationConfig":{"candidateCount":2}}',
        '{"generation_config":{"candidate_count":2}}',
        '{"generationConfig":[]}',
        '{"toolConfig":"AUTO"}',
        '{"tools":{}}',
        '{"stream":true}',
        "nonsense",
    ],
)
def test_options_that_would_replace_the_prompt_are_refused(options: str) -> None:
    """A3: what would break or redirect the request is refused before it is sent."""
    with pytest.raises(AttemptFailure) as caught:
        _sent(Prompt((HELLO,), provider_options_json={"acme": options}))
    assert caught.value.failure_class is FailureClass.INVALID_REQUEST
    assert not caught.value.reached_provider


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((HELLO,), (Tool("add", "", "[1]"),)),
        Prompt((HELLO,), (Tool("add", "", '{"a":1},"model":"other"'),)),
        Prompt(
            (HELLO,), response_format=ResponseFormat(ResponseFormatKind.JSON_SCHEMA, schema_json='{"a":1}}')
        ),
    ],
)
def test_text_that_is_no_json_object_is_the_requests_fault(prompt: Prompt) -> None:
    """A3: a schema cannot add members to the body around it."""
    with pytest.raises(AttemptFailure) as caught:
        _sent(prompt)
    assert caught.value.failure_class is FailureClass.INVALID_REQUEST


def test_one_call_encodes_its_prompt_once_for_all_models_of_a_kind() -> None:
    """Performance: retries and targets whose requests are the same share a body, unless it is their own."""
    shared = a_request()
    for name in ("acme", "other"):
        for model in ("gemini-2.5-flash", "gemini-2.5-flash-lite"):
            shared.model = model
            a_writer(name, GeminiSettings()).body(shared)
    assert len(shared.bodies) == 1
    shared.model = "gemini-3-pro-preview"
    a_writer("acme", GeminiSettings()).body(shared)
    a_writer("acme", GeminiSettings(sends_call_ids=False)).body(shared)
    assert len(shared.bodies) == 3

    own = a_request(Prompt((HELLO, Message(Role.ASSISTANT, (signed(Text("x"), b"s", "acme"),)))))
    bodies = {name: a_writer(name, GeminiSettings()).body(own) for name in ("other", "acme")}
    assert b"thoughtSignature" in bodies["acme"]
    assert b"thoughtSignature" not in bodies["other"]


_VERTEX = "/v1/projects/P/locations/L/publishers/google"


@pytest.mark.parametrize(
    ("model", "api_version", "expected"),
    [
        ("gemini-2.5-flash", "v1beta", "/v1beta/models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "v1", "/v1/models/gemini-2.5-flash"),
        ("gemini-2.5-flash", "", f"{_VERTEX}/models/gemini-2.5-flash"),
        ("../../secret", "v1beta", "/v1beta/models/..%2F..%2Fsecret"),
        ("..", "v1beta", "/v1beta/models/.."),
        ("a/b?c#d:e%2F é", "v1beta", "/v1beta/models/a%2Fb%3Fc%23d%3Ae%252F%20%C3%A9"),
    ],
)
async def test_the_model_is_one_segment_of_the_path(model: str, api_version: str, expected: str) -> None:
    """S5: no name of a model leads to another path, on the wire as in the address."""
    answer = sse({"candidates": [{"finishReason": "STOP"}]})
    base = "" if api_version else _VERTEX
    settings = GeminiSettings(api_version=api_version)
    async with connected(answering(answer), base, settings=settings) as (provider, server):
        await streamed(provider, model)
        (seen,) = server.requests
    assert seen.path == f"{expected}:streamGenerateContent?alt=sse"
    assert seen.headers["x-goog-api-key"] == KEY
    assert seen.headers["accept"] == "text/event-stream"


def test_whole_answers_have_a_method_of_their_own() -> None:
    """S5: the method stands in the path, and the stream is asked for as events."""
    wire_format = GeminiFormat("acme", GeminiSettings(), lambda _: Profile())
    assert wire_format.path("m", stream=False) == "/v1beta/models/m:generateContent"
    assert wire_format.path("m", stream=True) == "/v1beta/models/m:streamGenerateContent?alt=sse"


def test_models_of_one_kind_have_equal_traits() -> None:
    """Performance: traits are values, so that bodies are shared by them."""
    assert traits_of("gemini-2.5-flash") == traits_of("gemini-2.5-flash-lite")
    assert traits_of("gemini-2.5-flash") != traits_of("gemini-2.5-pro")


def test_a_prompt_needs_somebody_who_asks() -> None:
    """A8: a prompt of instructions alone is none to this provider, though it may be to another."""
    with pytest.raises(AttemptFailure) as caught:
        _sent(Prompt((message(Role.SYSTEM, Text("Be kind")),)))
    assert caught.value.failure_class is FailureClass.UNSUPPORTED
