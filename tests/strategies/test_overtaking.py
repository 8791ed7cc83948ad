"""Overtaking: who starts beside a slow target and when, who wins, and what that costs (C7, A1, C6)."""

from __future__ import annotations

import pytest

from paceline_server.completion.attempt import AttemptEnded, AttemptStarted, FailureClass
from paceline_server.completion.errors import ErrorReason
from paceline_server.health.machine import HealthConfig, TargetState
from paceline_server.providers.profile import Profile
from paceline_server.strategies.call import AttemptConfig, ChainOptions
from tests.strategies.overtaken import (
    BAD,
    bench_ends,
    by_default,
    left_in,
    overtaken,
    starts,
    tried,
    world_of,
)
from tests.strategies.scripted import (
    USED,
    End,
    Script,
    Wait,
    hangs,
    refuses,
    says,
)
from tests.virtual_time import now, virtual_time

# Who wins


@pytest.mark.parametrize("unary", [False, True])
@virtual_time
async def test_the_next_starts_beside_a_silent_one_and_wins(*, unary: bool) -> None:
    """C7: the first content wins, the slow one is cancelled and billed, and nobody is blamed."""
    world = world_of(a=hangs(), b=says("two", first=1.0))

    outcome = await overtaken(world, unary=unary)

    assert (outcome.answer, outcome.at) == ("two", 11.0)
    assert starts(world) == [("a/x", 0.0), ("b/y", 10.0)]
    assert tried(outcome) == ["a/x cancelled", "b/y succeeded"]
    slow, quick = sorted(outcome.attempts, key=lambda attempt: attempt.index)
    assert (slow.index, slow.try_number, slow.path, slow.latency) == (0, 1, "chain[0]", 11.0)
    assert (quick.index, quick.try_number, quick.path, quick.start_offset) == (1, 1, "chain[1]", 10.0)
    assert slow.usage is not None
    assert slow.usage.cost_nano_usd
    assert outcome.call.record.total_usage().input_token_count > USED.input_token_count
    assert world.penalised == set()


@virtual_time
async def test_what_is_told_of_an_overtaking_is_told_in_its_order() -> None:
    """C7, stream rule 1: both starts, the answer of the one, the end of the other, and no retraction."""
    world = world_of(a=hangs(), b=says("two ", "words", first=1.0, every=1.0))

    outcome = await overtaken(world)

    told = [
        (type(event).__name__, event.attempt.index)
        if isinstance(event, AttemptStarted | AttemptEnded)
        else type(event).__name__
        for event in outcome.client.events
    ]
    assert told == [
        ("AttemptStarted", 0),
        ("AttemptStarted", 1),
        "Delta",
        ("AttemptEnded", 0),
        "Delta",
        ("AttemptEnded", 1),
    ]


@pytest.mark.parametrize("unary", [False, True])
@virtual_time
async def test_the_slow_one_may_still_be_the_first(*, unary: bool) -> None:
    """C7: who started later loses when the first speaks before it has content, and is billed."""
    world = world_of(a=says("one ", "more", first=12.0, every=1.0), b=hangs())

    outcome = await overtaken(world, unary=unary)

    assert outcome.answer == "one more"
    assert tried(outcome) == ["a/x succeeded", "b/y cancelled"]
    assert all(attempt.usage is not None for attempt in outcome.attempts)
    assert world.penalised == set()


@virtual_time
async def test_nobody_starts_beside_one_that_has_content() -> None:
    """C7: only the first content is waited for, whatever the pauses after it."""
    world = world_of(a=says("one", "two", first=9.9, every=14.0), b=says("no"))

    outcome = await overtaken(world)

    assert outcome.answer == "onetwo"
    assert world.called == ["a/x"]
    assert (left_in(world.hedges), left_in(world.budget)) == (8, 8)


@virtual_time
async def test_each_is_overtaken_in_its_turn() -> None:
    """C7: the third starts as long after the second as the second after the first; all losers end."""
    world = world_of(a=hangs(), b=hangs(), c=says("three", first=2.0))

    outcome = await overtaken(world)

    assert starts(world) == [("a/x", 0.0), ("b/y", 10.0), ("c/z", 20.0)]
    assert tried(outcome) == ["a/x cancelled", "b/y cancelled", "c/z succeeded"]


