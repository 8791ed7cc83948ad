"""The OpenAI adapter against a provider that misbehaves."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from paceline_server.completion.answer import ConfidenceSource, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, ProviderSignature, Reasoning, Text, ToolCall
from paceline_server.completion.deltas import Delta, TextDelta, fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import Usage
from paceline_server.providers.base import Answer
from paceline_server.providers.http_transport import AiohttpTransport
from paceline_server.providers.openai import OpenAIProvider
from paceline_server.providers.profile import Profile
from tests.providers.openai_support import KEY, a_request, connected, drained, provider_at, streamed
from tests.providers.replay import PATIENCE, Exchange, answering, replaying

_DONE = b"data: [DONE]\n\n"


def _event(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices, **fields}).encode() + b"\n\n"


_FINISHED = _event({}, "stop")


async def _streamed(*events: bytes, **options: Any) -> Answer:
    async with connected(answering(b"".join(events)), **options) as (provider, _):
        return await streamed(provider)


async def _failed(*events: bytes, **options: Any) -> AttemptFailure:
    with pytest.raises(AttemptFailure) as caught:
        await _streamed(*events, **options)
    return caught.value


async def _completed(document: dict[str, Any]) -> Answer:
    async with connected(answering(json.dumps(document).encode())) as (provider, _):
        return await provider.complete(a_request())


async def test_the_key_is_sent_and_shown_nowhere() -> None:
    """S6: a key is in the request and in no repr or message."""
    body = json.dumps({"error": {"message": f"key {KEY} is wrong"}}).encode()
    async with connected(answering(body, status=401)) as (provider, server):
        with pytest.raises(AttemptFailure) as caught:
            await provider.complete(a_request())
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert KEY not in repr(provider) + str(caught.value) + repr(caught.value)


async def test_configured_headers_are_as_secret_as_the_key() -> None:
    """S6: what is configured to be sent is repeated in no message, code, reason or name of a model."""
    headers = {"x-project": "hunter2-project", "proxy-authorization": "Token open-sesame-7"}
    words = f"hunter2-project with Token open-sesame-7 or open-sesame-7 and {KEY}"
    error = json.dumps({"error": {"message": words, "code": "hunter2-project"}}).encode()
    async with connected(answering(error, status=400), headers=headers) as (provider, server):
        with pytest.raises(AttemptFailure) as caught:
            await provider.complete(a_request())
        assert server.requests[0].headers["x-project"] == "hunter2-project"
        told = repr(provider) + repr(caught.value)
    answer = await _streamed(_event({"content": "x"}, words, model=words), _DONE, headers=headers)
    told += answer.ending.provider_reason + answer.ending.served_model
    assert not [secret for secret in ("hunter2", "open-sesame", KEY) if secret in told]
    assert answer.ending.finish_reason is FinishReason.OTHER


async def test_names_of_reasons_and_models_are_short_and_on_one_line() -> None:
    """S6: what a provider calls its model or its reason cannot forge or flood a log."""
    long = "a\n" * 5000
    ending = (await _streamed(_event({"content": "x"}, long, model=long), _DONE)).ending
    assert (len(ending.provider_reason), len(ending.served_model)) == (64, 128)
    assert ending.provider_reason.isprintable()
    assert ending.served_model.isprintable()
    ending = (await _streamed(_event({"content": "x"}, "\x00"), _DONE)).ending
    assert ending.provider_reason == "unprintable"


async def test_a_key_may_change_and_have_its_own_header() -> None:
    """S2: keys rotate without a restart; Azure names its header differently."""
    keys = iter(["one", "two"])
    async with replaying(answering(b"", status=500)) as server, AiohttpTransport() as transport:
        provider = OpenAIProvider(
            "azure",
            server.url + "?api-version=1",
            lambda: next(keys, "later"),
            transport=transport,
            profile_of=lambda _: Profile(),
            key_header="api-key",
            headers={"X-Title": "Paceline"},
        )
        with pytest.raises(AttemptFailure):
            await provider.complete(a_request())
        (request,) = server.requests
        assert request.path == "/v1/chat/completions?api-version=1"
        assert (request.headers["api-key"], request.headers["x-title"]) == ("one", "Paceline")
        assert request.headers["accept-encoding"] == "identity"


async def test_a_key_that_no_header_can_hold_is_not_sent() -> None:
    """S6: a line break in a key splits no header."""
    async with AiohttpTransport() as transport:
        provider = OpenAIProvider(
            "acme", "http://127.0.0.1:1", "a\r\nb", transport=transport, profile_of=lambda _: Profile()
        )
        with pytest.raises(AttemptFailure) as caught:
            await provider.open(a_request())
    assert caught.value.failure_class is FailureClass.AUTHENTICATION
    assert not caught.value.reached_provider


@pytest.mark.parametrize("url", ["", "ftp://x", "https://", "/v1", "https://user:pass@host/v1"])
def test_a_base_url_must_be_one(url: str) -> None:
    """S5: a bad URL is an error of the configuration."""
    with pytest.raises(ValueError, match="base URL"):
        provider_at(url)


async def test_comments_and_roles_are_empty_reads() -> None:
    """A1: keep-alives and role chunks hold no content, so that they re-arm no clock."""
    gate = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.chunks(b": keep-alive\n\n")
        await gate.wait()
        gate.clear()
        await exchange.chunks(_event({"role": "assistant", "content": ""}))
        await gate.wait()
        await exchange.chunks(_event({"content": "Hi"}) + _FINISHED + _DONE)
        await exchange.end()

    async with connected(script) as (provider, _), asyncio.timeout(PATIENCE):
        stream = await provider.open(a_request())
        assert await stream.read() == []
        gate.set()
        assert await stream.read() == []
        gate.set()
        assert await stream.read() == [Delta(0, TextDelta("Hi"))]
        assert await stream.read() is None
        assert await stream.read() is None
        await stream.aclose()


async def test_what_was_read_together_is_one_delta() -> None:
    """Performance: tokens that have arrived are merged, and none waits for another."""
    events = b"".join(_event({"content": str(number)}) for number in range(100))

    async def script(exchange: Exchange) -> None:
        await exchange.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(events + _FINISHED) + events + _FINISHED
        )

    async with connected(script) as (provider, _):
        stream = await provider.open(a_request())
        assert await stream.read() == [Delta(0, TextDelta("".join(map(str, range(100)))))]
        assert await stream.read() is None


@pytest.mark.parametrize("cut", [True, False])
async def test_no_cut_of_a_stream_is_a_success_with_less_text(cut: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """A2: cut at every offset, a stream fails or is whole; the deltas fold to its parts either way."""
    whole = (
        _event({"content": "Grüße, "})
        + _event({"content": "🚲!"})
        + _FINISHED
        + _event(usage={"prompt_tokens": 1})
        + _DONE
    )

    async def script(exchange: Exchange) -> None:
        offset = len(server.requests) - 1
        await exchange.head()
        await exchange.chunks(whole[:offset] or b"\n")
        if cut:
            exchange.drop()
        else:
            await exchange.end()

    async with connected(script) as (provider, server):
        for _ in range(len(whole) + 1):
            try:
                answer = await streamed(provider)
            except AttemptFailure as failure:
                assert failure.failure_class is FailureClass.TRANSIENT  # noqa: PT017 - either outcome is right
            else:
                assert answer.parts == (Part(Text("Grüße, 🚲!")),)
                assert answer.ending.finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([_DONE], FailureClass.TRANSIENT),
        ([b": nothing\n\n"], FailureClass.TRANSIENT),
        ([_event({"content": "x"}), b"data: nonsense\n\n", _FINISHED], FailureClass.MALFORMED_RESPONSE),
        ([_event({"content": "x"}), b'data: {"choices":5}\n\n', _FINISHED], FailureClass.MALFORMED_RESPONSE),
        (
            [b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', _FINISHED],
            FailureClass.MALFORMED_RESPONSE,
        ),
        ([b'data: {"x":' + b"[" * 100_000 + b"\n\n", _FINISHED], FailureClass.MALFORMED_RESPONSE),
        ([_event(error="busy"), _FINISHED, _DONE], FailureClass.TRANSIENT),
        ([_event({}, None, error={"code": 429, "message": "slow"}), _FINISHED], FailureClass.RATE_LIMITED),
        ([b"event: error\ndata: overloaded\n\n", _FINISHED], FailureClass.OVERLOADED),
        (
            [b'data: {"object":"error","message":"maximum context length"}\n\n', _FINISHED],
            FailureClass.CONTEXT_TOO_LONG,
        ),
        ([_event({"content": "x"}, "error"), _DONE], FailureClass.TRANSIENT),
        ([_event({}, "insufficient_system_resource"), _DONE], FailureClass.OVERLOADED),
        ([b"<html><body>Welcome</body></html>"], FailureClass.MALFORMED_RESPONSE),
        ([b'{"error":{"message":"Invalid API key","code":401}}'], FailureClass.AUTHENTICATION),
        ([b'{"hello":1}'], FailureClass.MALFORMED_RESPONSE),
    ],
)
async def test_failures_behind_a_status_of_200(events: list[bytes], expected: FailureClass) -> None:
    """A2, A3: the status promises nothing; only a finish reason without an error does."""
    failure = await _failed(*events)
    assert failure.failure_class is expected
    assert failure.http_status == 200


async def test_content_before_a_failure_is_delivered_first() -> None:
    """C5: what a caller gets does not depend on how the network cut the stream."""
    body = _event({"content": "Hel"}) + _event(error="broken")

    async def script(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async with connected(script) as (provider, _):
        stream = await provider.open(a_request())
        assert await stream.read() == [Delta(0, TextDelta("Hel"))]
        for _again in range(2):
            with pytest.raises(AttemptFailure):
                await stream.read()
        await stream.aclose()


async def test_filtered_after_content_is_an_answer_that_says_so() -> None:
    """A2: what was already said stays said."""
    answer = await _streamed(_event({"content": "Well"}), _event({}, "content_filter"))
    assert answer.ending.finish_reason is FinishReason.CONTENT_FILTER


def _raw(content: str, finish: str = "null") -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%b"},"finish_reason":%b}]}\n\n' % (
        content.encode(),
        finish.encode(),
    )


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([r"a\ud83d", r"\ude00b"], "a\U0001f600b"),
        ([r"\ud83d", r"\ude00\ud83d", r"\ude01"], "\U0001f600\U0001f601"),
        ([r"\ud83d\ude00"], "\U0001f600"),
        ([r"a\ud83d", "b"], "a\ufffdb"),
        ([r"a\ud83d", r"b\ude00"], "a\ufffdb\ufffd"),
        ([r"\ude00"], "\ufffd"),
        ([r"\ud83d"], "\ufffd"),
        ([r"\ud83d", r"\ud83d", r"\ude00"], "\ufffd\U0001f600"),
        ([r"\ud83d x \ude00"], "\ufffd x \ufffd"),
        ([r"\\ud83d", r"\\ude00"], r"\ud83d\ude00"),
    ],
)
async def test_halves_of_characters_are_joined_or_replaced(contents: list[str], expected: str) -> None:
    """A2: a server that cuts its text inside an emoji still answers; all around the cut is kept."""
    answer = await _streamed(*map(_raw, contents), _FINISHED, _DONE)
    assert answer.parts == (Part(Text(expected)),)
    last = [*map(_raw, contents[:-1]), _raw(contents[-1], '"stop"')]
    assert (await _streamed(*last, _DONE)).parts == (Part(Text(expected)),)


async def test_a_half_in_a_document_is_replaced() -> None:
    """A2, A3: in a whole answer and in an error nothing follows that could complete it."""
    body = rb'{"choices":[{"message":{"content":"a\ud83d"},"finish_reason":"stop"}]}'
    async with connected(answering(body)) as (provider, _):
        assert (await provider.complete(a_request())).parts == (Part(Text("a\ufffd")),)
    async with connected(answering(rb'{"error":{"message":"a\ud83d","code":"c"}}', status=400)) as (
        provider,
        _,
    ):
        with pytest.raises(AttemptFailure) as caught:
            await provider.complete(a_request())
    assert (caught.value.message, caught.value.provider_code) == ("a\ufffd", "c")


async def test_a_document_where_a_stream_was_asked_for_is_read() -> None:
    """A2: some servers ignore the wish to stream; their answer is whole all the same."""
    document = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert (await _streamed(b"\n\n " + json.dumps(document).encode())).parts == (Part(Text("Hi")),)


async def test_only_a_document_must_have_choices() -> None:
    """A2, K4: an event may tell the usage alone; a document without choices is no answer."""
    usage = b'{"usage":{"prompt_tokens":5,"completion_tokens":7}}'
    told = await _streamed(_event({"content": "x"}, "stop"), b"data: " + usage + b"\n\n", _DONE)
    assert told.ending.usage == Usage(5, 7)
    async with connected(answering(usage)) as (provider, _):
        with pytest.raises(AttemptFailure) as caught:
            await provider.complete(a_request())
    assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE


async def test_an_event_above_the_bound_is_malformed() -> None:
    """A2: one event cannot fill the memory."""
    failure = await _failed(_event({"content": "x" * 5000}), _FINISHED, max_event_bytes=1000)
    assert failure.failure_class is FailureClass.MALFORMED_RESPONSE


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_above_the_bound_is_malformed(stream: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """A2: an answer is bounded, whole or streamed."""
    script = answering(_event({"content": "x" * 500}) * 100, seed=2)
    async with connected(script, max_answer_bytes=10_000) as (provider, server):
        with pytest.raises(AttemptFailure) as caught:
            await (streamed(provider) if stream else provider.complete(a_request()))
        await server.until(lambda: server.open_count == 0)
    assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE


async def test_the_bound_is_for_what_a_stream_says() -> None:
    """A2: frames, roles and pings around the tokens are no part of the answer, and do not cut it."""
    tokens = [_event({"content": "x"}, system_fingerprint="f" * 200) for _ in range(100)]
    answer = await _streamed(b": ping\n\n" * 200, *tokens, _FINISHED, _DONE, max_answer_bytes=100)
    assert answer.parts == (Part(Text("x" * 100)),)
    failure = await _failed(*tokens, _event({"content": "x"}), _FINISHED, _DONE, max_answer_bytes=100)
    assert failure.failure_class is FailureClass.MALFORMED_RESPONSE


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x" * 60_000},
        {"reasoning": "x" * 60_000},
        {"refusal": "x" * 60_000},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x" * 60_000}]},
        {"reasoning_details": [{"type": "reasoning.text", "signature": "x" * 60_000}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "x" * 60_000}}]},
    ],
)
async def test_an_endless_stream_is_refused_at_the_bound(delta: dict[str, Any]) -> None:
    """A2: a stream of 100 MB is refused when the bound is passed, in whatever part it is, and not held."""
    sent = 0

    async def endless(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.head()
        while sent < 100_000_000:
            await exchange.chunks(_event(delta))
            sent += 60_000

    async with connected(endless, max_answer_bytes=1_000_000) as (provider, server):
        with pytest.raises(AttemptFailure) as caught:
            await streamed(provider)
        await server.until(lambda: server.open_count == 0)
    assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE
    assert sent < 20_000_000


async def test_an_endless_document_is_refused_at_the_bound() -> None:
    """A2: a document where a stream was asked for is bounded by its bytes, as it is collected whole."""
    failure = await _failed(b"{" + b" " * 200_000, max_answer_bytes=100_000)
    assert failure.failure_class is FailureClass.MALFORMED_RESPONSE
    assert "larger" in failure.message


@pytest.mark.parametrize("space", [b" ", b"\n", b"\r\n ", b" \t" * 5000])
@pytest.mark.parametrize("cut", [True, False])
async def test_white_space_before_the_first_event_is_nothing(space: bytes, cut: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """A2: what keeps a queued request alive is neither kept nor read, in one piece with an event or not."""
    first = _event({"content": "x"})

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.chunks(space)
        await exchange.chunks(*([space, first] if cut else [space + first]))
        await exchange.chunks(_event({"content": "y"}) + _FINISHED + _DONE)
        await exchange.end()

    async with connected(script, max_event_bytes=1000) as (provider, _):
        assert (await streamed(provider)).parts == (Part(Text("xy")),)


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_an_error_without_its_explanation_is_classed_by_status_and_headers(status: int) -> None:
    """A3: a provider that never ends the body of its error fails the attempt, and does not hang it."""

    async def script(exchange: Exchange) -> None:
        await exchange.head(status, {"retry-after": "7"})
        await exchange.until_closed()

    expected = {
        401: FailureClass.AUTHENTICATION,
        429: FailureClass.RATE_LIMITED,
        503: FailureClass.OVERLOADED,
    }
    async with connected(script, error_patience=0.01) as (provider, server), asyncio.timeout(PATIENCE):
        with pytest.raises(AttemptFailure) as caught:
            await provider.open(a_request())
        await server.until(lambda: server.open_count == 0)
    assert (caught.value.failure_class, caught.value.retry_after) == (expected[status], 7.0)


@pytest.mark.parametrize("stage", ["headers", "content", "more"])
async def test_a_cancelled_attempt_closes_its_connection(stage: str) -> None:
    """A6: before headers, before content and mid-stream."""

    async def script(exchange: Exchange) -> None:
        if stage != "headers":
            await exchange.head()
        if stage == "more":
            await exchange.chunks(_event({"content": "x"}))
        await exchange.until_closed()

    async with connected(script) as (provider, server):
        task = asyncio.create_task(streamed(provider))
        await server.until(lambda: len(server.requests) == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: server.open_count == 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_unary_call_closes_its_connection() -> None:
    """A6: in the middle of a whole answer as well."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.chunks(b"   \n")
        await exchange.until_closed()

    async with connected(script) as (provider, server):
        task = asyncio.create_task(provider.complete(a_request()))
        await server.until(lambda: len(server.requests) == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: server.open_count == 0)


