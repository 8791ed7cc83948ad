"""The grammar of the stream, a reader that is slow, and a client that vanishes at any moment."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from paceline.v1 import chain_pb2, completion_pb2
from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.machine import TargetState
from paceline_server.health.registry import Ticket
from paceline_server.providers.simulated_script import (
    AfterScript,
    Cut,
    Fail,
    Filtered,
    Malformed,
    Ok,
    Slow,
    Stall,
    Step,
)
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.strategies.call import AttemptConfig
from tests.rpc.gateway import PATIENCE, Gate, Told, ask, gateway, none_but, other_tasks, read_stream
from tests.rpc.grammar import check_attempts, fold, standing
from tests.rpc.providers import Flood, Waiting
from tests.rpc.raw_http2 import http2

pytestmark = pytest.mark.usefixtures("listener", "no_errors_logged")

CONFIG = AttemptConfig(first_content_timeout=0.05, gap_timeout=0.05, retry_backoff=1e-6, shortest_share=0.05)

RICH: dict[str, Any] = {
    "answer": "One two three, four five six. Seven eight nine.",
    "reasoning": "Let me think about that.",
    "tool_calls": (("find", '{"what": "x"}'), ("fetch", '{"where": "y"}')),
}


def model(step: Step, *, merge: bool = True, **settings: Any) -> SimulatedModel:
    """A model that says all there is to say, and takes one step for ever."""
    return SimulatedModel(script=(step,), after_script=AfterScript.LAST, merge=merge, **RICH, **settings)


def check_finished(told: Told) -> None:
    """`finished` is what the stream has told, and its totals are the sums of their children."""
    finished = told.finished
    assert fold(standing(told)) == list(finished.completion.parts)
    assert finished.call_id == told.events[0].started.call_id
    ended = [event.attempt_ended.attempt for event in told.events if event.HasField("attempt_ended")]
    assert list(finished.attempts) == sorted(ended, key=lambda attempt: attempt.index)
    output = sum(attempt.usage.output_token_count for attempt in finished.attempts)
    assert finished.total_usage.output_token_count == output


def check_grammar(told: Told) -> None:
    """Everything that the contract says of a stream."""
    kinds = told.kinds()
    assert kinds[0] == "started"
    assert kinds.count("started") == 1
    assert set(kinds) <= {
        "started",
        "attempt_started",
        "attempt_ended",
        "delta",
        "output_discarded",
        "finished",
    }
    assert kinds.count("finished") == (told.failure is None)
    check_attempts(told)
    fold(standing(told))
    if told.failure is None:
        assert kinds[-1] == "finished"
        check_finished(told)
    else:
        assert told.failure.reason
        assert told.failure.call_failure.call_id == told.events[0].started.call_id


STEPS: list[Step] = [
    Ok(),
    Slow(0.001),
    Fail(FailureClass.TRANSIENT),
    Fail(FailureClass.OVERLOADED, before_headers=False),
    Fail(FailureClass.INVALID_REQUEST),
    Cut(0),
    Cut(3),
    Cut(8),
    Cut(10_000),
    Malformed(0),
    Malformed(12),
    Filtered(0),
    Filtered(7),
    Stall(0),
    Stall(0, before_headers=True),
    Stall(9),
]
RECOVERIES = completion_pb2.Recovery.values()


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_every_stream_keeps_the_grammar(step: Step) -> None:
    """The stream, rules 1 to 5: for every recovery, script, hold and length of chain."""
    models = {"a": model(step, merge=False), "b": model(Ok())}
    async with gateway(models, attempts=CONFIG, maximum_deadline=5.0) as gate:
        call_count = 0
        for recovery, spec, hold in itertools.product(RECOVERIES, ("test/a,test/b", "test/a"), (0, 2, 64)):
            if hold and recovery != completion_pb2.RECOVERY_HOLD:
                continue
            call_count += 1
            gate.health.unbench(Target("test", "a"))
            endless = isinstance(step, Stall) and step.after_tokens == 0 and spec == "test/a"
            limit = 0.1 if endless else None
            options = chain_pb2.ChainOptions(recovery=recovery, hold_token_count=hold)
            told = await read_stream(gate.chain.StreamChain(ask(spec, options=options), timeout=limit))
            if endless:
                assert told.failure is not None
                assert told.failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
            else:
                check_grammar(told)
        # A client whose deadline has passed knows so before the server does.
        await gate.book.ended(call_count)
        assert not gate.bugs
        assert gate.simulated.open_stream_count == 0


async def test_deltas_of_a_stream_come_to_what_a_unary_call_answers() -> None:
    """The stream, rule 4, and StreamChain: `finished` is what Chain would have returned."""
    async with gateway({"a": model(Ok(), merge=False)}) as gate:
        told = await read_stream(gate.chain.StreamChain(ask()))
        unary = await gate.chain.Chain(ask())
        for part in (*told.finished.completion.parts, *unary.completion.parts):
            part.tool_call.id = ""
        assert told.finished.completion == unary.completion
        assert len(told.kinds()) > 15


DELTA_COUNT, DELTA_LENGTH = 700, 32 << 10


async def test_a_slow_reader_holds_back_its_provider_and_no_other() -> None:
    """S3: a slow reader slows its own stream only; what waits for it is bounded, and nothing is lost."""
    flood = Flood(DELTA_COUNT, DELTA_LENGTH)
    async with gateway(providers=[flood]) as gate:
        slow = gate.chain_over(gate.connect()).StreamChain(ask())
        await slow.read()
        quick = await read_stream(gate.chain_over(gate.connect()).StreamChain(ask()))
        assert quick.kinds()[-1] == "finished"
        assert flood.read_counts[1] == DELTA_COUNT
        assert flood.read_counts[0] < DELTA_COUNT // 3
        rest = await read_stream(slow)
        assert rest.kinds()[-1] == "finished"
        assert len(standing(rest)) == flood.read_counts[0] == DELTA_COUNT


SLOW_COUNT = 40
"""More than a process has threads to wait in."""


async def test_many_slow_readers_hold_up_nobody() -> None:
    """S3: however many clients do not read, another's stream goes on, and so does work in threads."""
    flood = Flood(DELTA_COUNT, DELTA_LENGTH)
    async with gateway(providers=[flood]) as gate:
        slow = [gate.chain_over(gate.connect()).StreamChain(ask()) for _ in range(SLOW_COUNT)]
        await asyncio.gather(*(call.read() for call in slow))
        async with asyncio.timeout(PATIENCE):
            quick = await read_stream(gate.chain.StreamChain(ask()))
            assert quick.kinds()[-1] == "finished"
            assert await asyncio.to_thread(gate.address.startswith, "127") is True
        assert flood.read_counts[SLOW_COUNT] == DELTA_COUNT
        assert max(flood.read_counts[:SLOW_COUNT]) < DELTA_COUNT // 3
        for call in slow:
            call.cancel()
        await gate.book.ended(SLOW_COUNT + 1)
        assert flood.closed_count == SLOW_COUNT + 1