@virtual_time
async def test_an_answer_without_content_ends_an_overtaking_too() -> None:
    """C7, A2: a whole answer that says nothing is an answer."""
    world = world_of(a=Script((Wait(12.0), End())), b=hangs())

    outcome = await overtaken(world)

    assert outcome.answer == ""
    assert tried(outcome) == ["a/x succeeded", "b/y cancelled"]


# When


@virtual_time
async def test_the_delays_are_10_s_60_s_unseen_and_30_s_unary() -> None:
    """C7: the defaults by kind of call and of target; the caller's own counts for all."""
    thinks = {"a/x": Profile(reasons_unseen=True)}
    found = []
    for unary in (False, True):
        for profiles in ({}, thinks):
            world = world_of(a=hangs(), b=says("two"), profiles=profiles)
            found.append((await by_default(world, unary=unary)).at)
            world = world_of(a=hangs(), b=says("two"), profiles=profiles)
            found.append((await overtaken(world, unary=unary, overtake_after=3.0)).at - world.calls[0].at)
    defaults = [at - before for at, before in zip(found[::2], [0.0, 13.0, 76.0, 109.0], strict=True)]
    assert defaults == [10.0, 60.0, 30.0, 60.0]
    assert found[1::2] == [3.0] * 4


@pytest.mark.parametrize("unary", [False, True])
@virtual_time
async def test_zero_switches_overtaking_off(*, unary: bool) -> None:
    """C7: by the call or by the configuration, the slow one has its own clocks alone."""
    for config in (AttemptConfig(), AttemptConfig(overtake_after=0.0, unary_overtake_after=0.0)):
        world = world_of(a=says("one", first=29.0), b=says("two"), config=config)
        off = 0.0 if config.overtake_after else None
        call = world.call()
        call.options = ChainOptions(overtake_after=off)
        outcome = await (world.complete(call=call) if unary else world.stream(call=call))
        assert tried(outcome) == ["a/x succeeded"]


@virtual_time
async def test_a_configured_quantile_counts_once_enough_was_observed() -> None:
    """C7: twenty answers tell how long the target usually takes; until then the fixed delay counts."""
    scripts = [*[says("one", first=2.0)] * 20, hangs()]
    config = AttemptConfig(overtake_quantile=0.99)
    world = world_of(a=scripts, b=says("two"), config=config)
    for _ in range(20):
        await by_default(world)
    began = now()

    outcome = await by_default(world)

    assert outcome.answer == "two"
    assert outcome.at - began == pytest.approx(2.0, rel=0.02)


# Failures beside each other


@virtual_time
async def test_the_first_may_fail_while_the_second_runs() -> None:
    """C7, C2: its failure counts against it alone, and its retry runs beside the other."""
    world = world_of(a=refuses(after=12.0), b=says("two", first=15.0))

    outcome = await overtaken(world, transient_retry_count=0)

    assert (outcome.answer, outcome.at) == ("two", 25.0)
    assert tried(outcome) == ["a/x failed", "b/y succeeded"]
    assert world.penalised == {"a/x"}


@virtual_time
async def test_a_retry_runs_beside_others_and_may_win() -> None:
    """C1, C7: the tries of a target are counted over the call, and the retry draws on the budget."""
    world = world_of(a=[refuses(after=12.0), says("one", first=1.0)], b=hangs())

    outcome = await overtaken(world)

    assert outcome.answer == "one"
    assert tried(outcome) == ["a/x failed", "b/y cancelled", "a/x succeeded"]
    assert sorted((attempt.index, attempt.try_number) for attempt in outcome.attempts) == [
        (0, 1),
        (1, 1),
        (2, 2),
    ]
    assert (left_in(world.hedges), left_in(world.budget)) == (7, 6)


@virtual_time
async def test_who_is_the_last_that_is_left_is_spared_by_its_clock() -> None:
    """A1: the second fails while the first runs, which is then not ended after 30 s."""
    world = world_of(a=says("one", first=50.0), b=refuses(after=1.0))

    outcome = await overtaken(world, transient_retry_count=0)

    assert (outcome.answer, outcome.at) == ("one", 50.0)
    assert tried(outcome) == ["a/x succeeded", "b/y failed"]


