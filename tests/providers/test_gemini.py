"""What the Gemini adapter makes of answers, those of a provider that misbehaves included."""

from __future__ import annotations

import asyncio
import json
import math
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import pytest

from paceline_server.completion.answer import ConfidenceSource, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Media, Part, ProviderSignature, Reasoning, Text, ToolCall
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import Usage
from paceline_server.providers.base import Answer
from tests.providers.gemini_support import (
    FINISHED,
    a_request,
    chunk,
    connected,
    event,
    kinds_of,
    read_events,
    read_whole,
    sse,
    streamed,
)
from tests.providers.replay import PATIENCE, Exchange, answering


def _streamed(*chunks: object) -> Answer:
    return read_events(sse(*chunks))


def _failed(*chunks: object) -> AttemptFailure:
    with pytest.raises(AttemptFailure) as caught:
        _streamed(*chunks)
    return caught.value


def _text(text: str, **members: Any) -> dict[str, Any]:
    return {"text": text, **members}


def test_neighbours_of_one_kind_are_one_part() -> None:
    """A2: pieces of text join until something else comes between, and what is signed joins nothing."""
    answer = _streamed(
        chunk(_text("Hm", thought=True)),
        chunk(_text(".", thought=True), _text("One ")),
        chunk(_text("two"), _text("")),
        chunk(_text(" three", thoughtSignature="c2ln")),
        chunk(_text("four"), {"unheardOf": {"a": 1}}),
        chunk(_text("five"), {"functionCall": {"name": "f", "args": {}, "id": "1"}}),
        chunk(_text("six"), reason="STOP"),
    )
    signature = ProviderSignature("acme", b"c2ln")
    assert answer.parts == (
        Part(Reasoning("Hm.")),
        Part(Text("One two")),
        Part(Text(" three"), signature),
        Part(Text("fourfive")),
        Part(ToolCall("1", "f", "{}")),
        Part(Text("six")),
    )
    assert answer.ending.finish_reason is FinishReason.TOOL_CALLS
    assert answer.ending.provider_reason == "STOP"
    assert answer.ending.served_model == "gemini-test"


def test_a_signature_alone_is_a_part() -> None:
    """A8: an empty text may bear the signature of the whole answer, which the provider wants back."""
    last = chunk(_text("", thoughtSignature="ZW5k"), reason="STOP")
    answer = _streamed(chunk(_text("Yes.")), last)
    assert answer.parts[1] == Part(Text(""), ProviderSignature("acme", b"ZW5k"))


def test_media_are_whole_parts() -> None:
    """A2: pictures come in base64 of either alphabet; sketches of a thought are no answer."""
    data = bytes(range(256))
    plain = b64encode(data).decode()
    url_safe = plain.replace("+", "-").replace("/", "_").rstrip("=")
    answer = _streamed(
        chunk({"thought": True, "inlineData": {"mimeType": "image/png", "data": "eA=="}}),
        chunk({"inlineData": {"mimeType": "image/png", "data": plain}, "thoughtSignature": "aQ=="}),
        chunk({"inlineData": {"mimeType": "image/webp", "data": url_safe}}),
        chunk({"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/v"}}, reason="STOP"),
    )
    assert kinds_of(answer.parts) == [
        Media("image/png", data),
        Media("image/webp", data),
        Media("video/mp4", uri="https://example.com/v"),
    ]
    assert answer.parts[0].signature == ProviderSignature("acme", b"aQ==")


def test_calls_without_ids_get_some() -> None:
    """A2: a result must be able to name its call, also among those of other answers of the conversation."""
    calls = [{"functionCall": {"name": "f", "args": {"a": number}}} for number in range(2)]
    ids = {
        call.id
        for response_id in ("aB3_-x", "Zz/../9")
        for call in kinds_of(read_whole(chunk(*calls, reason="STOP", responseId=response_id)).parts)
        if isinstance(call, ToolCall)
    }
    assert ids == {"paceline_aB3_-x_0", "paceline_aB3_-x_1", "paceline_Zz9_0", "paceline_Zz9_1"}
    (kind,) = kinds_of(read_whole(chunk(calls[0], reason="STOP", responseId="x" * 500)).parts)
    assert isinstance(kind, ToolCall)
    assert len(kind.id) <= 40  # the longest that some providers take in a conversation that goes on there


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (b'{ "a" : 1.0,\n "b": 123456789012345678901 }', '{"a":1.0,"b":123456789012345678901}'),
        (rb'{"a":"\ud83d\ude00"}', r'{"a":"\ud83d\ude00"}'),
        (rb'{"a":"\ud83d"}', r'{"a":"\ufffd"}'),
        (b"null", "{}"),
        (b'"text"', '"text"'),
    ],
)
def test_arguments_are_the_models_own_text(args: bytes, expected: str) -> None:
    """A2: numbers keep their form, and only white space is lost."""
    body = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":' + args
    (kind,) = kinds_of(read_whole(body + b'}}]},"finishReason":"STOP"}]}').parts)
    assert isinstance(kind, ToolCall)
    assert kind.arguments_json == expected