async def test_a_stream_read_to_its_end_leaves_its_connection_for_the_next() -> None:
    """A6: the end of the body often comes a moment after the last event."""
    async with connected(answering(_event({"content": "x"}) + _FINISHED + _DONE, seed=1)) as (
        provider,
        server,
    ):
        for _ in range(4):
            await streamed(provider)
        assert server.connection_count == 1


async def test_a_server_that_never_ends_its_body_does_not_hold_a_finished_answer() -> None:
    """A2: after the terminal marker nothing is waited for but the connection, and that not for long."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.chunks(_event({"content": "x"}) + _FINISHED + _DONE)
        await exchange.until_closed()

    async with connected(script) as (provider, server), asyncio.timeout(PATIENCE):
        stream = await provider.open(a_request())
        deltas, ending = await drained(stream)
        assert (fold(deltas), ending.finish_reason) == ((Part(Text("x")),), FinishReason.STOP)
        await stream.aclose()
        await server.until(lambda: server.open_count == 0)


@pytest.mark.parametrize("usage", [None, Usage(5, 7)])
async def test_an_answer_is_whole_at_its_finish_reason(usage: Usage | None) -> None:
    """A2: a server that then neither says more nor closes is not waited for, nor are pings taken for more."""
    told = _event(usage={"prompt_tokens": 5, "completion_tokens": 7}) if usage else b""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.chunks(_event({"content": "x"}), _FINISHED + told)
        for _ in range(1000):
            await exchange.chunks(b": ping\n\n")
        await exchange.until_closed()

    async with connected(script, finish_patience=0.1) as (provider, server), asyncio.timeout(PATIENCE):
        answer = await streamed(provider)
        await server.until(lambda: server.open_count == 0)
    assert (answer.parts, answer.ending.usage) == ((Part(Text("x")),), usage)


async def test_the_ending_is_known_only_at_the_end() -> None:
    """A2: nobody can take a running answer for a finished one."""
    async with connected(answering(_FINISHED)) as (provider, _):
        stream = await provider.open(a_request())
        with pytest.raises(RuntimeError):
            _ = stream.ending
        await stream.aclose()


async def test_several_calls_at_index_0_are_several_calls() -> None:
    """A2: some servers number all whole calls 0, repeat ids and names, or give no index at all."""
    calls = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}},
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}},
        {"index": 0, "id": "b", "function": {"name": "f", "arguments": {"x": 1}}},
        {"id": "c", "function": {"name": "g", "arguments": ""}},
        {"function": {"arguments": "{}"}},
        {"function": {"name": "h", "arguments": "[]"}},
    ]
    answer = await _streamed(*(_event({"tool_calls": [call]}) for call in calls), _event({}, "tool_calls"))
    assert [part.kind for part in answer.parts] == [
        ToolCall("a", "f", "{}"),
        ToolCall("b", "f", '{"x":1}'),
        ToolCall("c", "g", "{}"),
        ToolCall("call_3", "h", "[]"),
    ]


def _many_calls(count: int) -> dict[str, Any]:
    return {"tool_calls": [{"index": number, "id": f"c{number}"} for number in range(count)]}


def _many_calls_without_index(count: int) -> dict[str, Any]:
    return {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}] * count}


def _many_thoughts(count: int) -> dict[str, Any]:
    return {"reasoning_details": [{"type": "t", "index": number, "text": "x"} for number in range(count)]}


@pytest.mark.parametrize("many", [_many_calls, _many_calls_without_index, _many_thoughts])
async def test_an_answer_of_too_many_parts_is_malformed(many: Callable[[int], dict[str, Any]]) -> None:
    """A2: 1,024 parts are an answer, streamed or whole, and one more is not."""
    assert len((await _streamed(_event(many(1024)), _FINISHED)).parts) == 1024
    assert (await _failed(_event(many(1025)), _FINISHED)).failure_class is FailureClass.MALFORMED_RESPONSE
    with pytest.raises(AttemptFailure) as caught:
        await _completed({"choices": [{"message": many(1025), "finish_reason": "stop"}]})
    assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE


async def test_many_fragments_of_few_parts_are_an_answer() -> None:
    """A2: fragments are counted by the part they belong to, and joined once."""
    fragments = [{"index": number % 2, "function": {"arguments": "x"}} for number in range(50_000)]
    answer = await _completed({"choices": [{"message": {"tool_calls": fragments}, "finish_reason": "stop"}]})
    assert [part.kind for part in answer.parts] == [
        ToolCall(f"call_{place}", "", "x" * 25_000) for place in (0, 1)
    ]


async def test_signatures_and_sealed_thoughts_are_kept() -> None:
    """A8: what a provider needs back is kept with its part, and named as this provider's."""
    detail = {"type": "reasoning.text", "index": 0, "format": "f"}
    answer = await _streamed(
        _event({"reasoning": "hm", "reasoning_details": [{**detail, "text": "h"}]}),
        _event({"reasoning_details": [{**detail, "text": "m"}]}),
        _event({"reasoning_details": [{**detail, "signature": "s"}]}),
        _event({"reasoning_details": [{"type": "reasoning.encrypted", "index": 1, "data": "xyz"}]}),
        _event({"content": "4"}),
        _FINISHED,
    )
    thought, sealed, text = answer.parts
    assert thought == Part(
        Reasoning("hm"),
        ProviderSignature("acme", b'{"type":"reasoning.text","format":"f","index":0,"signature":"s"}'),
    )
    assert sealed.kind == Reasoning(redacted_data=b"xyz")
    assert text.kind == Text("4")


