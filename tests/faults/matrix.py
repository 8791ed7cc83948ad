"""Plays one fault against a whole gateway over real sockets, and keeps what came of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration

from paceline.v1 import chain_pb2, completion_pb2, targets_pb2
from tests.built import Built, built
from tests.faults.faults import Fault, answer
from tests.faults.wires import ANSWER, Wire
from tests.providers.replay import Exchange, ReplayServer, answering, replaying
from tests.rpc.gateway import Failure, ask, failure_of, texts

CLOCK = 0.25
"""Seconds: what the clocks are set to where the fault is one of time; elsewhere they have their defaults."""

DEADLINE = 0.7
"""Seconds that a call may take where the fault is one of time; the gateway's own, so that it tells all."""

PATIENCE = 30.0
"""Seconds that other calls may take; none comes near it."""

CONFIGURATION = """
log: {level: error}
call: {maximum_deadline: %(deadline)ss}
attempts: {retry_backoff: 10ms, connect_timeout: 300ms}
providers:
  first: {format: %(format)s, base_url: "%(first)s", targets: {m: {}}}
  second: {format: %(format)s, base_url: "%(second)s", targets: {m: {}}}
"""


@dataclass(frozen=True)
class Outcome:
    """What came of one call.

    Attributes:
        code: The status of the call.
        reason: The ErrorReason; empty if the call was answered.
        attempts: Each attempt's outcome, and its failure class if it has one.
        text: What the caller holds at the end.
    """

    code: str
    reason: str
    attempts: tuple[str, ...]
    text: str
    discarded: bool


@dataclass(frozen=True)
class Row:
    """What came of a fault: alone, called twice; and with another target behind it, called once.

    Attributes:
        upstream_calls: Requests that reached the provider in the first call.
        benched_after: Number of the call after which the target was benched; 0: it was not.
        by_provider: The bench is the whole provider's.
    """

    alone: Outcome
    upstream_calls: int
    benched_after: int
    by_provider: bool
    with_other: Outcome


async def played(fault: Fault, wire: Wire, *, streaming: bool, folder: Path) -> Row:
    """Play `fault` in one format."""
    async with (
        _provider(fault, wire, streaming=streaming) as server,
        _answering(wire) as other,
        built(folder, _configuration(fault, wire, server, other)) as gate,
    ):
        alone = await _called(gate, fault, "first/m", streaming=streaming)
        upstream_calls = len(server.requests)
        benches = [await _bench(gate)]
        if not benches[0]:
            await _called(gate, fault, "first/m", streaming=streaming)
            benches.append(await _bench(gate))
    async with (
        _provider(fault, wire, streaming=streaming) as server,
        _answering(wire) as other,
        built(folder, _configuration(fault, wire, server, other)) as gate,
    ):
        with_other = await _called(gate, fault, "first/m,second/m", streaming=streaming)
    return Row(
        alone,
        upstream_calls,
        benched_after=next((number for number, bench in enumerate(benches, start=1) if bench), 0),
        by_provider=benches[-1] == "provider",
        with_other=with_other,
    )


@asynccontextmanager
async def _provider(fault: Fault, wire: Wire, *, streaming: bool) -> AsyncIterator[ReplayServer]:
    if fault.act is not None:
        async with replaying(fault.script(wire, streaming=streaming)) as server:
            yield server
        return
    with socket.socket() as taken:  # bound and never listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        yield ReplayServer(answering(b""), taken.getsockname()[1])


@asynccontextmanager
async def _answering(wire: Wire) -> AsyncIterator[ReplayServer]:
    async def script(exchange: Exchange) -> None:
        body = exchange.request.body
        await answer(exchange, wire, b'"stream":true' in body or "stream" in exchange.request.path)

    async with replaying(script) as server:
        yield server


def _configuration(fault: Fault, wire: Wire, first: ReplayServer, second: ReplayServer) -> str:
    return CONFIGURATION % {
        "format": wire.name,
        "first": wire.base_url(first),
        "second": wire.base_url(second),
        "deadline": DEADLINE if fault.waits else PATIENCE,
    }


async def _called(gate: Built, fault: Fault, model: str, *, streaming: bool) -> Outcome:
    request = ask(model)
    if fault.waits:
        clock = Duration(nanos=int(CLOCK * 1e9))
        request.options.first_content_timeout.CopyFrom(clock)
        request.options.gap_timeout.CopyFrom(clock)
        request.options.attempt_timeout.CopyFrom(clock)
    return await (_streamed if streaming else _unary)(gate, request)


async def _unary(gate: Built, request: chain_pb2.ChainRequest) -> Outcome:
    try:
        response = await gate.chain.Chain(request)
    except grpc.aio.AioRpcError as error:
        return _failed(failure_of(error), [], "", discarded=False)
    return _answered(response, texts(response.completion.parts), discarded=False)


async def _streamed(gate: Built, request: chain_pb2.ChainRequest) -> Outcome:
    held, discarded, ended = "", False, []
    call = gate.chain.StreamChain(request)
    try:
        async for event in call:
            match event.WhichOneof("event"):
                case "delta":
                    held += event.delta.text.text
                case "output_discarded":
                    held, discarded = "", True
                case "attempt_ended":
                    ended.append(event.attempt_ended.attempt)
                case "finished":
                    assert held == texts(event.finished.completion.parts)
                    return _answered(event.finished, held, discarded=discarded)
    except grpc.aio.AioRpcError as error:
        return _failed(failure_of(error), ended, held, discarded=discarded)
    raise AssertionError("a stream ended with OK and without `finished`")


def _answered(response: chain_pb2.ChainResponse, text: str, *, discarded: bool) -> Outcome:
    assert text == ANSWER
    return Outcome("OK", "", _told(response.attempts), text, discarded)


def _failed(failure: Failure, ended: list[completion_pb2.Attempt], text: str, *, discarded: bool) -> Outcome:
    summary = failure.call_failure.attempts
    assert not ended or _told(ended) == _told(summary)
    return Outcome(failure.code.name, failure.reason, _told(summary), text, discarded)


def _told(attempts: Iterable[Any]) -> tuple[str, ...]:
    """Each attempt as "FAILED TRANSIENT"."""
    told = []
    for attempt in attempts:
        outcome = completion_pb2.AttemptOutcome.Name(attempt.outcome).removeprefix("ATTEMPT_OUTCOME_")
        failure_class = completion_pb2.FailureClass.Name(attempt.failure_class).removeprefix("FAILURE_CLASS_")
        told.append(outcome if failure_class == "UNSPECIFIED" else f"{outcome} {failure_class}")
    return tuple(told)


async def _bench(gate: Built) -> str:
    """What holds the first target: itself, its provider, or nothing."""
    response = await gate.targets.ListTargets(targets_pb2.ListTargetsRequest())
    status = next(one for one in response.targets if one.target.provider == "first")
    if status.HasField("provider_hold"):
        return "provider"
    return "target" if status.state == targets_pb2.TARGET_STATE_BENCHED else ""