@pytest.mark.parametrize(
    ("reason", "expected", "told"),
    [
        ("STOP", FinishReason.STOP, "STOP"),
        (1, FinishReason.STOP, "STOP"),
        ("2", FinishReason.LENGTH, "MAX_TOKENS"),
        ("MAX_TOKENS", FinishReason.LENGTH, "MAX_TOKENS"),
        ("SAFETY", FinishReason.CONTENT_FILTER, "SAFETY"),
        ("RECITATION", FinishReason.CONTENT_FILTER, "RECITATION"),
        ("LANGUAGE", FinishReason.CONTENT_FILTER, "LANGUAGE"),
        ("BLOCKLIST", FinishReason.CONTENT_FILTER, "BLOCKLIST"),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER, "PROHIBITED_CONTENT"),
        ("SPII", FinishReason.CONTENT_FILTER, "SPII"),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER, "IMAGE_SAFETY"),
        ("MODEL_ARMOR", FinishReason.CONTENT_FILTER, "MODEL_ARMOR"),
        ("OTHER", FinishReason.OTHER, "OTHER"),
        ("UNHEARD_OF", FinishReason.OTHER, "UNHEARD_OF"),
        (9, FinishReason.OTHER, "9"),
    ],
)
def test_finish_reasons(reason: str | int, expected: FinishReason, told: str) -> None:
    """A2: each of the provider's words is one of ours, and is told as it is."""
    for answer in (_streamed(chunk(reason=reason)), read_whole(chunk(_text("x"), reason=reason))):
        assert (answer.ending.finish_reason, answer.ending.provider_reason) == (expected, told)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"])
def test_a_model_that_fails_at_its_tools_has_not_answered(reason: str) -> None:
    """A2: the answer is not whole, and asked again the model may manage."""
    failed = chunk(_text("I will"), reason=reason)
    failed["candidates"][0]["finishMessage"] = "no such\ntool"
    failure = _failed(chunk(_text("x")), failed)
    assert (failure.failure_class, failure.provider_code) == (FailureClass.MALFORMED_RESPONSE, reason)
    assert failure.message == "no such tool"


@pytest.mark.parametrize("unset", [None, "", "FINISH_REASON_UNSPECIFIED", 0])
def test_an_answer_without_a_reason_is_not_whole(unset: object) -> None:
    """A2: a stream that ends without its terminal marker was cut."""
    told = chunk(_text("x"))
    told["candidates"][0]["finishReason"] = unset
    assert _failed(told).failure_class is FailureClass.TRANSIENT


def test_a_prompt_that_was_not_answered_ends_filtered() -> None:
    """A2: the ending says so, with the usage that a failure could not carry."""
    blocked = {"promptFeedback": {"blockReason": "JAILBREAK"}, "usageMetadata": {"promptTokenCount": 7}}
    for answer in (_streamed(blocked), read_whole(blocked), read_whole([blocked])):
        assert answer.parts == ()
        assert answer.ending.finish_reason is FinishReason.CONTENT_FILTER
        assert answer.ending.provider_reason == "JAILBREAK"
        assert answer.ending.usage == Usage(7, 0)
    rated = chunk(_text("x"), reason="STOP", promptFeedback={"safetyRatings": []})
    assert _streamed(rated).ending.finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"promptTokenCount": 5, "candidatesTokenCount": 7}, Usage(5, 7)),
        ({"promptTokenCount": "5", "candidatesTokenCount": 7.0}, Usage(5, 7)),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 3}, Usage(5, 3, reasoning_token_count=3)),
        (
            {
                "promptTokenCount": 5,
                "toolUsePromptTokenCount": 10,
                "candidatesTokenCount": 7,
                "thoughtsTokenCount": 3,
                "cachedContentTokenCount": 4,
                "totalTokenCount": 25,
            },
            Usage(15, 10, 4, None, 3),
        ),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 9}, Usage(5, 0, 5)),
        ({"promptTokenCount": -5, "candidatesTokenCount": 10**30}, Usage(0, 2**31 - 1)),
        ({"trafficType": "ON_DEMAND"}, None),
    ],
)
def test_usage_is_what_the_provider_told(told: dict[str, Any], expected: Usage | None) -> None:
    """K4: the last counts are the answer's; each token is counted once, and no part exceeds its total."""
    assert _streamed(chunk(usageMetadata=told), FINISHED).ending.usage == expected
    first = chunk(usageMetadata={"promptTokenCount": 99, "candidatesTokenCount": 99})
    later = _streamed(first, chunk(usageMetadata=told), FINISHED).ending.usage
    assert later == (expected or Usage(99, 99))


