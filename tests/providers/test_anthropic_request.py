"""What the Anthropic adapter sends, besides messages: settings, tools, formats, marks, options."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import (
    Message,
    Part,
    ProviderSignature,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import (
    OWN_MEMBERS,
    GenerationConfig,
    Prompt,
    ReasoningEffort,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.providers.anthropic_request import RequestWriter
from paceline_server.providers.anthropic_settings import AnthropicSettings, ThinkingControl
from paceline_server.providers.anthropic_thinking import thinking_control
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.profile import Profile
from tests.providers.anthropic_support import HELLO, message

_BUDGET_MODEL = "claude-sonnet-4-5"
_EFFORT_MODEL = "claude-opus-4-6"
_ALWAYS_MODEL = "claude-fable-5"
_TOOL = Tool("add", "Adds.", '{"type": "object", "properties": {"a": {"type": "number"}}}')
_MARK = {"type": "ephemeral"}


def _writer(
    settings: AnthropicSettings | None = None, profile_of: Callable[[str], Profile] = lambda _: Profile()
) -> RequestWriter:
    return RequestWriter("acme", settings or AnthropicSettings(), profile_of)


def _sent(
    prompt: Prompt, model: str = _BUDGET_MODEL, *, settings: AnthropicSettings | None = None
) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(_writer(settings).body(ProviderRequest(model, prompt), stream=False))
    return sent


def _sent_with(config: GenerationConfig, model: str = _BUDGET_MODEL, **prompt: Any) -> dict[str, Any]:
    return _sent(Prompt(prompt.pop("messages", (HELLO,)), config=config, **prompt), model)


def _refused(prompt: Prompt) -> AttemptFailure:
    with pytest.raises(AttemptFailure) as caught:
        _sent(prompt)
    assert not caught.value.reached_provider
    return caught.value


def test_the_plainest_request_is_the_plainest_body() -> None:
    """A8: what the caller leaves open is left to the provider, but the length, which it demands."""
    assert _sent(Prompt((HELLO,))) == {
        "model": _BUDGET_MODEL,
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "Hello"}],
    }


def test_a_stream_is_asked_for() -> None:
    """A2: a streamed answer is asked for by one member, a whole one by its absence."""
    request = ProviderRequest(_BUDGET_MODEL, Prompt((HELLO,)))
    assert json.loads(_writer().body(request, stream=True))["stream"] is True
    assert "stream" not in json.loads(_writer().body(request, stream=False))


@pytest.mark.parametrize(
    ("asked", "known", "sent"), [(50, 64_000, 50), (None, 64_000, 64_000), (None, None, 4096)]
)
def test_the_length_is_the_callers_or_the_models(asked: int | None, known: int | None, sent: int) -> None:
    """The contract of max_output_token_count: unset means the target's own maximum."""
    writer = _writer(
        AnthropicSettings(default_max_token_count=4096), lambda _: Profile(max_output_token_count=known)
    )
    prompt = Prompt((HELLO,), config=GenerationConfig(max_output_token_count=asked))
    assert json.loads(writer.body(ProviderRequest("m", prompt), stream=False))["max_tokens"] == sent


def test_every_setting_of_the_format_is_sent() -> None:
    """The contract of GenerationConfig: what the format knows is passed on, what it does not is left out."""
    config = GenerationConfig(
        max_output_token_count=50,
        temperature=0.0,
        top_p=0.9,
        top_k=5,
        seed=7,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        stop_sequences=("END", "STOP"),
    )
    sent = _sent_with(config)
    del sent["model"], sent["messages"]
    assert sent == {
        "max_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END", "STOP"],
    }


def test_tools_have_a_schema_each() -> None:
    """The contract of Tool: no schema means that a tool takes no arguments; a description may be missing."""
    assert _sent(Prompt((HELLO,), (_TOOL, Tool("now"))))["tools"] == [
        {"name": "add", "description": "Adds.", "input_schema": json.loads(_TOOL.parameters_json_schema)},
        {"name": "now", "input_schema": {"type": "object"}},
    ]


