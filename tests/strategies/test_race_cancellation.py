"""Cancelling a race at each of its awaits, and random ones anywhere: nothing is left (A4, A6, H2, R2)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

import pytest

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import CallFailed
from paceline_server.completion.usage import Price
from paceline_server.providers.profile import Profile
from paceline_server.strategies.call import ChainOptions, Recovery
from paceline_server.strategies.race import Race
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.weighted import Weighted
from tests.strategies.cancelling import Stepper
from tests.strategies.race_checks import check, check_left_behind
from tests.strategies.race_schedules import RULES, drawn
from tests.strategies.race_world import RaceClient, RaceOutcome, RaceWorld
from tests.strategies.scripted import Script, breaks, hangs, refuses, says, stalls
from tests.virtual_time import now, run_virtual

COUNT = int(os.environ.get("PACELINE_SOAK", "500"))
"""How many random races are cancelled."""

PRICED = Profile(price=Price(1_000_000_000, 2_000_000_000), accepts_prefill=True)
QUICK = says("one ", "two", every=1.0, first=1.0)
SLOW = says("one ", "two", every=1.0, first=2.0)
SCORES = says('{"scores": {"A": 3, "B": 7}}', first=1.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """A call of a race with a course of its own; `model` makes it of something else than all targets."""

    rule: Rule
    scripts: dict[str, Script | list[Script]]
    judge: Script | None = None
    benched: tuple[str, ...] = ()
    limits: RaceLimits = NO_LIMITS
    options: ChainOptions = field(default_factory=ChainOptions)
    streaming: bool = True
    model: Callable[[RaceWorld, Rule], Race] | None = None

    def world(self) -> RaceWorld:
        """The world of the scene, with all that is benched."""
        scripts = self.scripts if self.judge is None else {**self.scripts, "j/judge": self.judge}
        world = RaceWorld(scripts, profiles=dict.fromkeys(scripts, PRICED))
        for name in self.benched:
            world.bench(name)
        return world

    def race(self, world: RaceWorld) -> Race:
        """What is called."""
        if self.model is not None:
            return self.model(world, self.rule)
        judge = None if self.judge is None else "j/judge"
        return world.race(self.rule, *self.scripts, limits=self.limits, judge=judge)


def nested(world: RaceWorld, rule: Rule) -> Race:
    """A race of a race of two and of a chain of two."""
    inner = world.race(Hedged(delay=1.0), "a/x", "b/y")
    return world.race(rule, inner, world.chain("b/y", "a/x"))


SCENES = {
    "a quick one": Scene(First(), {"a/x": QUICK, "b/y": SLOW}),
    "a grace": Scene(First(grace=2.0), {"a/x": QUICK, "b/y": SLOW}),
    "a hedge": Scene(Hedged(delay=1.0), {"a/x": hangs(), "b/y": QUICK}),
    "a judge": Scene(Best(Scorer.JUDGE, judge="j/judge"), {"a/x": QUICK, "b/y": SLOW}, judge=SCORES),
    "a consensus": Scene(Consensus(), {"a/x": QUICK, "b/y": SLOW, "c/z": hangs()}),
    "no consensus": Scene(Consensus(), {"a/x": QUICK, "b/y": says("no", first=1.0)}),
    "all that finish": Scene(Weighted(), {"a/x": QUICK, "b/y": refuses(after=1.0), "c/z": SLOW}),
    "a quality": Scene(Quality(grace=1.0), {"a/x": QUICK, "b/y": SLOW}),
    "a broken winner": Scene(First(), {"a/x": breaks("one", "two"), "b/y": SLOW}),
    "broken winners": Scene(First(), {"a/x": breaks("one"), "b/y": [hangs(), breaks("two")], "c/z": SLOW}),
    "exhaustion": Scene(First(), {"a/x": refuses(after=1.0), "b/y": refuses(FailureClass.QUOTA)}),
    "time up": Scene(Best(), {"a/x": stalls("one"), "b/y": hangs()}, limits=RaceLimits(decision_timeout=2.0)),
    "candidates out of time": Scene(
        First(), {"a/x": hangs(), "b/y": SLOW}, limits=RaceLimits(candidate_timeout=1.0)
    ),
    "all benched": Scene(First(), {"a/x": QUICK, "b/y": SLOW}, benched=("a/x", "b/y")),
    "a race in a race": Scene(First(), {"a/x": [hangs(), SLOW], "b/y": [stalls(), QUICK]}, model=nested),
    "an overtaking": Scene(
        Weighted(),
        {"a/x": hangs(), "b/y": SLOW},
        options=ChainOptions(overtake_after=0.5),
        model=lambda world, rule: world.race(rule, world.chain(), "b/y"),
    ),
    "a unary race": Scene(First(), {"a/x": QUICK, "b/y": SLOW}, streaming=False),
    "a unary judge": Scene(
        Best(Scorer.JUDGE, judge="j/judge"), {"a/x": QUICK, "b/y": SLOW}, judge=SCORES, streaming=False
    ),
}


async def cancelled(scene: Scene, *, at: int | None, late: bool) -> int:
    """Run a scene, cancelled at a step, and look at what is left; returns how many steps it took."""
    world = scene.world()
    outcome = RaceOutcome(world.call(scene.options), scene.race(world), RaceClient(), scene.streaming)
    count = await step(world, outcome, at, late=late)
    assert outcome.cancelled == (at is not None), "a cancellation was swallowed"
    check(world, outcome)
    check_left_behind(world, outcome)
    return count


async def step(world: RaceWorld, outcome: RaceOutcome, at: int | None, *, late: bool) -> int:
    """Let the call of `outcome` come to its end, cancelled at a step if it takes so many."""
    stepper = Stepper(world.answer(outcome), at, late)

    async def follow() -> Completion:
        return await stepper

    task = asyncio.create_task(follow())
    await asyncio.wait([task])
    outcome.at = now()
    outcome.cancelled = task.cancelled()
    if not task.cancelled():
        error = task.exception()
        assert error is None or isinstance(error, CallFailed), error
        outcome.error = error
        outcome.completion = None if error else task.result()
    return stepper.count


@pytest.mark.parametrize("recovery", Recovery)
@pytest.mark.parametrize("name", SCENES)
def test_a_race_can_be_cancelled_at_every_await(name: str, recovery: Recovery) -> None:
    """A4, A6, H2: closed, returned, booked once with its cost, in no statistic, and nobody blamed."""
    scene = SCENES[name]
    if not scene.streaming and recovery is not Recovery.RESTART:
        return  # nothing is recovered from
    scene = replace(scene, options=replace(scene.options, recovery=recovery, hold_token_count=2))
    for late in (False, True):
        count = run_virtual(partial(cancelled, scene, at=None, late=late))
        assert count >= 1
        for at in range(count):
            run_virtual(partial(cancelled, scene, at=at, late=late))


async def cancelled_somewhere(strategy: str, seed: int) -> None:
    """Play a random race, and cancel it at a random step."""
    schedule = replace(drawn(strategy, seed, deaf=False), before=(), behind=())
    rng = Random(seed)
    world = schedule.world()
    call = world.call(schedule.options, within=schedule.within)
    call.tells_all = schedule.tells_all
    client = RaceClient(schedule.pause)
    outcome = RaceOutcome(call, schedule.race.race(world), client, schedule.streaming)
    at, late = int(rng.expovariate(0.02)), rng.random() < 0.5
    count = await step(world, outcome, at, late=late)
    assert outcome.cancelled == (at < count), "a cancellation was swallowed"
    check(world, outcome)
    check_left_behind(world, outcome)


def test_any_race_can_be_cancelled_anywhere() -> None:
    """A4, A6, H2: whatever runs in it, wherever it is; a failure names its seed."""
    strategies = list(RULES)
    for seed in range(COUNT):
        strategy = strategies[seed % len(strategies)]
        try:
            run_virtual(partial(cancelled_somewhere, strategy, seed))
        except BaseException as error:
            error.add_note(f"{strategy}, schedule {seed}: {drawn(strategy, seed, deaf=False)}")
            raise
