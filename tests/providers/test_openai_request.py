"""What the OpenAI adapter sends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import (
    Kind,
    Media,
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
    GenerationConfig,
    Prompt,
    ReasoningEffort,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.openai_request import RequestWriter
from paceline_server.providers.openai_settings import CacheHint, OpenAISettings, PrefillMark
from paceline_server.providers.profile import Profile


def _message(role: Role, *kinds: Kind) -> Message:
    return Message(role, tuple(Part(kind) for kind in kinds))


_HELLO = _message(Role.USER, Text("Hello"))
_OWN_MEMBERS = ("model", "messages", "stream", "stream_options", "n")


def a_writer(name: str, settings: OpenAISettings, *, gives_logprobs: bool = False) -> RequestWriter:
    """A writer for a provider of which no more is known."""
    return RequestWriter(name, settings, lambda _: Profile(gives_logprobs=gives_logprobs))


def _sent(prompt: Prompt, settings: OpenAISettings | None = None, *, stream: bool = False) -> dict[str, Any]:
    writer = a_writer("acme", settings or OpenAISettings())
    sent: dict[str, Any] = json.loads(writer.body(ProviderRequest("m", prompt), stream=stream))
    return sent


def _sent_messages(*messages: Message, settings: OpenAISettings | None = None) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = _sent(Prompt(messages), settings)["messages"]
    return sent


def test_the_plainest_request_is_the_plainest_body() -> None:
    """A8: what the caller leaves open is left to the provider."""
    assert _sent(Prompt((_HELLO,))) == {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def test_streams_ask_for_their_usage() -> None:
    """K4: without the option most vendors tell no usage of a stream."""
    sent = _sent(Prompt((_HELLO,)), stream=True)
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert "stream_options" not in _sent(
        Prompt((_HELLO,)), OpenAISettings(asks_stream_usage=False), stream=True
    )


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
        reasoning_effort=ReasoningEffort.LOW,
    )
    sent = _sent(Prompt((_HELLO,), config=config), OpenAISettings(accepts_top_k=True))
    del sent["model"], sent["messages"]
    assert sent == {
        "max_completion_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 5,
        "seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "stop": ["END"],
        "reasoning_effort": "low",
    }


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("gives", [True, False])
def test_log_probabilities_are_asked_for_where_they_are_given(*, asked: bool, gives: bool) -> None:
    """R5: a race's wish reaches the targets known to fulfil it; others may refuse the whole prompt."""
    prompt = Prompt((_HELLO,), config=GenerationConfig(logprobs=asked))
    request = ProviderRequest("m", prompt)
    # The same call may ask one who gives none before.
    assert b"logprobs" not in a_writer("other", OpenAISettings()).body(request, stream=True)
    sent = json.loads(a_writer("acme", OpenAISettings(), gives_logprobs=gives).body(request, stream=True))
    assert sent.get("logprobs") == (True if asked and gives else None)
    assert _sent(prompt, OpenAISettings(asks_logprobs=True))["logprobs"] is True


def test_a_dialect_has_its_own_names() -> None:
    """A8: vendors name the same things differently."""
    config = GenerationConfig(max_output_token_count=50, seed=7)
    settings = OpenAISettings(
        max_tokens_field="max_tokens", seed_field="random_seed", system_role="developer", asks_logprobs=True
    )
    sent = _sent(Prompt((_message(Role.SYSTEM, Text("Be kind")), _HELLO), config=config), settings)
    assert (sent["max_tokens"], sent["random_seed"], sent["logprobs"]) == (50, 7, True)
    assert sent["messages"][0] == {"role": "developer", "content": "Be kind"}


