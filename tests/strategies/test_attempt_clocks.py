"""The clocks of an attempt and whom they blame (A1, A4, A5)."""

from __future__ import annotations

import asyncio

import pytest

from paceline_server.completion.attempt import AttemptEnded, CallEvent, FailureClass
from paceline_server.completion.deltas import Delta, TextDelta
from paceline_server.completion.errors import ErrorReason
from paceline_server.completion.usage import UsageState
from paceline_server.health.machine import TargetState
from paceline_server.providers.profile import Profile
from paceline_server.strategies import engine
from tests.strategies.scripted import (
    PING,
    Bug,
    End,
    Read,
    Script,
    Silence,
    Step,
    Wait,
    hangs,
    refuses,
    says,
    stalls,
    text,
    thought,
)
from tests.strategies.world import Client, World
from tests.virtual_time import now, virtual_time

OTHER = says("two")
THINKER = Profile(reasons_unseen=True)


# Streaming


@pytest.mark.parametrize("script", [hangs(), stalls(), Script((PING, PING, Silence()))])
@virtual_time
async def test_no_content_within_30_s_ends_an_attempt(script: Script) -> None:
    """A1: before headers, after them, and behind pings alike."""
    world = World({"a/x": script, "b/y": OTHER})

    outcome = await world.stream()

    assert outcome.tried == ["a/x timed_out", "b/y succeeded"]
    assert outcome.at == 30.0
    assert outcome.attempts[0].failure_class is FailureClass.TIMEOUT
    assert world.record("a/x").failures == 1


@virtual_time
async def test_a_model_that_reasons_unseen_has_300_s() -> None:
    """A1: the clocks are longer where the profile says that the model reasons unseen."""
    world = World({"a/x": says("one", first=299.0), "b/y": OTHER}, profiles={"a/x": THINKER})
    hanging = World({"a/x": hangs(), "b/y": OTHER}, profiles={"a/x": THINKER})

    outcome = await world.stream(within=3600.0)
    began = now()
    timed_out = await hanging.stream(within=3600.0)

    assert outcome.answer == "one"
    assert timed_out.at - began == 300.0


@virtual_time
async def test_reasoning_counts_as_content() -> None:
    """A1: after reasoning only the gap counts, however long the text takes."""
    thinking: list[Step] = []
    for word in "abcdef":
        thinking += [*thought(word), Wait(14.0)]
    world = World({"a/x": Script((*thinking, *text("one", part=1), End())), "b/y": OTHER})

    outcome = await world.stream()

    assert outcome.answer == "one"
    assert outcome.attempts[0].first_content_latency == 0.0


@virtual_time
async def test_a_gap_of_more_than_15_s_ends_a_stream() -> None:
    """A1: a stream that falls silent is a failure of its target."""
    world = World({"a/x": stalls("half"), "b/y": OTHER})

    outcome = await world.stream()

    assert outcome.tried == ["a/x timed_out", "b/y succeeded"]
    assert outcome.at == 15.0
    assert world.record("a/x").failures == 1


@virtual_time
async def test_comments_do_not_keep_a_silent_stream_alive() -> None:
    """A1: comments and pings re-arm no clock, before content and after."""
    pings = [step for _ in range(100) for step in (Wait(1.0), PING)]
    before = World({"a/x": Script((*pings, *text("late"), End())), "b/y": OTHER})
    after = World({"a/x": Script((*text("half"), *pings, *text("late"), End())), "b/y": OTHER})

    first = await before.stream()
    began = now()
    second = await after.stream()

    assert first.at == 30.0
    assert second.at - began == 15.0
    assert first.answer == second.answer == "two"


@virtual_time
async def test_a_long_answer_is_never_cut() -> None:
    """A1: after the first content only the gap and the caller's deadline apply."""
    world = World({"a/x": says(*["word "] * 300, every=10.0), "b/y": OTHER})

    outcome = await world.stream(within=3600.0, first_content_timeout=1.0, attempt_timeout=1.0)

    assert outcome.answer == "word " * 300
    assert outcome.at == 2990.0


@virtual_time
async def test_the_callers_own_clocks_count() -> None:
    """A1: the call's options outrank the configuration."""
    world = World({"a/x": hangs(), "b/y": stalls("half"), "c/z": OTHER})

    outcome = await world.stream(first_content_timeout=2.0, gap_timeout=3.0)

    assert [attempt.latency for attempt in outcome.attempts] == [2.0, 3.0, 0.0]


@virtual_time
async def test_the_last_target_has_the_callers_whole_time() -> None:
    """A1: the first-content clock never ends the last target that is left."""
    world = World({"a/x": refuses(), "b/y": says("two", first=250.0)})

    outcome = await world.stream()

    assert outcome.answer == "two"


@virtual_time
async def test_the_gap_clock_ends_the_last_target_too() -> None:
    """A1: after the first content the gap applies to every target."""
    world = World({"a/x": stalls("half")})

    outcome = await world.stream(transient_retry_count=0)

    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.at == 15.0


