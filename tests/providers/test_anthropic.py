"""The Anthropic adapter over real sockets: headers, endings, errors inside answers, whole round trips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from paceline_server.completion.answer import FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import (
    Message,
    Part,
    ProviderSignature,
    Reasoning,
    Role,
    Text,
    ToolCall,
)
from paceline_server.completion.deltas import Delta, fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import Usage
from paceline_server.providers.anthropic_settings import AnthropicSettings
from paceline_server.providers.base import AnswerStream
from tests.providers.anthropic_support import (
    HELLO,
    KEY,
    START,
    a_request,
    block_delta,
    block_start,
    block_stop,
    connected,
    document,
    ending,
    event,
    streamed,
    text_delta,
)
from tests.providers.openai_support import drained
from tests.providers.replay import answering, answering_raw

_TEXT = START + block_start(0, type="text", text="") + text_delta(0, "Hi") + block_stop(0)


async def _failure_of(body: bytes, **options: Any) -> AttemptFailure:
    async with connected(answering(body), **options) as (provider, _):
        with pytest.raises(AttemptFailure) as caught:
            await streamed(provider)
    return caught.value


async def _drain(stream: AnswerStream, deltas: list[Delta]) -> None:
    while (more := await stream.read()) is not None:
        deltas += more


async def test_a_request_says_version_and_key() -> None:
    """A3: without the version every request is refused; the key has a header of its own."""
    settings = AnthropicSettings(betas=("one-2025-01-01", "two-2025-01-01"))
    async with connected(answering(_TEXT + ending()), settings=settings) as (provider, server):
        await streamed(provider)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["anthropic-beta"] == "one-2025-01-01,two-2025-01-01"
    assert "authorization" not in request.headers


async def test_others_take_the_key_as_a_bearer_token() -> None:
    """A3: servers that speak the format may want the key where others have it."""
    script = answering(_TEXT + ending())
    async with connected(script, key_header="Authorization") as (provider, server):
        await streamed(provider)
    headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in headers
    assert "anthropic-beta" not in headers


async def test_a_stream_ends_with_its_last_event() -> None:
    """A2: nothing is waited for after message_stop, though the server keeps the connection."""
    body = _TEXT + ending()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    async with connected(answering_raw(head, body, then_drops=False)) as (provider, server):
        answer = await streamed(provider)
        await server.until(lambda: server.open_count == 0)
    assert answer.parts == (Part(Text("Hi")),)


@pytest.mark.parametrize("cut", range(1, 6))
async def test_a_stream_that_is_cut_is_a_failure(cut: int) -> None:
    """A2: short of message_stop no answer is whole, however much of it is here."""
    events = (_TEXT + ending()).split(b"\n\n")[:-1]
    failure = await _failure_of(b"\n\n".join(events[:-cut]) + b"\n\n")
    assert failure.failure_class is FailureClass.TRANSIENT


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("pause_turn", FinishReason.OTHER),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("something_new", FinishReason.OTHER),
    ],
)
async def test_a_stop_reason_has_its_meaning(reason: str, expected: FinishReason) -> None:
    """A2: each reason is told in our words and kept in the provider's, in streams and whole answers."""
    for body in (_TEXT + ending(reason), document({"type": "text", "text": "Hi"}, reason=reason)):
        async with connected(answering(body)) as (provider, _):
            answer = await streamed(provider)
        assert answer.ending.finish_reason is expected
        assert answer.ending.provider_reason == reason
        assert answer.ending.served_model == "claude-test"