def test_a_conversation_with_tools() -> None:
    """A8: calls and results go back in the form in which recorded clients send them."""
    assert _sent_messages(
        _HELLO,
        _message(Role.ASSISTANT, ToolCall("c1", "add", '{"a": 1}'), ToolCall("c2", "add", "not json")),
        _message(Role.TOOL, ToolResult("c1", (Part(Text("1")), Part(Text("!"))))),
        _message(Role.USER, ToolResult("c2", (Part(Text("no JSON")),), failed=True), Text("Go on")),
    )[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
                {"id": "c2", "type": "function", "function": {"name": "add", "arguments": "not json"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1!"},
        {"role": "tool", "tool_call_id": "c2", "content": "no JSON"},
        {"role": "user", "content": "Go on"},
    ]


def test_a_failed_result_goes_without_words_of_our_own() -> None:
    """The contract of ToolResult: a provider that cannot be told of the failure gets the parts alone."""
    failed = ToolResult("c1", (Part(Text("disk")), Part(Text(" full"))), failed=True)
    silent = ToolResult("c2", (), failed=True)
    assert [message["content"] for message in _sent_messages(_message(Role.TOOL, failed, silent))] == [
        "disk full",
        "",
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """The contract of ToolCall: empty arguments mean an object without members."""
    (message,) = _sent_messages(_message(Role.ASSISTANT, ToolCall("c1", "now", "")))
    assert message["tool_calls"][0]["function"] == {"name": "now", "arguments": "{}"}


def test_media_have_a_place_each() -> None:
    """A8: images by address or value, sound and documents by value."""
    (message,) = _sent_messages(
        _message(
            Role.USER,
            Text("Look"),
            Media("image/png", b"\x89"),
            Media("image/jpeg", uri="https://example.com/a.jpg"),
            Media("audio/mpeg", b"\x01"),
            Media("application/pdf", b"%PDF"),
        )
    )
    assert message["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iQ=="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
        {"type": "input_audio", "input_audio": {"data": "AQ==", "format": "mp3"}},
        {
            "type": "file",
            "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        },
    ]


def test_a_setting_that_the_format_does_not_know_is_left_out() -> None:
    """The contract of GenerationConfig: a setting that a target does not know is left out for that target."""
    assert "top_k" not in _sent(Prompt((_HELLO,), config=GenerationConfig(top_k=5)), OpenAISettings())


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((_message(Role.USER, Media("video/mp4", b"x")),)),
        Prompt((_message(Role.USER, Media("", b"\x89PNG")),)),
        Prompt((_message(Role.USER, Media("", uri="https://example.com/a.png")),)),
        Prompt((_message(Role.USER, Media("audio/wav", uri="https://example.com/a.wav")),)),
        Prompt((_message(Role.SYSTEM, Media("image/png", b"x")),)),
        Prompt((_message(Role.ASSISTANT, Media("image/png", b"x")),)),
        Prompt((_message(Role.TOOL, ToolResult("c", (Part(Media("image/png", b"x")),))),)),
        Prompt((_message(Role.USER, Reasoning("hm")),)),
        Prompt((_message(Role.TOOL, Text("x")),)),
    ],
)
def test_what_the_format_cannot_say_is_unsupported(prompt: Prompt) -> None:
    """A8: a misfit advances without penalty and is never dropped in silence."""
    with pytest.raises(AttemptFailure) as caught:
        _sent(prompt)
    assert caught.value.failure_class is FailureClass.UNSUPPORTED
    assert not caught.value.reached_provider


def test_tools_and_the_choice_among_them() -> None:
    """A8: schemas go out as they came in, to the letter."""
    tools = (Tool("add", "Adds", '{"type":"object","z":1,"a":2}'), Tool("now"))
    prompt = Prompt((_HELLO,), tools, ToolChoice(ToolChoiceMode.NAMED, "add"))
    body = a_writer("acme", OpenAISettings()).body(ProviderRequest("m", prompt), stream=False)
    assert b'"parameters":{"type":"object","z":1,"a":2}' in body
    sent = json.loads(body)
    assert sent["tools"][1] == {"type": "function", "function": {"name": "now"}}
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert _sent(Prompt((_HELLO,), tools, ToolChoice(ToolChoiceMode.REQUIRED)))["tool_choice"] == "required"


def test_response_formats() -> None:
    """A8: the form of the answer is asked for in the format's own words; a nameless schema is "response"."""
    schema = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "point", '{"type":"object"}', strict=True)
    assert _sent(Prompt((_HELLO,), response_format=schema))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "point", "schema": {"type": "object"}, "strict": True},
    }
    nameless = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, schema_json='{"type":"object"}')
    assert _sent(Prompt((_HELLO,), response_format=nameless))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": {"type": "object"}},
    }
    plain = ResponseFormat(ResponseFormatKind.JSON_OBJECT)
    assert _sent(Prompt((_HELLO,), response_format=plain))["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((_HELLO,), (Tool("add", "", "[1]"),)),
        Prompt((_HELLO,), (Tool("add", "", '{"a":1},"model":"other"'),)),
        Prompt((_HELLO,), provider_options_json={"acme": "nonsense"}),
        *(
            Prompt((_HELLO,), provider_options_json={"acme": f'{{"{member}":null}}'})
            for member in _OWN_MEMBERS
        ),
    ],
)
def test_text_that_is_no_json_object_is_the_requests_fault(prompt: Prompt) -> None:
    """A3: what would break or redirect the request is refused before it is sent."""
    with pytest.raises(AttemptFailure) as caught:
        _sent(prompt)
    assert caught.value.failure_class is FailureClass.INVALID_REQUEST