def test_a_schema_that_is_no_object_names_its_tool() -> None:
    """A8: a broken tool is the request's fault."""
    failure = _refused(Prompt((HELLO,), (Tool("add", parameters_json_schema="[]"),)))
    assert failure.failure_class is FailureClass.INVALID_REQUEST
    assert "'add'" in failure.message


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(ToolChoiceMode.AUTO), {"type": "auto"}),
        (ToolChoice(ToolChoiceMode.NONE), {"type": "none"}),
        (ToolChoice(ToolChoiceMode.REQUIRED), {"type": "any"}),
        (ToolChoice(ToolChoiceMode.NAMED, "add"), {"type": "tool", "name": "add"}),
    ],
)
def test_tool_choices_have_their_own_words(choice: ToolChoice, sent: dict[str, str]) -> None:
    """A8: each choice is said as the format says it."""
    assert _sent(Prompt((HELLO,), (_TOOL,), choice))["tool_choice"] == sent


def test_a_choice_among_no_tools_is_left_out() -> None:
    """A8: the format refuses a choice without tools, where it means nothing."""
    assert "tool_choice" not in _sent(Prompt((HELLO,), tool_choice=ToolChoice(ToolChoiceMode.AUTO)))


def test_a_schema_is_enforced() -> None:
    """A8: answers by a schema are the format's own feature, and stand beside an effort."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, schema_json=json.dumps(schema))
    sent = _sent_with(
        GenerationConfig(reasoning_effort=ReasoningEffort.LOW), _EFFORT_MODEL, response_format=wanted
    )
    assert sent["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}


def test_text_is_asked_for_by_saying_nothing() -> None:
    """A8: text is what every answer is."""
    text = Prompt((HELLO,), response_format=ResponseFormat(ResponseFormatKind.TEXT))
    assert _sent(text) == _sent(Prompt((HELLO,)))


def test_json_of_any_shape_is_unsupported() -> None:
    """A8: what the format cannot say advances to another target, and names the remedy."""
    failure = _refused(Prompt((HELLO,), response_format=ResponseFormat(ResponseFormatKind.JSON_OBJECT)))
    assert failure.failure_class is FailureClass.UNSUPPORTED
    assert "json_schema" in failure.message


@pytest.mark.parametrize(
    ("effort", "sent"),
    [
        (None, None),
        (ReasoningEffort.NONE, {"type": "disabled"}),
        (ReasoningEffort.MINIMAL, {"type": "enabled", "budget_tokens": 1024}),
        (ReasoningEffort.LOW, {"type": "enabled", "budget_tokens": 2000}),
        (ReasoningEffort.MEDIUM, {"type": "enabled", "budget_tokens": 5000}),
        (ReasoningEffort.HIGH, {"type": "enabled", "budget_tokens": 8000}),
    ],
)
def test_an_effort_is_a_share_of_the_answer(
    effort: ReasoningEffort | None, sent: dict[str, Any] | None
) -> None:
    """The contract of ReasoningEffort: it is translated to what the target understands, here a budget."""
    body = _sent_with(GenerationConfig(max_output_token_count=10_000, reasoning_effort=effort))
    assert body.get("thinking") == sent
    assert "output_config" not in body


@pytest.mark.parametrize(("length", "budget"), [(1024, None), (1025, 1024), (1000, None), (64_000, 32_000)])
def test_a_budget_leaves_room_for_an_answer(length: int, budget: int | None) -> None:
    """The contract of ReasoningEffort: budgets are from 1,024 to 32,000 tokens and below the length."""
    config = GenerationConfig(max_output_token_count=length, reasoning_effort=ReasoningEffort.HIGH)
    assert _sent_with(config).get("thinking", {}).get("budget_tokens") == budget


@pytest.mark.parametrize(
    ("effort", "thinking", "sent"),
    [
        (ReasoningEffort.NONE, {"type": "disabled"}, None),
        (ReasoningEffort.MINIMAL, {"type": "adaptive"}, "low"),
        (ReasoningEffort.MEDIUM, {"type": "adaptive"}, "medium"),
        (ReasoningEffort.HIGH, {"type": "adaptive"}, "high"),
    ],
)
def test_later_models_take_an_effort(
    effort: ReasoningEffort, thinking: dict[str, str], sent: str | None
) -> None:
    """The contract of ReasoningEffort: models since 4.6 decide themselves how much to think."""
    body = _sent_with(GenerationConfig(reasoning_effort=effort), _EFFORT_MODEL)
    assert body["thinking"] == thinking
    assert body.get("output_config", {}).get("effort") == sent


@pytest.mark.parametrize(("effort", "sent"), [(ReasoningEffort.NONE, "low"), (ReasoningEffort.HIGH, "high")])
def test_a_model_that_always_thinks_is_told_how_hard(effort: ReasoningEffort, sent: str) -> None:
    """The contract of ReasoningEffort: these models cannot be told not to think."""
    body = _sent_with(GenerationConfig(reasoning_effort=effort), _ALWAYS_MODEL)
    assert body.get("thinking", {"type": "adaptive"})["type"] == "adaptive"
    assert body["output_config"] == {"effort": sent}


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("claude-opus-4-6", {"type": "adaptive"}),
        ("claude-opus-4-7", {"type": "adaptive", "display": "summarized"}),
        ("us.anthropic.claude-opus-5-5-v1:0", {"type": "adaptive", "display": "summarized"}),
        ("claude-sonnet-latest", {"type": "adaptive", "display": "summarized"}),
        (_ALWAYS_MODEL, {"type": "adaptive", "display": "summarized"}),
        ("claude-sonnet-4-5", {"type": "enabled", "budget_tokens": 6553}),
    ],
)
def test_thoughts_are_asked_for_where_they_are_left_out(model: str, shown: dict[str, str]) -> None:
    """The contract of Reasoning: whoever asks for an effort sees the thoughts of models since 4.7, too."""
    assert _sent_with(_HIGH, model)["thinking"] == shown
    for unasked in (GenerationConfig(), GenerationConfig(reasoning_effort=ReasoningEffort.NONE)):
        assert "display" not in _sent_with(unasked, model).get("thinking", {})


@pytest.mark.parametrize(
    ("characters", "sent"), [(4, 64_000), (4 * 150_000, 50_000), (4 * 199_500, 1024), (4 * 300_000, 1024)]
)
def test_a_length_that_nobody_set_fits_beside_the_prompt(characters: int, sent: int) -> None:
    """A8: prompt and answer share the context, which the provider does not let requests exceed."""
    known = Profile(max_output_token_count=64_000, context_token_count=200_000)
    prompt = Prompt((message(Role.USER, Text("x" * characters)),))
    request = ProviderRequest("claude-sonnet-4-5", prompt)
    assert json.loads(_writer(profile_of=lambda _: known).body(request, stream=False))["max_tokens"] == sent
    asked = replace(prompt, config=GenerationConfig(max_output_token_count=60_000))
    request = ProviderRequest("claude-sonnet-4-5", asked)
    assert json.loads(_writer(profile_of=lambda _: known).body(request, stream=False))["max_tokens"] == 60_000


@pytest.mark.parametrize(
    ("model", "control"),
    [
        ("claude-2.1", ThinkingControl.NONE),
        ("claude-instant-1.2", ThinkingControl.NONE),
        ("claude-3-5-haiku-latest", ThinkingControl.NONE),
        ("claude-3-haiku-20240307", ThinkingControl.NONE),
        ("claude-3-7-sonnet-20250219", ThinkingControl.BUDGET),
        ("claude-sonnet-4-20250514", ThinkingControl.BUDGET),
        ("claude-opus-4-1@20250805", ThinkingControl.BUDGET),
        ("claude-haiku-4-5-20251001", ThinkingControl.BUDGET),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", ThinkingControl.BUDGET),
        ("anthropic/claude-sonnet-4.6", ThinkingControl.EFFORT),
        ("claude-sonnet-4-6", ThinkingControl.EFFORT),
        ("claude-opus-4-8-20260528", ThinkingControl.EFFORT),
        ("claude-sonnet-5", ThinkingControl.EFFORT),
        ("claude-haiku-5-5", ThinkingControl.EFFORT),
        ("claude-opus-5", ThinkingControl.EFFORT),
        ("claude-opus-5-5", ThinkingControl.ALWAYS),
        ("anthropic/claude-sonnet-5.5", ThinkingControl.ALWAYS),
        ("Claude-Opus-10", ThinkingControl.ALWAYS),
        ("claude-fable-5-1", ThinkingControl.ALWAYS),
        ("claude-mythos-preview", ThinkingControl.ALWAYS),
        ("glm-5", ThinkingControl.BUDGET),
        ("claude-sonnet-latest", ThinkingControl.EFFORT),
    ],
)
def test_how_a_model_thinks_is_read_from_its_name(model: str, control: ThinkingControl) -> None:
    """The contract of ReasoningEffort: each generation of models understands one form only."""
    sent = _sent_with(GenerationConfig(reasoning_effort=ReasoningEffort.MEDIUM), model)
    forms = {
        ThinkingControl.NONE: (None, False),
        ThinkingControl.BUDGET: ("enabled", False),
        ThinkingControl.EFFORT: ("adaptive", True),
        ThinkingControl.ALWAYS: ("adaptive", True),
    }
    assert thinking_control(model) is control
    assert (sent.get("thinking", {}).get("type"), "output_config" in sent) == forms[control]


def test_a_server_may_say_how_its_models_think() -> None:
    """A8: a server whose models have other names is told apart by its settings."""
    prompt = Prompt((HELLO,), config=GenerationConfig(reasoning_effort=ReasoningEffort.LOW))
    sent = _sent(prompt, settings=AnthropicSettings(thinking_control=ThinkingControl.EFFORT))
    assert sent["thinking"] == {"type": "adaptive"}


_CALL = ToolCall("c1", "add", "{}")
_RESULT = message(Role.TOOL, ToolResult("c1", (Part(Text("1")),)))
_SIGNED = Part(Reasoning("Hm"), ProviderSignature("acme", b"sig"))
_HIGH = GenerationConfig(reasoning_effort=ReasoningEffort.HIGH)


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ((HELLO, message(Role.ASSISTANT, _CALL), _RESULT), False),
        ((HELLO, Message(Role.ASSISTANT, (_SIGNED, Part(_CALL))), _RESULT), True),
        ((HELLO, message(Role.ASSISTANT, Text("Yes")), HELLO), True),
        ((HELLO, message(Role.ASSISTANT, Text("Yes, "))), False),
        ((_RESULT,), True),
    ],
)
def test_a_turn_that_began_without_thoughts_goes_on_without(
    messages: tuple[Message, ...], *, thinks: bool
) -> None:
    """A8: after failover another provider's thoughts are not at hand, and the API refuses a budget then."""
    assert ("thinking" in _sent_with(_HIGH, messages=messages)) is thinks
    assert "thinking" in _sent_with(_HIGH, _EFFORT_MODEL, messages=messages)