async def test_a_reader_that_never_reads_is_ended_by_the_deadline() -> None:
    """S1: the configured maximum ends a call whose client neither reads nor leaves."""
    flood = Flood(DELTA_COUNT, DELTA_LENGTH)
    before = other_tasks()
    async with gateway(providers=[flood], maximum_deadline=0.2) as gate:
        stuck = gate.chain.StreamChain(ask())
        ended = await gate.book.ended(1)
        assert ended[0].reason == "DEADLINE_EXCEEDED"
        assert flood.closed_count == 1
        assert gate.server.in_flight_count == 0
        told = await read_stream(stuck)
        assert told.failure is not None
        assert told.failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await none_but(before)


@pytest.mark.parametrize("window", [0, 40])
async def test_a_client_that_takes_not_even_the_first_event_is_ended_by_the_deadline(window: int) -> None:
    """S1: a window too small for an event keeps no call beyond the configured maximum."""
    before = other_tasks()
    async with gateway(maximum_deadline=0.2) as gate:
        async with http2(gate, window=window) as connection:
            await connection.request("/paceline.v1.ChainService/StreamChain", ask().SerializeToString())
            ended = await gate.book.ended(1)
            assert ended[0].reason in ("", "DEADLINE_EXCEEDED")
            assert gate.server.in_flight_count == 0
        assert not gate.bugs
    await none_but(before)