def test_options_are_laid_over_this_providers_body_only() -> None:
    """A8: a caller may say to one provider what the others do not know."""
    config = GenerationConfig(temperature=1.0)
    options = {"acme": '{"temperature":0.5,"service_tier":"flex"}', "other": '{"temperature":0}'}
    sent = _sent(Prompt((_HELLO,), config=config, provider_options_json=options))
    assert (sent["temperature"], sent["service_tier"]) == (0.5, "flex")


def test_signatures_go_back_to_their_provider_only() -> None:
    """A8: another provider's signatures are dropped."""
    own = ProviderSignature("acme", b'{"type":"reasoning.text","index":0,"signature":"s"}')
    foreign = ProviderSignature("other", b"opaque")
    sealed = ProviderSignature("acme", b'{"type":"reasoning.encrypted","id":"r"}')
    parts = (
        Part(Reasoning("thought"), own),
        Part(Reasoning("foreign"), foreign),
        Part(Reasoning(redacted_data=b"xyz"), sealed),
        Part(Text("answer")),
    )
    (message,) = _sent_messages(Message(Role.ASSISTANT, parts))
    assert message == {
        "role": "assistant",
        "content": "answer",
        "reasoning_details": [
            {"type": "reasoning.text", "index": 0, "signature": "s", "text": "thought"},
            {"type": "reasoning.encrypted", "id": "r", "data": "xyz"},
        ],
    }


def test_thoughts_go_back_where_a_vendor_wants_them() -> None:
    """A8: some vendors need the thoughts of a tool-using turn, and have a field for them."""
    message = _message(Role.ASSISTANT, Reasoning("hm"), Text("4"))
    (sent,) = _sent_messages(message, settings=OpenAISettings(reasoning_field="reasoning_content"))
    assert sent["reasoning_content"] == "hm"
    (sent,) = _sent_messages(message)
    assert sent == {"role": "assistant", "content": "4"}


def test_thoughts_go_back_as_items_of_the_content() -> None:
    """A8: Mistral gives its thoughts in the content, and takes them back there, before the answer."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    settings = OpenAISettings(reasoning_field="content")
    message = _message(Role.ASSISTANT, Reasoning("h"), Reasoning("m"), Text("4"))
    (sent,) = _sent_messages(message, settings=settings)
    assert sent == {"role": "assistant", "content": [thinking, {"type": "text", "text": "4"}]}
    call = _message(Role.ASSISTANT, Reasoning("hm"), ToolCall("c", "f", "{}"))
    (sent,) = _sent_messages(call, settings=settings)
    assert sent["content"] == [thinking]
    (sent,) = _sent_messages(_message(Role.ASSISTANT, Text("4")), settings=settings)
    assert sent == {"role": "assistant", "content": "4"}


def test_thoughts_that_another_provider_signed_stay_with_it() -> None:
    """A8: signed thoughts go back to the provider that they came from, and are dropped for others."""
    parts = (
        Part(Reasoning("theirs"), ProviderSignature("other", b"opaque")),
        Part(Reasoning("sealed", b"xyz"), ProviderSignature("other", b"opaque")),
        Part(Text("4")),
    )
    settings = OpenAISettings(reasoning_field="reasoning_content")
    (sent,) = _sent_messages(Message(Role.ASSISTANT, parts), settings=settings)
    assert sent == {"role": "assistant", "content": "4"}
    (sent,) = _sent_messages(
        Message(Role.ASSISTANT, (*parts, Part(Reasoning("nobody's")))), settings=settings
    )
    assert sent["reasoning_content"] == "nobody's"


def test_caching_is_hinted_in_the_vendors_way() -> None:
    """A8: `cache_prompt` becomes a key that follows the prompt's beginning, marks, or nothing."""
    config = GenerationConfig(cache_prompt=True)
    start = _message(Role.SYSTEM, Text("Long rules"))
    keys = {
        _sent(Prompt((start, _message(Role.USER, Text(text))), config=config))["prompt_cache_key"]
        for text in "ab"
    }
    assert len(keys) == 1
    assert _sent(Prompt((_HELLO,), config=config))["prompt_cache_key"] not in keys

    marked = _sent(Prompt((start, _HELLO), config=config), OpenAISettings(cache_hint=CacheHint.MARKS))
    mark = {"type": "ephemeral"}
    assert [message["content"][-1]["cache_control"] for message in marked["messages"]] == [mark, mark]
    silent = _sent(Prompt((start, _HELLO), config=config), OpenAISettings(cache_hint=CacheHint.NOTHING))
    assert set(silent) == {"model", "messages"}