@pytest.mark.parametrize("mode", [ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED])
@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        (_BUDGET_MODEL, False),
        ("glm-5", False),
        ("claude-sonnet-4-6", False),
        ("claude-opus-4-7", False),
        ("claude-opus-4-8", True),
        ("claude-sonnet-5", True),
        ("claude-sonnet-latest", True),
        (_ALWAYS_MODEL, True),
    ],
)
def test_a_forced_tool_is_called_without_thinking_where_both_are_refused(
    model: str, mode: ToolChoiceMode, *, thinks: bool
) -> None:
    """The contract of ReasoningEffort: a target that cannot set its effort ignores it."""
    sent = _sent_with(_HIGH, model, tools=(_TOOL,), tool_choice=ToolChoice(mode, "add"))
    assert ("thinking" in sent, "output_config" in sent) == (thinks, thinks)
    assert sent["tool_choice"]["type"] in {"any", "tool"}
    assert "thinking" in _sent_with(_HIGH, model, tools=(_TOOL,), tool_choice=ToolChoice(ToolChoiceMode.AUTO))


_DRAWING = GenerationConfig(temperature=0.2, top_p=0.5, top_k=5)
_DRAWN = {"temperature": 0.2, "top_p": 0.5, "top_k": 5}


@pytest.mark.parametrize("model", [_BUDGET_MODEL, _EFFORT_MODEL])
def test_whoever_thinks_is_not_told_how_to_draw_tokens(model: str) -> None:
    """A8: temperature, top_k and all but the largest top_p are left out, as the API refuses them there."""
    for unthinking in (_DRAWING, replace(_DRAWING, reasoning_effort=ReasoningEffort.NONE)):
        assert _DRAWN.items() <= _sent_with(unthinking, model).items()
    thinking = replace(_DRAWING, reasoning_effort=ReasoningEffort.HIGH)
    assert not _DRAWN.keys() & _sent_with(thinking, model).keys()
    assert _sent_with(replace(thinking, top_p=0.95), model)["top_p"] == 0.95


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-sonnet-5", _ALWAYS_MODEL])
@pytest.mark.parametrize("effort", [None, ReasoningEffort.NONE, ReasoningEffort.HIGH])
def test_models_since_4_7_are_not_told_how_to_draw_tokens(model: str, effort: ReasoningEffort | None) -> None:
    """A8: these models refuse temperature, top_p and top_k, whether they think or not."""
    sent = _sent_with(replace(_DRAWING, top_p=0.99, reasoning_effort=effort), model)
    assert not _DRAWN.keys() & sent.keys()


