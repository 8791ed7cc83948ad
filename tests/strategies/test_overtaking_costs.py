"""What an overtaking takes of the buckets and of the call, and what it gives back (C6, C7, A7, A8)."""

from __future__ import annotations

import pytest

from paceline_server.completion.errors import ErrorReason
from paceline_server.health.budget import BudgetConfig
from paceline_server.health.machine import HealthConfig
from paceline_server.strategies.call import AttemptConfig
from tests.strategies.fitter import Fault, Refuse, Rewrite, ScriptedFitter
from tests.strategies.overtaken import (
    BAD,
    bench_ends,
    left_in,
    overtaken,
    tried,
    world_of,
)
from tests.strategies.scripted import (
    hangs,
    refuses,
    says,
    unwritable,
)
from tests.virtual_time import virtual_time


@virtual_time
async def test_an_overtaking_takes_a_hedge_and_an_additional_attempt() -> None:
    """C6, C7: one of each, and the first start stays free."""
    world = world_of(a=hangs(), b=hangs(), c=says("three"))

    outcome = await overtaken(world)

    assert outcome.call.record.additional_count == 2
    assert (left_in(world.hedges), left_in(world.budget)) == (6, 6)


@pytest.mark.parametrize("what", ["hedges", "budget"])
@virtual_time
async def test_nobody_starts_where_it_cannot_be_paid(what: str) -> None:
    """C6, C7: the slow one goes on, nothing is taken, and its failure is dealt with as ever."""
    empty = BudgetConfig(share_of_calls=0.0, per_second=0.05, burst=8.0, start=0.0)
    world = world_of(a=hangs(), b=says("two"), **{what: empty})

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x timed_out", "b/y succeeded"]
    assert outcome.at == 30.0
    other = world.budget if what == "hedges" else world.hedges
    assert left_in(other) == (7 if what == "hedges" else 8)


@virtual_time
async def test_the_attempts_of_the_call_bound_its_overtakings() -> None:
    """A7: what one call may start in addition counts those beside it."""
    world = world_of(a=hangs(), b=hangs(), c=says("no"), config=AttemptConfig(additional_attempts=1))

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x timed_out", "b/y timed_out", "c/z skipped"]
    assert left_in(world.hedges) == 7


@virtual_time
async def test_nothing_is_taken_when_nobody_may_start() -> None:
    """C7: the others are benched, so the slow one is the last that is left and takes its time."""
    health = HealthConfig(base=600.0, maximum=600.0, jitter=0.0)
    world = world_of(a=says("one", first=40.0), b=says("no"), c=says("no"), health=health)
    world.bench("b/y")
    world.bench("c/z")

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x succeeded"]
    assert (left_in(world.hedges), left_in(world.budget)) == (8, 8)


@pytest.mark.parametrize("why", ["misfit", "unwritable"])
@virtual_time
async def test_one_that_the_prompt_does_not_fit_gives_its_token_to_the_next(why: str) -> None:
    """A8, C7: a rejected target was no overtaker: the next starts at once in its place."""
    fitter = ScriptedFitter({"b": Refuse()} if why == "misfit" else {})
    second = says("no") if why == "misfit" else unwritable()
    world = world_of(a=hangs(), b=second, c=says("three"), fitter=fitter)

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x cancelled", "b/y rejected", "c/z succeeded"]
    assert outcome.at == 10.0
    assert (left_in(world.hedges), left_in(world.budget)) == (7, 7)


@virtual_time
async def test_one_that_was_still_fitted_costs_nothing() -> None:
    """A8, C6, C7: the first has content while the second's prompt is made to fit."""
    world = world_of(a=says("one", first=12.0), b=says("no"), fitter=ScriptedFitter({"b": Rewrite(5.0)}))

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x succeeded"]
    assert world.called == ["a/x"]
    assert (left_in(world.hedges), left_in(world.budget)) == (8, 8)


@virtual_time
async def test_the_start_is_free_whoever_makes_it() -> None:
    """A7: a head that is passed over has started nothing, so the next one's start is the call's first."""
    world = world_of(a=says("no"), b=hangs(), c=says("three"))
    world.bench("a/x")

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x skipped", "b/y cancelled", "c/z succeeded"]
    assert left_in(world.budget) == 7


@virtual_time
async def test_a_probe_that_is_overtaken_is_given_back() -> None:
    """H2, A4: slowness is no verdict on a target that was to show that it is well again."""
    world = world_of(a=hangs(), b=says("two"))
    world.bench("a/x")
    await bench_ends(world, "a/x")
    rounds = world.record("a/x").rounds

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x cancelled", "b/y succeeded"]
    assert world.probes_out == []
    assert world.record("a/x").rounds == rounds


@virtual_time
async def test_a_model_that_cannot_be_run_costs_its_own_turn_alone() -> None:
    """C4, C7: a bug beside others is a setback; the next one answers, or the call tells the failures."""
    fitter = ScriptedFitter({"a": Fault(), "b": Fault()})
    world = world_of(
        a=says("no"), b=says("no"), c=[says("three"), refuses(BAD, http_status=400)], fitter=fitter
    )

    answered = await overtaken(world)
    failed = await overtaken(world)

    assert answered.answer == "three"
    assert failed.error is not None
    assert failed.reason is ErrorReason.PROVIDER_REJECTED_REQUEST