@virtual_time
async def test_while_another_could_answer_the_clock_ends_the_slow_one() -> None:
    """A1, C7: being overtaken is no reason to run for ever; its own clock blames it as ever."""
    world = world_of(a=hangs(), b=says("two", first=35.0))

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x timed_out", "b/y succeeded"]
    assert outcome.at == 45.0
    assert outcome.attempts[0].latency == 30.0


@virtual_time
async def test_a_target_that_declined_its_share_could_still_answer() -> None:
    """A1, C3: it is turned back to at the end, so the slow one is not the last that is left."""
    health = HealthConfig(jitter=0.0, ramp=1000.0, ramp_shares=(0.0,))
    world = world_of(a=hangs(), b=[says("up"), says("two")], health=health)
    world.bench("b/y")
    await bench_ends(world, "b/y")
    await world.stream(world.chain("b/y"))
    assert world.record("b/y").state is TargetState.RAMPING

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x timed_out", "b/y skipped", "b/y succeeded"]
    assert left_in(world.hedges) == 8, "nobody was started beside it"


@virtual_time
async def test_when_both_fail_the_chain_goes_on_with_the_third() -> None:
    """C1, C7: at once, and not only when the next delay has passed."""
    world = world_of(a=refuses(after=12.0), b=refuses(after=3.0), c=says("three"))

    outcome = await overtaken(world, transient_retry_count=0)

    assert tried(outcome) == ["a/x failed", "b/y failed", "c/z succeeded"]
    assert outcome.at == 13.0


@virtual_time
async def test_a_benched_target_is_no_overtaker() -> None:
    """C1, C7: the next after it starts; when all have failed it is passed over, and that is told."""
    health = HealthConfig(base=20.0, jitter=0.0)
    world = world_of(a=refuses(after=12.0), b=says("two"), c=refuses(after=3.0), health=health)
    world.bench("b/y")

    outcome = await overtaken(world, transient_retry_count=0)

    assert starts(world) == [("a/x", 0.0), ("c/z", 10.0)]
    assert tried(outcome) == ["a/x failed", "c/z failed", "b/y skipped"]


@virtual_time
async def test_all_that_failed_is_told_first_cause_first() -> None:
    """C4: what failed side by side is told as one list."""
    world = world_of(a=refuses(after=12.0), b=refuses(FailureClass.OVERLOADED, after=1.0), c=refuses())

    outcome = await overtaken(world, transient_retry_count=0)

    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert outcome.error is not None
    assert outcome.error.metadata["first_cause"] == "OVERLOADED"
    assert tried(outcome) == ["a/x failed", "b/y failed", "c/z failed"]


@pytest.mark.parametrize("unary", [False, True])
@virtual_time
async def test_a_request_fault_of_the_second_lets_the_first_finish(*, unary: bool) -> None:
    """C2, A3, A1: the first is the last that is left, and nobody else is asked."""
    world = world_of(a=says("one", first=170.0), b=refuses(BAD, http_status=400), c=says("no"))

    outcome = await overtaken(world, unary=unary)

    assert outcome.answer == "one"
    assert world.called == ["a/x", "b/y"]


@virtual_time
async def test_a_request_fault_of_the_second_is_the_last_word() -> None:
    """C2, C4: if the first fails too, nobody else starts and it is not retried: the request is at fault."""
    world = world_of(a=refuses(after=12.0), b=refuses(BAD, http_status=400), c=says("no"))

    outcome = await overtaken(world)

    assert outcome.reason is ErrorReason.PROVIDER_REJECTED_REQUEST
    assert world.called == ["a/x", "b/y"]


@virtual_time
async def test_a_request_fault_of_the_first_lets_the_second_finish() -> None:
    """C2, C7: whoever runs may answer; nobody else starts."""
    world = world_of(a=refuses(BAD, http_status=400, after=11.0), b=says("two", first=20.0), c=says("no"))

    outcome = await overtaken(world)

    assert outcome.answer == "two"
    assert world.called == ["a/x", "b/y"]