@pytest.mark.parametrize("benched", [[], ["c/z"], ["b/y", "c/z"]])
@virtual_time
async def test_a_target_gets_its_share_of_the_remaining_time(benched: list[str]) -> None:
    """A1: remaining time / (targets still untried + 1); benched targets are not still to be tried."""
    world = World({"a/x": hangs(), "b/y": hangs(), "c/z": says("three")})
    for name in benched:
        world.bench(name)

    outcome = await world.stream(within=12.0)

    if benched == ["b/y", "c/z"]:
        assert outcome.reason is ErrorReason.DEADLINE_EXCEEDED
        assert outcome.at == 12.0
    elif benched == ["c/z"]:
        assert outcome.attempts[0].latency == 6.0
    else:
        assert [attempt.latency for attempt in outcome.attempts] == [4.0, 4.0, 0.0]


@virtual_time
async def test_a_share_is_at_least_a_second() -> None:
    """A1: however many targets wait, each gets a second to answer."""
    world = World({f"{name}/m": hangs() for name in "abcdef"})

    outcome = await world.stream(within=2.5)

    assert [attempt.latency for attempt in outcome.attempts] == [1.0, 1.0, 0.5]
    assert outcome.reason is ErrorReason.DEADLINE_EXCEEDED


@virtual_time
async def test_the_share_ends_no_stream_that_has_content() -> None:
    """A1: the share bounds the wait for the first content; a stream goes on to the caller's deadline."""
    world = World({"a/x": says(*["word "] * 9, every=1.0), "b/y": OTHER})

    outcome = await world.stream(within=10.0)

    assert outcome.answer == "word " * 9


@virtual_time
async def test_a_slow_reader_never_trips_a_clock() -> None:
    """A1: while the caller takes his time, the provider is not being waited for."""
    world = World({"a/x": says("one ", "two ", "three", every=10.0), "b/y": OTHER})

    outcome = await world.stream(client=Client(pause=60.0))

    assert outcome.answer == "one two three"
    assert outcome.client.discarded_count == 0


@virtual_time
async def test_a_readers_own_timeout_blames_no_provider() -> None:
    """A4: a TimeoutError out of the sink is neither the provider's silence nor the call's deadline."""
    world = World({"a/x": says("one"), "b/y": OTHER})

    async def sink(event: CallEvent) -> None:
        if isinstance(event, Delta):
            raise TimeoutError("the reader gave up")

    with pytest.raises(TimeoutError, match="the reader gave up"):
        await engine.stream(world.call(), world.chain(), sink, now=world.health.now)

    assert world.penalised == set()
    assert world.open_count == 0


# Unary


@virtual_time
async def test_a_unary_attempt_has_120_s() -> None:
    """A1: the attempt clock ends a unary attempt; content that has been made does not show."""
    world = World({"a/x": says("one", "more", first=100.0, every=21.0), "b/y": OTHER})

    outcome = await world.complete()

    assert outcome.tried == ["a/x timed_out", "b/y succeeded"]
    assert outcome.at == 120.0


@virtual_time
async def test_a_unary_attempt_of_a_thinker_has_600_s() -> None:
    """A1: and 600 s where the model reasons unseen."""
    world = World({"a/x": hangs(), "b/y": OTHER}, profiles={"a/x": THINKER})

    outcome = await world.complete(within=3600.0)

    assert outcome.at == 600.0


@virtual_time
async def test_the_last_unary_target_has_the_callers_whole_time() -> None:
    """A1: the attempt clock never ends the last target that is left."""
    world = World({"a/x": refuses(), "b/y": says("two", first=290.0)})

    outcome = await world.complete()

    assert outcome.answer == "two"


# The caller's own end


@pytest.mark.parametrize("script", [hangs(), stalls(), stalls("half"), says("one", "two", every=10.0)])
@pytest.mark.parametrize("unary", [True, False])
@virtual_time
async def test_the_callers_deadline_penalises_nobody(script: Script, *, unary: bool) -> None:
    """A4: DEADLINE_EXCEEDED, wherever the attempt was, and no target is the worse for it."""
    world = World({"a/x": script})

    outcome = await (world.complete(within=5.0) if unary else world.stream(within=5.0))

    assert outcome.reason is ErrorReason.DEADLINE_EXCEEDED
    assert outcome.at == 5.0
    assert world.penalised == set()
    assert outcome.tried == ["a/x cancelled"]


@virtual_time
async def test_a_deadline_at_the_moment_of_a_clock_penalises_nobody() -> None:
    """A4: where gap and deadline fall together, the deadline counts."""
    world = World({"a/x": stalls("half")})

    outcome = await world.stream(within=15.0)

    assert outcome.reason is ErrorReason.DEADLINE_EXCEEDED
    assert world.penalised == set()