def test_one_call_encodes_its_prompt_once_for_all_of_one_dialect() -> None:
    """Performance: retries and other targets of the format share a body, unless it is their own."""
    shared = ProviderRequest("m", Prompt((_HELLO,)))
    for name in ("acme", "other"):
        a_writer(name, OpenAISettings()).body(shared, stream=True)
    assert len(shared.bodies) == 1
    a_writer("acme", OpenAISettings(max_tokens_field="max_tokens")).body(shared, stream=True)
    assert len(shared.bodies) == 2

    own = ProviderRequest("m", Prompt((_HELLO,), provider_options_json={"acme": '{"a":1}'}))
    bodies = {
        name: a_writer(name, OpenAISettings()).body(own, stream=False) for name in ("other", "acme", "third")
    }
    assert b'"a":1' in bodies["acme"]
    assert b'"a":1' not in bodies["other"] + bodies["third"]


_BEGUN = _message(Role.ASSISTANT, Text("One, two,"))
_CALLED = _message(Role.ASSISTANT, Text("Let me see."), ToolCall("c1", "look", "{}"))


def test_a_prefill_is_marked_in_its_message() -> None:
    """C5: who wants the beginning of its answer marked gets that mark, on the last message alone."""
    settings = OpenAISettings(prefill=PrefillMark.PREFIX)
    sent = _sent_messages(_HELLO, _BEGUN, _HELLO, _BEGUN, settings=settings)
    assert [message.get("prefix") for message in sent] == [None, None, None, True]


def test_a_prefill_is_marked_in_the_request() -> None:
    """C5: servers that render templates are told to leave the last message open."""
    settings = OpenAISettings(prefill=PrefillMark.CONTINUE_FINAL_MESSAGE)
    sent = _sent(Prompt((_HELLO, _BEGUN)), settings)
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)
    assert sent["messages"][-1] == {"role": "assistant", "content": "One, two,"}


@pytest.mark.parametrize("mark", PrefillMark)
@pytest.mark.parametrize("last", [_HELLO, _CALLED, _message(Role.ASSISTANT)])
def test_what_is_no_prefill_is_not_marked(mark: PrefillMark, last: Message) -> None:
    """C5: a question, a tool call and an empty answer are not to be continued."""
    settings = OpenAISettings(prefill=mark)
    assert _sent(Prompt((_HELLO, last)), settings) == _sent(Prompt((_HELLO, last)))


def test_what_a_vendor_refuses_is_left_out() -> None:
    """A8: settings of the generation that a vendor does not know are not sent, the others are."""
    config = GenerationConfig(temperature=0.5, seed=7, frequency_penalty=0.1, max_output_token_count=9)
    settings = OpenAISettings(omit=("seed", "frequency_penalty"), seed_field="random_seed")
    sent = _sent(Prompt((_HELLO,), config=config), settings)
    assert {name for name in sent if name not in {"model", "messages"}} == {
        "temperature",
        "max_completion_tokens",
    }
