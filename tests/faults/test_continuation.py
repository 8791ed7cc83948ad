"""Through a whole gateway, in every format: a stream that broke is gone on with, or starts over (C5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from paceline.v1 import chain_pb2, completion_pb2
from tests.built import Built, built
from tests.faults.faults import JSON, SSE
from tests.faults.wires import ANSWER, FORMATS, TEXTS, WIRES, Refusal, Wire
from tests.providers.replay import Exchange, ReplayServer, replaying
from tests.rpc.gateway import Failure, ask, read_stream

SO_FAR = "".join(TEXTS[:2]).rstrip()

_PREFILL_WORDS = {
    "openai": {
        "object": "error",
        "message": "Expected last role User or Tool (or Assistant with prefix True) but got assistant",
        "type": "invalid_request_error",
        "code": "3230",
    },
    "anthropic": {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "This model does not support assistant message prefill. The conversation must end"
            " with a user message.",
        },
    },
    "gemini": {
        "error": {
            "code": 400,
            "message": "Requests ending with a model turn are not supported.",
            "status": "INVALID_ARGUMENT",
        }
    },
}
"""How each format refuses to go on with an answer."""


def _begun(body: bytes) -> str | None:
    """The beginning of an answer that a request gives; None if it gives none."""
    told: Mapping[str, Any] = json.loads(body)
    last = (told.get("messages") or told["contents"])[-1]
    if last["role"] not in ("assistant", "model"):
        return None
    content = last.get("content") or last["parts"]
    return content if isinstance(content, str) else "".join(item["text"] for item in content)


@dataclass
class Place:
    """A provider: what it says to whom it is to begin, and to whom it is to go on."""

    wire: Wire
    begins: Sequence[bytes] | Refusal
    goes_on: Refusal | None = None
    breaks: bool = False

    async def __call__(self, exchange: Exchange) -> None:
        """Say it."""
        begun = _begun(exchange.request.body)
        said = self.begins if begun is None else self.goes_on or _rest(self.wire, begun)
        if isinstance(said, Refusal):
            await exchange.head(said.status, said.headers)
            await exchange.chunks(said.body)
            await exchange.end()
            return
        await exchange.head(200, SSE)
        await exchange.chunks(*said)
        if self.breaks:
            exchange.writer.close()
            await exchange.until_closed()
        else:
            await exchange.end()


def _refusal(wire: Wire) -> Refusal:
    return Refusal(400, json.dumps(_PREFILL_WORDS[wire.name]).encode(), JSON)


def _whole(wire: Wire) -> Sequence[bytes]:
    return [*wire.opening, *wire.contents, *wire.closing]


def _rest(wire: Wire, begun: str) -> Sequence[bytes]:
    rest = ANSWER.removeprefix(begun)
    return [*wire.opening, wire.contents[2].replace(TEXTS[2].encode(), rest.encode()), *wire.closing]


def _breaking(wire: Wire) -> Place:
    return Place(wire, [*wire.opening, *wire.contents[:2]], breaks=True)


@dataclass
class Seen:
    """What a caller holds at the end, and what was sent for it."""

    text: str
    discarded_count: int
    failure: Failure | None
    attempts: Sequence[str]
    begun: Sequence[Sequence[str | None]]
    """Of each provider the beginnings of the requests that have reached it."""


@asynccontextmanager
async def _gateway(places: Sequence[Place], folder: Path) -> AsyncIterator[tuple[Built, list[ReplayServer]]]:
    """A gateway with a target `p<n>/m` at each place, all of which are said to accept a prefill."""
    lines = ["log: {level: error}", "attempts: {transient_retry_count: 0}", "providers:"]
    servers = []
    async with AsyncExitStack() as stack:
        for number, place in enumerate(places):
            server = await stack.enter_async_context(replaying(place))
            servers.append(server)
            base_url = place.wire.base_url(server)
            targets = "{m: {accepts_prefill: true}}"
            facts = f"format: {place.wire.name}, base_url: '{base_url}', targets: {targets}"
            lines.append(f"  p{number}: {{{facts}}}")
        yield await stack.enter_async_context(built(folder, "\n".join(lines) + "\n")), servers


async def _called(*places: Place, folder: Path) -> Seen:
    options = chain_pb2.ChainOptions(recovery=completion_pb2.RECOVERY_CONTINUE)
    model = ",".join(f"p{number}/m" for number in range(len(places)))
    async with _gateway(places, folder) as (gate, servers):
        told = await read_stream(gate.chain.StreamChain(ask(model, options=options)))
    text, discarded_count = "", 0
    for event in told.events:
        if event.HasField("output_discarded"):
            text, discarded_count = "", discarded_count + 1
        text += event.delta.text.text
    response = told.finished.attempts if told.failure is None else told.failure.call_failure.attempts
    return Seen(
        text,
        discarded_count,
        told.failure,
        [f"{attempt.target.provider} {_outcome(attempt)}" for attempt in response],
        [[_begun(request.body) for request in server.requests] for server in servers],
    )


def _outcome(attempt: Any) -> str:
    name: str = completion_pb2.AttemptOutcome.Name(attempt.outcome)
    return name.removeprefix("ATTEMPT_OUTCOME_").lower()


@FORMATS
@pytest.mark.parametrize("second", WIRES.values(), ids=WIRES.keys())
async def test_another_target_writes_what_is_missing(wire: Wire, second: Wire, tmp_path: Path) -> None:
    """C5: the second target is given the text so far, and the caller has the whole answer, each word once."""
    seen = await _called(_breaking(wire), Place(second, _whole(second)), folder=tmp_path)
    assert seen.text == ANSWER
    assert seen.discarded_count == 0
    assert seen.attempts == ["p0 failed", "p1 succeeded"]
    assert seen.begun == [[None], [SO_FAR]]


@FORMATS
async def test_a_refused_continuation_starts_over_where_it_was_refused(wire: Wire, tmp_path: Path) -> None:
    """C5: the format's own refusal of a prefill is not the caller's; the target answers from the start."""
    seen = await _called(_breaking(wire), Place(wire, _whole(wire), _refusal(wire)), folder=tmp_path)
    assert seen.text == ANSWER
    assert seen.discarded_count == 1
    assert seen.attempts == ["p0 failed", "p1 failed", "p1 succeeded"]
    assert seen.begun == [[None], [SO_FAR, None]]


@FORMATS
async def test_a_third_target_answers_after_a_refusal(wire: Wire, tmp_path: Path) -> None:
    """C5: where the one that refused to go on cannot start over either, the next one has its turn."""
    refusing = Place(wire, wire.refusals["overloaded"], _refusal(wire))
    seen = await _called(_breaking(wire), refusing, Place(wire, _whole(wire)), folder=tmp_path)
    assert seen.text == ANSWER
    assert seen.discarded_count == 1
    assert seen.attempts == ["p0 failed", "p1 failed", "p1 failed", "p2 succeeded"]
    assert seen.begun == [[None], [SO_FAR, None], [None]]


@FORMATS
async def test_a_refused_continuation_is_never_the_callers_error(wire: Wire, tmp_path: Path) -> None:
    """C5: where nobody answers in the end, the caller is told that the stream broke, and what broke it."""
    refusing = Place(wire, wire.refusals["overloaded"], _refusal(wire))
    seen = await _called(_breaking(wire), refusing, folder=tmp_path)
    assert seen.failure is not None
    assert seen.failure.reason == "STREAM_BROKEN"
    assert seen.attempts == ["p0 failed", "p1 failed", "p1 failed"]
    assert seen.begun == [[None], [SO_FAR, None]]
    for word in ("prefill", "model turn", "last role"):
        assert word not in seen.failure.message
