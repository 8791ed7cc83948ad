"""Races between a winner and none: who ramps up, breaks, says nothing, is cut short, or was never sent."""

from __future__ import annotations

import asyncio

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Text
from paceline_server.completion.errors import ErrorReason
from paceline_server.completion.race import RaceDecision
from paceline_server.health.budget import BudgetConfig
from paceline_server.health.machine import TargetState
from paceline_server.strategies.racing.best import Best
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import RaceLimits
from tests.strategies.race_world import RaceWorld
from tests.strategies.scripted import End, Script, breaks, hangs, refuses, says, text, thought
from tests.virtual_time import virtual_time

STREAMING = pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "unary"])


@STREAMING
@virtual_time
async def test_who_ramps_up_may_not_decline_when_the_others_have_failed(*, streaming: bool) -> None:
    """H2, R8: with one candidate failed, the other's share of the ramp is all there is left to try."""
    world = RaceWorld({"a/x": refuses(FailureClass.CONTEXT_TOO_LONG), "b/y": says("well")})
    world.bench("b/y")
    await asyncio.sleep(60.0)
    assert (await world.run(world.race(First(), "b/y"))).answer == "well"
    assert world.record("b/y").state is TargetState.RAMPING
    for _ in range(12):
        outcome = await world.run(world.race(First(), "a/x", "b/y"), streaming=streaming)
        assert outcome.answer == "well"


@virtual_time
async def test_white_space_alone_wins_no_race() -> None:
    """R3: empty answers never win, even where the first content came from them."""
    blank = Script((*text("  ", "\n"), End()))
    world = RaceWorld({"a/x": blank, "b/y": says("yes", first=1.0)})
    outcome = await world.run(world.race(First()))
    assert outcome.answer == "yes"
    assert outcome.outcomes == ["failed", "won"]
    assert outcome.client.selected == 1


@virtual_time
async def test_thoughts_alone_win_no_race() -> None:
    """R3: who has only thought has not answered, and another takes his place."""
    thinks = Script((*thought("hm"), End()))
    world = RaceWorld({"a/x": thinks, "b/y": says("yes", first=1.0)})
    outcome = await world.run(world.race(First()))
    assert outcome.answer == "yes"
    assert outcome.completion is not None
    assert all(isinstance(part.kind, Text) for part in outcome.completion.parts)


@virtual_time
async def test_who_replaces_a_winner_has_only_until_the_race_must_decide() -> None:
    """R2: a restart that stays silent ends with the race's own clock, not with the caller's deadline."""
    world = RaceWorld({"a/x": breaks("one"), "b/y": hangs()})
    race = world.race(First(), limits=RaceLimits(decision_timeout=2.0))
    outcome = await world.run(race, transient_retry_count=0)
    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.at == pytest.approx(2.0, abs=0.1)


@STREAMING
@virtual_time
async def test_a_race_in_a_race_decides_before_it(*, streaming: bool) -> None:
    """R2: at the deadline the inner race gives the outer one what it has."""
    world = RaceWorld({"a/x": says("early"), "b/y": hangs(), "c/z": hangs()})
    inner = world.race(Best(), "a/x", "b/y")
    outcome = await world.run(world.race(Best(), inner, "c/z"), streaming=streaming, within=20.0)
    assert outcome.answer == "early"
    assert outcome.at < 20.0


@STREAMING
@virtual_time
async def test_a_race_of_a_very_short_call_still_starts(*, streaming: bool) -> None:
    """R2: the margin before the deadline is never more than half of what the caller gives."""
    world = RaceWorld({"a/x": says("quick", first=0.02), "b/y": hangs()})
    outcome = await world.run(world.race(First()), streaming=streaming, within=0.1)
    assert outcome.answer == "quick"


@virtual_time
async def test_a_hedge_that_was_never_sent_is_given_back() -> None:
    """R4: a token pays for a start; who is found benched at the door has not started."""
    world = RaceWorld({"a/x": says("late", first=5.0), "b/y": says("never")})
    world.bench("b/y")
    outcome = await world.run(world.race(Hedged(delay=0.5)))
    assert outcome.answer == "late"
    assert world.hedged == 0


@virtual_time
async def test_an_empty_bucket_of_hedges_is_told() -> None:
    """R4, R10: a candidate that waited for a hedge says that there was none, not that it came too late."""
    empty = BudgetConfig(share_of_calls=0.0, per_second=0.0, burst=1.0, start=0.0)
    world = RaceWorld({"a/x": says("late", first=5.0), "b/y": says("never")}, hedges=empty)
    outcome = await world.run(world.race(Hedged(delay=0.5)))
    assert outcome.answer == "late"
    assert "hedge_budget" in outcome.summary.candidates[1].message
    assert outcome.summary.decision is RaceDecision.ONLY_SURVIVOR


@virtual_time
async def test_who_was_never_sent_took_part_in_no_race() -> None:
    """R3, R10: a benched target loses no race that it did not run."""
    world = RaceWorld({"a/x": says("yes"), "b/y": says("no")})
    world.bench("b/y")
    await world.run(world.race(First()))
    ((winner, losers),) = world.scores.races
    assert (str(winner), losers) == ("a/x", ())


@virtual_time
async def test_who_was_never_started_has_not_survived() -> None:
    """R10: the last who ran is the only survivor, though another still waits for its turn."""
    world = RaceWorld({"a/x": breaks("one"), "b/y": says("two", first=3.0), "c/z": says("three")})
    race = world.race(Hedged(delay=0.5), "a/x", "b/y", "c/z")
    outcome = await world.run(race, transient_retry_count=0)
    assert outcome.answer == "two"
    assert outcome.outcomes == ["failed", "won", "skipped"]
    assert outcome.summary.decision is RaceDecision.ONLY_SURVIVOR