async def test_confidence_is_the_mean_token_probability() -> None:
    """R5: from the log probabilities of the answer's tokens, and missing where there are none."""
    tokens = [{"token": "a", "logprob": math.log(0.5)}, {"token": "b", "logprob": 0.0}]
    choice = {"message": {"content": "ab"}, "finish_reason": "stop", "logprobs": {"content": tokens}}
    confidence = (await _completed({"choices": [choice]})).ending.confidence
    assert confidence is not None
    assert confidence.source is ConfidenceSource.LOGPROBS
    assert confidence.value == pytest.approx(0.75)
    odd = [{"logprob": text} for text in ("nan", "inf", None)]
    choice["logprobs"] = {"content": [*tokens, *odd]}
    assert (await _completed({"choices": [choice]})).ending.confidence == confidence
    choice["logprobs"] = {"content": odd}
    assert (await _completed({"choices": [choice]})).ending.confidence is None
    assert (await _streamed(_FINISHED)).ending.confidence is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"prompt_tokens": "5", "completion_tokens": 7.0}, Usage(5, 7)),
        ({"prompt_tokens": 5, "completion_tokens": -7, "cost": -1}, Usage(5, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(5, 0, 5)),
        ({"prompt_tokens": 5, "num_cached_tokens": 3}, Usage(5, 0, 3)),
        ({"completion_tokens": 2, "cost": 0.00012}, Usage(0, 2, cost_nano_usd=120_000)),
        (
            {
                "prompt_tokens": 1,
                "cost": 0,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 1e-6},
            },
            Usage(1, 0, cost_nano_usd=1000),
        ),
        ({"prompt_tokens": 1, "cost": {"total_cost": 0.5}}, Usage(1, 0, cost_nano_usd=500_000_000)),
        ({"prompt_tokens": 1, "cost": 1e300}, Usage(1, 0)),
        ({"prompt_tokens": 10**30}, Usage(2**31 - 1, 0)),
    ],
)
async def test_usage_is_what_the_provider_told(told: dict[str, Any], expected: Usage) -> None:
    """K4: counts are the provider's own; a part never exceeds its total."""
    assert (await _streamed(_FINISHED, _event(usage=told), _event(usage=None))).ending.usage == expected
