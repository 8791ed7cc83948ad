"""Calls that end while one target overtakes another: nothing is left open or booked twice (A4, A6, H2)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.strategies.call import ChainOptions, Recovery
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.race import Candidate, Race
from paceline_server.strategies.racing.first import First
from tests.strategies.cancelling import Scene, cancel_everywhere, limited
from tests.strategies.fitter import Rewrite
from tests.strategies.overtaken import Lingering, overtaken, world_of
from tests.strategies.scripted import (
    Script,
    Wait,
    breaks,
    hangs,
    refuses,
    says,
    stalls,
    text,
    unwritable,
)
from tests.strategies.world import World
from tests.virtual_time import now, run_virtual, virtual_time

SOON = ChainOptions(overtake_after=1.0)
LATER = 1.5
"""Seconds, after which the next has started."""


def race_and_target(world: World) -> Chain:
    """The first two targets race, and the third is next."""
    names = world.names
    race = Race([Candidate(world.chain(name), name) for name in names[:2]], First(), world.surroundings)
    return Chain([race, *map(world.model, names[2:])], world.surroundings)


def target_and_race(world: World) -> Chain:
    """The last two targets race, beside the first."""
    first, *others = world.names
    race = Race([Candidate(world.chain(name), name) for name in others], First(), world.surroundings)
    return Chain([world.model(first), race], world.surroundings)


def overtaking_candidate(world: World) -> Race:
    """A chain that overtakes in a race with a target."""
    candidates = [Candidate(world.chain(*names), "") for names in (world.names[:2], world.names[2:])]
    return Race(candidates, First(), world.surroundings)


def chain_and_target(world: World) -> Chain:
    """The first two are a chain of their own."""
    names = world.names
    return Chain([world.chain(*names[:2]), *map(world.model, names[2:])], world.surroundings)


SCENES = {
    "the second wins": Scene({"a/x": hangs(), "b/y": says("one ", "two", first=0.5, every=1.0)}),
    "the first wins": Scene({"a/x": says("one ", "two", first=LATER, every=1.0), "b/y": hangs()}),
    "both at once": Scene({"a/x": says("one", first=2.0), "b/y": says("two", first=1.0)}),
    "the third wins": Scene({"a/x": hangs(), "b/y": stalls(), "c/z": says("one", first=0.5)}),
    "the first fails": Scene({"a/x": refuses(after=LATER), "b/y": says("two", first=2.0)}),
    "the second fails": Scene({"a/x": says("one", first=4.0), "b/y": refuses(after=0.5)}),
    "all fail": Scene({"a/x": refuses(after=LATER), "b/y": refuses(after=0.2), "c/z": refuses()}),
    "the second wins and breaks": Scene({"a/x": hangs(), "b/y": breaks("two"), "c/z": says("three")}),
    "a break, held": Scene(
        {"a/x": hangs(), "b/y": breaks("two"), "c/z": says("three")},
        options=replace(SOON, recovery=Recovery.HOLD),
    ),
    "a break, gone on with": Scene(
        {
            "a/x": [hangs(), says(" one", first=0.5)],
            "b/y": Script((*text("two"), Wait(0.2), *breaks("").steps)),
        },
        options=replace(SOON, recovery=Recovery.CONTINUE),
    ),
    "a request fault": Scene(
        {"a/x": says("one", first=4.0), "b/y": refuses(FailureClass.INVALID_REQUEST), "c/z": says("no")}
    ),
    "a probe": Scene({"a/x": hangs(), "b/y": says("two", first=0.5)}, benched=("a/x",)),
    "a fit": Scene(
        {"a/x": says("one", first=3.0), "b/y": says("two")}, fitting={"a": Rewrite(0.5), "b": Rewrite(1.0)}
    ),
    "a misfit": Scene({"a/x": hangs(), "b/y": unwritable(), "c/z": says("three", first=0.5)}),
    "a race, overtaken": Scene(
        {"a/x": hangs(), "b/y": stalls(), "c/z": says("three", first=0.5)}, model=race_and_target, raced=True
    ),
    "a race that overtakes": Scene(
        {"a/x": hangs(), "b/y": hangs(), "c/z": says("three ", "words", first=0.5, every=0.5)},
        model=target_and_race,
        raced=True,
    ),
    "an overtaking in a race": Scene(
        {"a/x": hangs(), "b/y": says("two ", "words", first=0.5, every=0.5), "c/z": hangs()},
        model=overtaking_candidate,
        raced=True,
    ),
    "an overtaking in a chain in a chain": Scene(
        {"a/x": hangs(), "b/y": says("two", first=0.5), "c/z": hangs()}, model=chain_and_target
    ),
}
SCENES = {
    name: scene if scene.options.overtake_after else replace(scene, options=SOON)
    for name, scene in SCENES.items()
}
SCENES |= {
    f"{name}, unary": replace(scene, unary=True)
    for name, scene in SCENES.items()
    if scene.options.recovery is Recovery.RESTART
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", SCENES)
def test_an_overtaking_can_be_cancelled_at_every_await(name: str, *, late: bool) -> None:
    """A4, A6, H2: whoever runs is closed, booked once with its usage, and not blamed."""
    cancel_everywhere(SCENES[name], late=late)


@pytest.mark.parametrize("name", SCENES)
def test_a_deadline_at_any_moment_of_an_overtaking_leaves_nothing_behind(name: str) -> None:
    """A4, A6: also where it falls together with the start of another."""
    for tenths in range(1, 45):
        run_virtual(partial(limited, SCENES[name], tenths / 10))


@pytest.mark.parametrize("unary", [False, True])
@virtual_time
async def test_nobody_starts_when_the_call_is_over(*, unary: bool) -> None:
    """A6, C7: the delay passes while the connection of a call that was left is still closing."""
    world = world_of(a=hangs(), b=says("no"))
    world.providers["a"] = Lingering(0.03)  # type: ignore[assignment]
    task = asyncio.create_task(overtaken(world, unary=unary))
    await asyncio.sleep(9.99)
    task.cancel()
    await asyncio.wait([task])
    assert now() == pytest.approx(10.02)
    assert world.called == []