def test_cache_marks_stand_at_the_ends() -> None:
    """The contract of cache_prompt: tools, system and conversation are each marked at their end."""
    config = GenerationConfig(cache_prompt=True)
    system = message(Role.SYSTEM, Text("Be kind"), Text("Be brief"))
    sent = _sent_with(config, messages=(system, HELLO), tools=(Tool("now"), _TOOL))
    assert ["cache_control" in tool for tool in sent["tools"]] == [False, True]
    assert sent["system"] == [
        {"type": "text", "text": "Be kind"},
        {"type": "text", "text": "Be brief", "cache_control": _MARK},
    ]
    assert sent["messages"][-1]["content"] == [{"type": "text", "text": "Hello", "cache_control": _MARK}]


def test_without_tools_and_system_the_conversation_is_marked() -> None:
    """The contract of cache_prompt: there is always something to cache, and never a mark too many."""
    body = json.dumps(_sent_with(GenerationConfig(cache_prompt=True)))
    assert body.count("cache_control") == 1
    assert "cache_control" not in json.dumps(_sent_with(GenerationConfig()))


def test_options_replace_members() -> None:
    """The contract of provider_options_json: they are laid over the body for this provider only."""
    options = {"acme": '{"max_tokens": 5, "metadata": {"user_id": "u"}}', "other": '{"top_k": 1}'}
    sent = _sent(Prompt((HELLO,), provider_options_json=options))
    assert (sent["max_tokens"], sent["metadata"]) == (5, {"user_id": "u"})
    assert "top_k" not in sent