@virtual_time
async def test_a_departure_during_a_retrys_wait_is_the_end() -> None:
    """A4: the wait for a retry ends with the caller, and nobody is asked any more."""
    world = World({"a/x": refuses(retry_after=2.0)})
    call = world.call(within=300.0)
    task = asyncio.create_task(world.stream(call=call))
    await asyncio.sleep(1.0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert world.called == ["a/x"]
    assert [attempt.outcome and attempt.outcome.value for attempt in call.record.attempts] == ["failed"]


@virtual_time
async def test_an_adapters_bug_costs_its_attempt_and_leaves_nothing_open() -> None:
    """A2, C5: what no adapter may raise is an answer that cannot be read; the next target has its turn."""
    world = World({"a/x": Script((*text("half"), Bug(LookupError("a bug")))), "b/y": OTHER})

    outcome = await world.stream(transient_retry_count=0)

    assert outcome.completion is not None
    failed = outcome.attempts[0]
    assert (failed.failure_class, failed.message) == (
        FailureClass.MALFORMED_RESPONSE,
        "the answer could not be read",
    )
    assert world.open_count == 0
    assert world.probes_out == []


# When health is told


@virtual_time
async def test_a_streams_health_is_reported_when_it_ends() -> None:
    """A5: an open stream is no success yet; one that breaks late counts as the failure that it is."""
    broken = Script((*text("a"), Wait(10.0), *text("b"), Wait(10.0), *refuses().before_headers))
    world = World({"a/x": [refuses(), refuses(), broken], "b/y": OTHER})
    await world.stream(transient_retry_count=1)
    assert world.record("a/x").failures == 1

    task = asyncio.create_task(world.stream(transient_retry_count=0))
    await asyncio.sleep(15.0)
    during = world.record("a/x")
    await task

    assert during.failures == 1, "content alone cleared the count"
    assert world.record("a/x").state is TargetState.BENCHED


@virtual_time
async def test_a_success_that_began_before_a_bench_does_not_clear_it() -> None:
    """A5: the report carries the generation that its attempt began under."""
    world = World({"a/x": says("one", "two", every=10.0)})
    task = asyncio.create_task(world.stream())
    await asyncio.sleep(6.0)
    world.bench("a/x")
    benched = world.record("a/x")

    await task

    assert world.record("a/x") == benched


@virtual_time
async def test_a_failure_that_arrives_after_a_bench_does_not_deepen_it() -> None:
    """A5: twenty calls in flight when their target dies are one bench, not ten."""
    world = World({"a/x": Script((*text("half"), Wait(1.0), *refuses().before_headers))})

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(world.stream_beside(transient_retry_count=0))

    record = world.record("a/x")
    assert (record.state, record.rounds, record.generation) == (TargetState.BENCHED, 1, 1)


# What an attempt is booked as


@virtual_time
async def test_latencies_and_offsets_are_measured_from_the_right_start() -> None:
    """A6: offsets from the call's start, latencies from the attempt's own."""
    world = World({"a/x": refuses(after=2.0), "b/y": says("one", "two", first=3.0, every=4.0)})

    outcome = await world.stream(transient_retry_count=0)

    first, second = outcome.attempts
    assert (first.start_offset, first.latency, first.first_content_latency) == (0.0, 2.0, None)
    assert (second.start_offset, second.latency, second.first_content_latency) == (2.0, 7.0, 3.0)


@virtual_time
async def test_a_refusal_costs_nothing_and_a_break_costs_what_was_seen() -> None:
    """A6: an error status bills nothing; after content the cost is estimated from it."""
    world = World(
        {"a/x": refuses(), "b/y": Script((*text("x" * 40), *refuses().before_headers)), "c/z": OTHER}
    )

    outcome = await world.stream(transient_retry_count=0)

    refused, broken, answered = outcome.attempts
    assert refused.usage is None
    assert broken.usage is not None
    assert (broken.usage.output_token_count, broken.usage.state) == (10, UsageState.ESTIMATED)
    assert answered.usage is not None
    assert answered.usage.state is UsageState.REPORTED


@virtual_time
async def test_parts_out_of_order_are_a_malformed_answer() -> None:
    """A2, stream rule 4: what does not fold is no answer, and not one such delta is delivered."""
    skipping = Script((Read((Delta(1, TextDelta("lost")),)), End()))
    world = World({"a/x": skipping, "b/y": OTHER})

    outcome = await world.stream(transient_retry_count=0)

    assert outcome.attempts[0].failure_class is FailureClass.MALFORMED_RESPONSE
    assert outcome.client.delta_texts == ["two"]


@virtual_time
async def test_the_end_of_an_attempt_is_told_with_its_numbers() -> None:
    """A6: what the event says is what is booked."""
    world = World({"a/x": says("one")})

    outcome = await world.stream()

    (ended,) = (event for event in outcome.client.events if isinstance(event, AttemptEnded))
    assert [ended.attempt] == outcome.attempts