def test_confidence_is_the_mean_token_probability() -> None:
    """R5: of the tokens that came, else the average that was told, unless it is over thoughts as well."""
    tokens = [{"logProbability": math.log(0.5)}, {"logProbability": 0.0}, {"logProbability": "nan"}]
    told = chunk(_text("ab"))
    told["candidates"][0] |= {"avgLogprobs": -5, "logprobsResult": {"chosenCandidates": tokens}}
    confidence = _streamed(told, FINISHED).ending.confidence
    assert confidence is not None
    assert confidence.source is ConfidenceSource.LOGPROBS
    assert confidence.value == pytest.approx(0.75)

    average = chunk(_text("ab"), reason="STOP", usageMetadata={"promptTokenCount": 1})
    average["candidates"][0]["avgLogprobs"] = math.log(0.25)
    confidence = read_whole(average).ending.confidence
    assert confidence is not None
    assert confidence.value == pytest.approx(0.25)
    average["usageMetadata"]["thoughtsTokenCount"] = 4
    assert read_whole(average).ending.confidence is None
    assert _streamed(FINISHED).ending.confidence is None


def _sure(
    tokens: Sequence[tuple[str, float]], *parts: Any, thoughts: int = 0, count: int = 1
) -> float | None:
    chosen = [{"token": token, "logProbability": math.log(value)} for token, value in tokens]
    usage = {"promptTokenCount": 1, "candidatesTokenCount": count, "thoughtsTokenCount": thoughts}
    told = chunk(*parts, reason="STOP", usageMetadata=usage)
    told["candidates"][0] |= {"logprobsResult": {"chosenCandidates": chosen}}
    confidence = read_whole(told).ending.confidence
    return None if confidence is None else confidence.value


def test_the_confidence_is_that_of_the_answer_alone() -> None:
    """R5: tokens of thoughts do not count, nor does layout; where thoughts may be among them nothing does."""
    tokens = [("hm", 0.125), ("4", 0.5), ("\n", 1.0)]
    thought = {"text": "hm", "thought": True}
    assert _sure(tokens[1:], _text("4\n"), count=2) == 0.5
    assert _sure(tokens, thought, _text("4"), thoughts=1, count=2) == 0.5
    assert _sure(tokens, thought, thoughts=1) is None
    assert _sure(tokens, _text("4"), thoughts=1, count=2) is None
    assert _sure(tokens[1:], _text("4"), thoughts=9, count=2) == 0.5


def test_only_the_one_answer_that_was_asked_for_is_read() -> None:
    """A2: a server that gives several answers does not mix them."""
    told = chunk(_text("first"), reason="STOP")
    told["candidates"].append({"index": 1, "content": {"parts": [_text("second")]}})
    assert _streamed(told).parts == (Part(Text("first")),)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"candidates": []},
        {"candidates": None},
        {"candidates": [{}]},
        {"candidates": [{"content": None}]},
        {"candidates": [{"content": {}}]},
        {"candidates": [{"content": {"parts": None}}]},
        {"candidates": [{"content": {"parts": []}}]},
        {"candidates": [{"content": {"parts": [{}, {"text": None}, {"unheardOf": 1}]}}]},
        {"usageMetadata": None, "promptFeedback": None, "modelVersion": None},
    ],
)
def test_what_says_nothing_is_passed_over(odd: dict[str, Any]) -> None:
    """A2: empty candidates, contents and parts, and parts of unheard-of kinds, end no answer."""
    assert _streamed(chunk(_text("x")), odd, FINISHED).parts == (Part(Text("x")),)


