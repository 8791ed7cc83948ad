"""Random races of every strategy, held to the rules (R1 to R10); `make soak` plays ten thousand of each."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.strategies.race_checks import check, check_left_behind
from tests.strategies.race_schedules import LONG_SILENCE, RULES, drawn
from tests.strategies.race_world import RaceClient
from tests.virtual_time import run_virtual

COUNT = int(os.environ.get("PACELINE_SOAK", "100"))
"""How many schedules of each strategy are played."""


async def play(strategy: str, seed: int) -> None:
    """Play one schedule, and hold it to the rules."""
    schedule = drawn(strategy, seed)
    world = schedule.world()
    call = world.call(schedule.options, within=schedule.within)
    outcome = await world.run(
        schedule.model(world),
        streaming=schedule.streaming,
        call=call,
        client=RaceClient(schedule.pause, told=not schedule.is_chain),
        tells_all=schedule.tells_all,
        cancel_after=schedule.cancel_after,
    )
    check(world, outcome)
    await asyncio.sleep(4 * LONG_SILENCE)
    check_left_behind(world, outcome)


@pytest.mark.parametrize("strategy", RULES)
def test_any_race_keeps_the_rules(strategy: str) -> None:
    """R1 to R10: whatever its candidates do, and whenever; a failure names its seed."""
    for seed in range(COUNT):
        try:
            run_virtual(lambda: play(strategy, seed))  # noqa: B023 - it is run before the next seed
        except BaseException as error:
            error.add_note(f"{strategy}, schedule {seed}: {drawn(strategy, seed)}")
            raise