@pytest.mark.parametrize("member", OWN_MEMBERS)
def test_options_may_not_set_what_is_ours(member: str) -> None:
    """The contract of provider_options_json: what the answer's reading depends on is refused."""
    failure = _refused(Prompt((HELLO,), provider_options_json={"acme": json.dumps({member: 1})}))
    assert failure.failure_class is FailureClass.INVALID_REQUEST
    assert member in failure.message


def test_a_prompt_is_encoded_once_for_all_who_write_alike() -> None:
    """A8: retries and targets of the same habits share a body; those of other habits do not."""
    config = GenerationConfig(reasoning_effort=ReasoningEffort.LOW)
    request = ProviderRequest(_BUDGET_MODEL, Prompt((HELLO,), config=config))
    first = _writer().body(request, stream=True)
    (encoded,) = request.bodies.values()
    other = ProviderRequest("claude-haiku-4-5", request.prompt, request.bodies)
    RequestWriter("zulu", AnthropicSettings(), lambda _: Profile()).body(other, stream=False)
    assert list(request.bodies.values()) == [encoded]
    assert first.endswith(encoded[1:])

    later = ProviderRequest(_EFFORT_MODEL, request.prompt, request.bodies)
    assert b"adaptive" in _writer().body(later, stream=True)
    assert len(request.bodies) == 2


def test_what_is_one_providers_own_is_not_shared() -> None:
    """A8: a body with signatures or options is of one provider alone."""
    prompt = Prompt((HELLO, Message(Role.ASSISTANT, (_SIGNED, Part(Text("Hi")))), HELLO))
    request = ProviderRequest(_BUDGET_MODEL, prompt)
    assert b"thinking" in _writer().body(request, stream=False)
    other = RequestWriter("zulu", AnthropicSettings(), lambda _: Profile()).body(request, stream=False)
    assert b"thinking" not in other
    assert b"sig" not in other
