"""What attempts report of their targets' speed, and when (C7, R4, R10)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import CallEvent
from paceline_server.health.budget import BudgetConfig
from paceline_server.routing.performance import Performance
from paceline_server.strategies.call import AttemptConfig, Call
from paceline_server.strategies.engine import ROOT
from paceline_server.strategies.heat import Heat
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Unanswered
from tests.strategies.scripted import Script, Wait, breaks, hangs, refuses, says, stalls, text
from tests.strategies.world import World
from tests.virtual_time import virtual_time

QUICK = AttemptConfig(first_content_timeout=2.0, attempt_timeout=2.0, transient_retry_count=0)


class Noted(Performance):
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str, float, bool]] = []

    def observe(self, target: Target, latency: float, *, streaming: bool) -> None:
        """An attempt came so far."""
        self.told.append(("came", str(target), round(latency, 3), streaming))

    def censored(self, target: Target, waited: float, *, streaming: bool) -> None:
        """An attempt was cut off before."""
        self.told.append(("cut off", str(target), round(waited, 3), streaming))


class Winner:
    """Waits for one lane's first content and for its end."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.has_content = asyncio.Event()
        self.is_over = asyncio.Event()

    def heard(self, lane: Lane, event: CallEvent) -> None:
        """It may have written."""
        if lane.index == self.index and lane.held:
            self.has_content.set()

    heard_aside = heard

    def ended(self, lane: Lane) -> None:
        """It may be done."""
        if lane.index == self.index:
            self.is_over.set()

    async def room(self) -> None:
        """There always is."""


def world(noted: Noted, **scripts: Script) -> World:
    """Providers of one model each."""
    return World({f"{name}/m": script for name, script in scripts.items()}, config=QUICK, performance=noted)


@virtual_time
async def test_a_stream_is_measured_when_its_first_content_comes() -> None:
    """C7: the next call knows at once, and not only when a long answer has ended."""
    noted = Noted()
    one = world(noted, a=says("one", "two", "three", first=0.4, every=5.0))
    async with asyncio.TaskGroup() as group:
        group.create_task(one.stream())
        await asyncio.sleep(1.0)
        assert noted.told == [("came", "a/m", 0.4, True)]
    assert len(noted.told) == 1


@virtual_time
async def test_a_unary_call_is_measured_by_its_whole_answer() -> None:
    """C7: what it says first is never seen."""
    noted = Noted()
    await world(noted, a=says("one", "two", first=0.4, every=0.6)).complete()
    assert noted.told == [("came", "a/m", 1.0, False)]


@pytest.mark.parametrize("streaming", [True, False])
@virtual_time
async def test_an_attempt_whose_clock_ran_out_would_have_taken_longer(*, streaming: bool) -> None:
    """R4: a target that times out is slow, and not merely unknown."""
    noted = Noted()
    one = world(noted, a=hangs(), b=says("well"))
    await (one.stream() if streaming else one.complete())
    assert noted.told == [("cut off", "a/m", 2.0, streaming), ("came", "b/m", 0.0, streaming)]


@virtual_time
async def test_a_failure_says_nothing_of_speed() -> None:
    """L3: failures are often quick, and would make their target look fast."""
    noted = Noted()
    await world(noted, a=refuses(after=0.1), b=refuses(after=0.2)).complete()
    assert noted.told == []


@virtual_time
async def test_a_stream_that_breaks_or_falls_silent_is_measured_once() -> None:
    """C7: its first content has come, whatever becomes of it."""
    noted = Noted()
    one = world(noted, a=breaks("half"), b=stalls("half"), c=says("whole", first=0.5))
    await one.stream()
    assert noted.told == [("came", "a/m", 0.0, True), ("came", "b/m", 0.0, True), ("came", "c/m", 0.5, True)]


@pytest.mark.parametrize("streaming", [True, False])
@virtual_time
async def test_a_caller_who_leaves_is_in_no_statistic(*, streaming: bool) -> None:
    """R10: why he left is not known."""
    noted = Noted()
    one = world(noted, a=hangs())
    task = asyncio.create_task(one.stream() if streaming else one.complete())
    await asyncio.sleep(1.0)
    task.cancel()
    await asyncio.wait([task])
    assert noted.told == []


async def race(one: World, winner: int | None) -> None:
    """Run all targets side by side until the winner has content, and end the others; None: fail after 1 s."""
    call, listener = one.call(), Winner(-1 if winner is None else winner)
    async with Heat() as heat:
        lanes = [
            Lane(index, call.record.branch(free_start=True), listener) for index, _ in enumerate(one.names)
        ]
        for lane in lanes:
            heat.start(lane, partial(one.model(one.names[lane.index]).stream, _in(lane, call), lane, ROOT))
        if winner is None:
            await asyncio.sleep(1.0)
            raise Unanswered([])
        await listener.has_content.wait()
        heat.cancel_all(but=lanes[winner])
        await listener.is_over.wait()


def _in(lane: Lane, call: Call) -> Call:
    """The call as a candidate's own race has it: a branch of the lane's."""
    return replace(call, record=lane.record.branch(free_start=True))


@virtual_time
async def test_who_was_outrun_would_have_taken_longer() -> None:
    """R10: a loser's time is cut off, not observed, unless it had come so far itself."""
    noted = Noted()
    late = Script((Wait(0.5), *text("slow"), Wait(9.0)))
    await race(world(noted, a=hangs(), b=late, c=says("won", first=0.9)), winner=2)
    assert noted.told == [
        ("came", "b/m", 0.5, True),
        ("came", "c/m", 0.9, True),
        ("cut off", "a/m", 0.9, True),
    ]


@virtual_time
async def test_who_ran_when_the_caller_left_is_in_no_statistic() -> None:
    """R10: a race that its caller ends was lost by nobody."""
    noted = Noted()
    task = asyncio.create_task(race(world(noted, a=hangs(), b=hangs()), winner=0))
    await asyncio.sleep(1.0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert noted.told == []


@virtual_time
async def test_who_runs_when_a_race_fails_would_have_taken_longer() -> None:
    """R10: a race that is decided on time, without a winner, has not been left."""
    noted = Noted()
    with pytest.raises(Unanswered):
        await race(world(noted, a=hangs()), winner=None)
    assert noted.told == [("cut off", "a/m", 1.0, True)]


@virtual_time
async def test_every_call_grants_its_share_of_hedges_once() -> None:
    """R4: ten calls pay for one hedge, however many attempts they make."""
    one = World(
        {"a/m": refuses(), "b/m": says("well")}, hedges=BudgetConfig(0.1, 0.0, 10.0, start=0.0), config=QUICK
    )
    for _ in range(11):
        assert not one.hedges.spend()
        await one.complete()
    assert one.hedges.spend()
    assert not one.hedges.spend()