@pytest.mark.parametrize("body", [_TEXT + ending(None), document(reason=None)])
async def test_an_answer_without_a_stop_reason_is_a_failure(body: bytes) -> None:
    """A2: the last event alone does not say that an answer is whole."""
    assert (await _failure_of(body)).failure_class is FailureClass.TRANSIENT


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, FailureClass.OVERLOADED),
        ({"type": "api_error", "message": "Internal server error"}, FailureClass.TRANSIENT),
        ({"type": "rate_limit_error", "message": "Slow down"}, FailureClass.RATE_LIMITED),
        ({"type": "invalid_request_error", "message": "prompt is too long"}, FailureClass.CONTEXT_TOO_LONG),
        ("Overloaded", FailureClass.OVERLOADED),
    ],
)
async def test_an_error_inside_an_answer_is_classified(error: object, expected: FailureClass) -> None:
    """A3: errors that arrive behind status 200 are told apart like others; what came before is delivered."""
    async with connected(answering(_TEXT + event("error", error=error))) as (provider, _):
        stream = await provider.open(a_request())
        deltas: list[Delta] = []
        with pytest.raises(AttemptFailure) as caught:
            await _drain(stream, deltas)
        await stream.aclose()
    assert caught.value.failure_class is expected
    assert caught.value.http_status == 200
    assert fold(deltas) == (Part(Text("Hi")),)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html>busy</html>", FailureClass.MALFORMED_RESPONSE),
        (b"[1, 2]", FailureClass.MALFORMED_RESPONSE),
        (b'{"id": 1}', FailureClass.MALFORMED_RESPONSE),
        (b'{"content": "text", "stop_reason": "end_turn"}', FailureClass.MALFORMED_RESPONSE),
        (b'{"error": "overloaded"}', FailureClass.OVERLOADED),
        (b'{"type": "error", "error": {"type": "overloaded_error"}}', FailureClass.OVERLOADED),
        (b"", FailureClass.TRANSIENT),
    ],
)
async def test_a_document_that_is_no_answer_is_a_failure(body: bytes, expected: FailureClass) -> None:
    """A2: status 200 does not make an answer, whether a stream was asked for or a document."""
    assert (await _failure_of(body)).failure_class is expected
    if body:
        async with connected(answering(body)) as (provider, _):
            with pytest.raises(AttemptFailure) as caught:
                await provider.complete(a_request())
        assert caught.value.failure_class is expected


async def test_an_event_without_bound_is_refused() -> None:
    """A2: an event is never larger in memory than its bound."""
    failure = await _failure_of(START + text_delta(0, "x" * 50_000), max_event_bytes=10_000)
    assert failure.failure_class is FailureClass.MALFORMED_RESPONSE


async def test_the_key_is_never_repeated() -> None:
    """A3: a provider that repeats the key in its error does not get it into our words."""
    body = json.dumps({"type": "error", "error": {"type": "authentication_error", "message": f"bad {KEY}"}})
    async with connected(answering(body.encode(), status=401)) as (provider, _):
        with pytest.raises(AttemptFailure) as caught:
            await provider.complete(a_request())
    assert KEY not in caught.value.message
    assert caught.value.failure_class is FailureClass.AUTHENTICATION


_ROUND_TRIP = (
    START,
    block_start(0, type="thinking", thinking="", signature=""),
    block_delta(0, type="thinking_delta", thinking="Hm"),
    block_delta(0, type="signature_delta", signature="c2ln"),
    block_stop(0),
    block_start(1, type="redacted_thinking", data="RW5j"),
    block_stop(1),
    block_start(2, type="text", text=""),
    text_delta(2, "I look"),
    block_stop(2),
    block_start(3, type="tool_use", id="toolu_1", name="add", input={}),
    block_delta(3, type="input_json_delta", partial_json='{"a": 1'),
    block_delta(3, type="input_json_delta", partial_json="}"),
    block_stop(3),
    ending("tool_use"),
)
_AS_BLOCKS: Sequence[dict[str, Any]] = (
    {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "RW5j"},
    {"type": "text", "text": "I look"},
    {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}},
)


@pytest.mark.parametrize("body", [b"".join(_ROUND_TRIP), document(*_AS_BLOCKS, reason="tool_use")])
async def test_a_provider_gets_back_what_it_gave(body: bytes) -> None:
    """A8: an answer that is sent back is, to its provider, the message that it gave, signatures and all."""
    async with connected(answering(body)) as (provider, server):
        answer = await streamed(provider)
        followed = Prompt((HELLO, Message(Role.ASSISTANT, answer.parts), HELLO))
        await drained(await provider.open(a_request(followed)))
    sent = json.loads(server.requests[-1].body)
    assert sent["messages"][1] == {"role": "assistant", "content": list(_AS_BLOCKS)}
    assert answer.parts == (
        Part(Reasoning("Hm"), ProviderSignature("acme", b"c2ln")),
        Part(Reasoning("", b"RW5j"), ProviderSignature("acme", b"redacted_thinking")),
        Part(Text("I look")),
        Part(ToolCall("toolu_1", "add", '{"a": 1}')),
    )


async def test_usage_is_told_with_the_answer() -> None:
    """K4: what the answer used is what its last figures say."""
    body = _TEXT + ending(usage={"output_tokens": 7, "cache_read_input_tokens": 20})
    async with connected(answering(body)) as (provider, _):
        answer = await streamed(provider)
    assert answer.ending.usage == Usage(23, 7, cached_input_token_count=20)