# How far the provider goes, and what the client has read when it leaves.
PHASES: list[tuple[Step, str, int]] = [
    (Stall(0), "started", 1),
    (Stall(0, before_headers=True), "attempt_started", 1),
    (Stall(0), "attempt_started", 1),
    (Stall(1), "delta", 1),
    (Stall(12), "delta", 12),
    (Stall(10_000), "delta", 24),
]


@pytest.fixture
async def probed() -> AsyncIterator[None]:
    """Tasks are counted around each test."""
    before = other_tasks()
    yield
    await none_but(before)


def bench_by_failure(gate: Gate) -> None:
    """Bench the target, so that the next call goes as its last resort and holds its probe."""
    ticket = gate.health.admit(Target("test", "a"))
    assert isinstance(ticket, Ticket)
    ticket.failed(AttemptFailure(FailureClass.RATE_LIMITED, "slow down", retry_after=600.0))


async def read_until(call: Any, kind: str, count: int) -> None:
    """Read a stream until so many events of a kind have come."""
    seen = 0
    while seen < count:
        event = await call.read()
        seen += event.WhichOneof("event") == kind


async def nothing_is_left(gate: Gate, *, content_seen: bool) -> None:
    """One line was told of the call, its bill is booked, and nobody was penalised."""
    (ended,) = await gate.book.ended(1)
    assert ended.code == "CANCELLED"
    made = [attempt for attempt in ended.attempts if attempt.outcome is not AttemptOutcome.SKIPPED]
    assert [attempt.outcome for attempt in made] in ([], [AttemptOutcome.CANCELLED])
    if content_seen:
        (attempt,) = made
        assert attempt.usage is not None
        assert attempt.usage.output_token_count > 0
        assert attempt.usage.input_token_count > 0
    assert gate.simulated.open_stream_count == 0
    assert gate.server.in_flight_count == 0
    assert gate.health.record(Target("test", "a")).state is TargetState.BENCHED
    assert all(record.state is not TargetState.PROBING for record in gate.health.snapshot().values())
    assert not gate.bugs


@pytest.mark.parametrize("way", ["cancel", "close the channel"])
@pytest.mark.parametrize(("step", "kind", "count"), PHASES, ids=str)
async def test_a_client_that_vanishes_leaves_nothing(
    way: str, step: Step, kind: str, count: int, probed: None
) -> None:
    """A4, A6: in every phase the connection is closed, the probe goes back, and the cost is booked."""
    config = AttemptConfig(first_content_timeout=60, gap_timeout=60)
    async with gateway({"a": model(step, merge=False)}, attempts=config) as gate:
        bench_by_failure(gate)
        channel = gate.connect()
        call = gate.chain_over(channel).StreamChain(ask())
        await read_until(call, kind, count)
        if way == "cancel":
            call.cancel()
        else:
            await channel.close()
        await nothing_is_left(gate, content_seen=kind == "delta")


@pytest.mark.parametrize("method", ["Chain", "StreamChain"])
async def test_a_connection_that_breaks_off_leaves_nothing(method: str, probed: None) -> None:
    """A4, A6: a client whose connection is reset in the midst of a call is one that has left."""
    provider = Waiting()
    async with gateway(providers=[provider]) as gate:
        async with http2(gate) as connection:
            await connection.request(f"/paceline.v1.ChainService/{method}", ask().SerializeToString())
            await provider.entered.acquire()
            connection.writer.transport.abort()
        (ended,) = await gate.book.ended(1)
        assert ended.code == "CANCELLED"
        assert [attempt.outcome for attempt in ended.attempts] == [AttemptOutcome.CANCELLED]
        assert provider.running_count == 0
        assert gate.server.in_flight_count == 0
        assert not gate.bugs


async def test_a_unary_caller_who_leaves_ends_the_attempt(probed: None) -> None:
    """A4, A6: cancelling a unary call cancels its attempt."""
    provider = Waiting()
    async with gateway(providers=[provider]) as gate:
        call = gate.chain.Chain(ask())
        asking = asyncio.ensure_future(call.code())
        await provider.entered.acquire()
        call.cancel()
        assert await asking is grpc.StatusCode.CANCELLED
        (ended,) = await gate.book.ended(1)
        assert ended.code == "CANCELLED"
        assert provider.running_count == 0