@pytest.mark.parametrize(
    "odd",
    [
        "text",
        7,
        [],
        {"candidates": {}},
        {"candidates": [7]},
        {"candidates": [{"content": {"parts": [{"text": 7}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]},
        {"candidates": [{"content": {"parts": [{"inlineData": {"data": "?"}}]}}]},
        {"candidates": [{"content": {"parts": [{"inlineData": {"data": "xxxxx"}}]}}]},
    ],
)
def test_what_is_no_answer_is_malformed(odd: object) -> None:
    """A2: as an event and as a document, whatever was good before it."""
    assert _failed(chunk(_text("x")), odd).failure_class is FailureClass.MALFORMED_RESPONSE
    for document in (odd, [odd]):
        with pytest.raises(AttemptFailure) as caught:
            read_whole(document)
        assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE


@pytest.mark.parametrize(
    "document",
    [
        b"<html>Sign in</html>",
        b"{}",
        b"[]",
        b'[{"candidates":[{"content":{"parts":[{"text":"x"}]}}]},{"cand',
        b'{"candidates":[{"finishReason":"STOP"}]} trailing',
        b"[" * 100_000,
        b'{"candidates":' + b"[" * 100_000,
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":"\xff"}}}]}}]}',
    ],
)
async def test_a_document_that_is_no_answer_is_malformed(document: bytes) -> None:
    """A2: pages of HTML, cut arrays and depths without end, behind a status of 200."""
    async with connected(answering(document)) as (provider, server):
        for ask in (provider.complete(a_request()), streamed(provider)):
            with pytest.raises(AttemptFailure) as caught:
                await ask
            assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE
        await server.until(lambda: server.open_count <= 1)


async def test_an_empty_body_is_no_answer() -> None:
    """A2: a stream that says nothing was cut, and a document that says nothing is none."""
    async with connected(answering(b"")) as (provider, _):
        with pytest.raises(AttemptFailure) as caught:
            await streamed(provider)
        assert caught.value.failure_class is FailureClass.TRANSIENT
        with pytest.raises(AttemptFailure) as caught:
            await provider.complete(a_request())
        assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE


async def test_a_stream_in_an_array_is_read_too() -> None:
    """A2: a server that gives no events gives all chunks in one array, where an error may stand, too."""
    whole = json.dumps([chunk(_text("a")), chunk(_text("b"), reason="STOP")]).encode()
    async with connected(answering(b" \n" + whole, seed=3)) as (provider, _):
        for answer in (await streamed(provider), await provider.complete(a_request())):
            assert answer.parts == (Part(Text("ab")),)
    broken = json.dumps([chunk(_text("a")), {"error": {"code": 503, "message": "busy"}}]).encode()
    async with connected(answering(broken)) as (provider, _):
        with pytest.raises(AttemptFailure) as caught:
            await streamed(provider)
    assert caught.value.failure_class is FailureClass.OVERLOADED


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([r"a\ud83d", r"\ude00b"], "a\U0001f600b"),
        ([r"a\ud83d", "b"], "a\ufffdb"),
        ([r"\ud83d"], "\ufffd"),
        ([r"\ude00"], "\ufffd"),
    ],
)
def test_halves_of_characters_are_joined(texts: list[str], expected: str) -> None:
    """A2: text that was cut inside an emoji is whole again, and half of one alone is replaced."""
    pieces = [
        f'data: {{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}}}]}}\r\n\r\n'.encode()
        for text in texts
    ]
    answer = read_events(*pieces, event(FINISHED))
    assert answer.parts == (Part(Text(expected)),)
    document = b"[" + b",".join(piece[6:] for piece in (*pieces, event(FINISHED))) + b"]"
    assert len(read_whole(document).parts) == 1


@pytest.mark.parametrize("aside", [{}, {"candidates": []}, {"candidates": [{"content": {"role": "model"}}]}])
def test_usage_may_come_between_two_halves(aside: dict[str, Any]) -> None:
    """A2, K4: a chunk that tells only usage is read, and tears no character apart."""
    first, second = (
        event(chunk(_text("HALF"))).replace(b"HALF", half) for half in (rb"a\ud83d", rb"\ude00b")
    )
    usage = event({**aside, "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7}})
    answer = read_events(first, usage, usage, second, event(FINISHED))
    assert (answer.parts, answer.ending.usage) == ((Part(Text("a\U0001f600b")),), Usage(5, 7))
    alone = read_events(first, usage, event(FINISHED))
    assert (alone.parts, alone.ending.usage) == ((Part(Text("a\ufffd")),), Usage(5, 7))


async def test_an_answer_ends_where_its_body_does() -> None:
    """A2: chunks may follow a finish reason, so the end of the body is waited for, but not for ever."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.chunks(event(chunk(_text("a"), reason="STOP")))
        await exchange.chunks(event(chunk(_text("b"), reason="MAX_TOKENS")))
        await exchange.until_closed()

    async with connected(script, finish_patience=0.1) as (provider, server), asyncio.timeout(PATIENCE):
        answer = await streamed(provider)
        await server.until(lambda: server.open_count == 0)
    assert answer.parts == (Part(Text("ab")),)
    assert answer.ending.finish_reason is FinishReason.LENGTH


async def test_a_finished_stream_leaves_its_connection_for_the_next() -> None:
    """A6: the pool slot comes back with the end of the body."""
    async with connected(answering(sse(chunk(_text("x")), FINISHED), seed=1)) as (provider, server):
        for _ in range(3):
            await streamed(provider)
        assert server.connection_count == 1


async def test_an_event_of_50_mb_is_refused_at_the_bound() -> None:
    """A2: a picture is one event, so the bound is that of a whole answer; what passes it is not held."""
    sent = 0

    async def endless(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.head()
        await exchange.chunks(b'data: {"candidates":[{"content":{"parts":[{"text":"')
        while sent < 50_000_000:
            await exchange.chunks(b"x" * 65_536)
            sent += 65_536

    async with connected(endless) as (provider, server):
        with pytest.raises(AttemptFailure) as caught:
            await streamed(provider)
        await server.until(lambda: server.open_count == 0)
    assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE
    assert sent < 40_000_000


@pytest.mark.parametrize(("size", "options"), [(6_000_000, {}), (13_000_000, {"max_answer_bytes": 1 << 25})])
async def test_a_picture_of_some_megabytes_is_an_answer(size: int, options: dict[str, Any]) -> None:
    """A2: one event may be larger than the tokens of any stream, and as large as the answer may be."""
    data = bytes(size)
    picture = chunk(
        {"inlineData": {"mimeType": "image/png", "data": b64encode(data).decode()}}, reason="STOP"
    )
    async with connected(answering(event(picture), seed=2), **options) as (provider, _):
        assert kinds_of((await streamed(provider)).parts) == [Media("image/png", data)]


async def test_an_event_above_the_bound_of_answers_is_malformed() -> None:
    """A2: where answers are to be small, so are the events that hold them."""
    picture = {"inlineData": {"mimeType": "image/png", "data": b64encode(bytes(20_000)).decode()}}
    async with connected(answering(event(chunk(picture))), max_answer_bytes=10_000) as (provider, _):
        with pytest.raises(AttemptFailure, match="an event is larger than 10000 bytes"):
            await streamed(provider)


async def test_media_without_end_are_refused_at_the_bound() -> None:
    """A2: what a stream shows counts like what it says."""
    blob = {"inlineData": {"mimeType": "image/png", "data": b64encode(bytes(40_000)).decode()}}
    async with connected(answering(sse(*[chunk(blob)] * 60), seed=2), max_answer_bytes=1_000_000) as (
        provider,
        server,
    ):
        with pytest.raises(AttemptFailure) as caught:
            await streamed(provider)
        await server.until(lambda: server.open_count == 0)
    assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE


def test_an_answer_of_too_many_parts_is_malformed() -> None:
    """A2: 1,024 parts are an answer, streamed or whole, and one more is not."""
    call = {"functionCall": {"name": "f"}}
    assert len(_streamed(*[chunk(*[call] * 256)] * 4, FINISHED).parts) == 1024
    assert _failed(*[chunk(call)] * 1025).failure_class is FailureClass.MALFORMED_RESPONSE
    thoughts = [_text("x", thoughtSignature="cw==")] * 1025
    with pytest.raises(AttemptFailure):
        read_whole(chunk(*thoughts, reason="STOP"))
