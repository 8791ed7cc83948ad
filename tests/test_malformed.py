"""What is no answer at all, from a provider through the whole gateway: the next target answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from paceline.v1 import chain_pb2, completion_pb2
from tests.built import JSON_HEADERS, STREAM_HEADERS, answers, built, document, words
from tests.providers.replay import Exchange, answering, replaying
from tests.rpc.gateway import ask, failure, read_stream, texts

MALFORMED = completion_pb2.FAILURE_CLASS_MALFORMED_RESPONSE
NO_RETRY = "attempts: {transient_retry_count: 0}\n"
WELL = "All is well."

NOT_UTF_8 = {
    "a byte that never occurs": b"\xff",
    "half a character": b"\xc3",
    "a character in too many bytes": b"\xc0\xaf",
    "half a surrogate pair": b"\xed\xa0\x80",
}


def broken(body: bytes, bad: bytes) -> bytes:
    """An answer whose text has these bytes in its midst."""
    assert b"MARK" in body
    return body.replace(b"MARK", b"be" + bad + b"fore")


def chain_of(first: str, second: str) -> str:
    """A gateway's configuration with the two providers."""
    entries = [
        f"  {name}: {{format: openai, base_url: '{url}'}}\n"
        for name, url in (("first", first), ("second", second))
    ]
    return NO_RETRY + "providers:\n" + "".join(entries)


@pytest.mark.parametrize("bad", NOT_UTF_8.values(), ids=NOT_UTF_8)
async def test_a_whole_answer_that_is_not_utf_8_is_malformed(tmp_path: Path, bad: bytes) -> None:
    """A2, A3: invalid UTF-8 in an answer is MALFORMED_RESPONSE, and the next target answers."""
    script = answering(broken(document("MARK"), bad), headers=JSON_HEADERS)
    async with (
        replaying(script) as first,
        replaying(answers) as second,
        built(tmp_path, chain_of(first.url, second.url)) as gate,
    ):
        response = await gate.chain.Chain(ask("first/m,second/m"))
        check(response)
        told = await failure(gate.chain.Chain(ask("first/m")))
        assert told.call_failure.attempts[0].failure_class == MALFORMED


@pytest.mark.parametrize("bad", NOT_UTF_8.values(), ids=NOT_UTF_8)
@pytest.mark.parametrize("before", [b"", words("Well begun.").partition(b"\n\n")[0] + b"\n\n"])
async def test_a_stream_that_is_not_utf_8_is_malformed(tmp_path: Path, bad: bytes, before: bytes) -> None:
    """A2, A3, C5: invalid UTF-8 in an event, first or later, is MALFORMED_RESPONSE; what came is void."""
    script = answering(before + broken(words("MARK"), bad), headers=STREAM_HEADERS)
    async with (
        replaying(script) as first,
        replaying(answers) as second,
        built(tmp_path, chain_of(first.url, second.url)) as gate,
    ):
        told = await read_stream(gate.chain.StreamChain(ask("first/m,second/m")))
        check(told.finished)
        kinds = told.kinds()
        assert ("output_discarded" in kinds) is bool(before)
        kept = told.events[kinds.index("output_discarded") + 1 :] if before else told.events
        assert "".join(event.delta.text.text for event in kept) == WELL


async def test_an_error_that_is_not_utf_8_keeps_its_class(tmp_path: Path) -> None:
    """A3: an error whose words cannot be read is classed by its status, and told in readable words."""

    async def refuses(exchange: Exchange) -> None:
        await exchange.head(401, JSON_HEADERS)
        await exchange.chunks(b'{"error": {"message": "no \xff key"}}')
        await exchange.end()

    async with (
        replaying(refuses) as first,
        replaying(answers) as second,
        built(tmp_path, chain_of(first.url, second.url)) as gate,
    ):
        response = await gate.chain.Chain(ask("first/m,second/m"))
        assert texts(response.completion.parts) == WELL
        assert response.attempts[0].failure_class == completion_pb2.FAILURE_CLASS_AUTHENTICATION


def check(response: chain_pb2.ChainResponse) -> None:
    """The first target failed with MALFORMED_RESPONSE, and the second answered."""
    assert texts(response.completion.parts) == WELL
    assert response.completion.target.provider == "second"
    first, second = response.attempts
    assert (first.target.provider, first.failure_class) == ("first", MALFORMED)
    assert second.outcome == completion_pb2.ATTEMPT_OUTCOME_SUCCEEDED
