"""Calls in which slow targets are overtaken, and how they are looked at (C7)."""

from __future__ import annotations

import asyncio
from typing import Any

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.usage import Price
from paceline_server.health.budget import AttemptBudget, BudgetConfig
from paceline_server.providers.base import Answer, AnswerStream, ProviderRequest
from paceline_server.providers.profile import Profile
from paceline_server.strategies.call import ChainOptions
from tests.strategies.world import Client, Outcome, World, target_of

FEW = BudgetConfig(share_of_calls=0.0, per_second=0.0, burst=8.0, start=8.0)
"""Eight, and never more: what is gone was taken."""

BAD = FailureClass.INVALID_REQUEST


def world_of(**options: Any) -> World:
    """Targets a/x, b/y and c/z by the scripts `a`, `b` and `c`, with eight tokens in each bucket."""
    names = {"a": "a/x", "b": "b/y", "c": "c/z"}
    scripts = {target: options.pop(name) for name, target in names.items() if name in options}
    priced = dict.fromkeys(scripts, Profile(Price(10**9, 2 * 10**9)))
    return World(scripts, **{"budget": FEW, "hedges": FEW, "profiles": priced, **options})


async def overtaken(
    world: World, *, unary: bool = False, raced: bool = False, pause: float = 0.0, **options: Any
) -> Outcome:
    """One call in which the next target starts after 10 s."""
    options.setdefault("overtake_after", 10.0)
    if unary:
        return await world.complete(**options)
    return await world.stream(client=Client(pause, beside=True, raced=raced), **options)


async def by_default(world: World, *, unary: bool = False) -> Outcome:
    """One call that says nothing of overtaking."""
    call = world.call()
    call.options = ChainOptions()
    return await (world.complete(call=call) if unary else world.stream(call=call))


def tried(outcome: Outcome) -> list[str]:
    """What became of each attempt, in the order of their indices."""
    attempts = sorted(outcome.attempts, key=lambda attempt: attempt.index)
    return [f"{attempt.target} {attempt.outcome.value}" for attempt in attempts if attempt.outcome]


def left_in(bucket: AttemptBudget) -> int:
    """How many tokens are left."""
    count = 0
    while bucket.spend():
        count += 1
    return count


def starts(world: World) -> list[tuple[str, float]]:
    """What was called, and when."""
    return [(call.target, call.at) for call in world.calls]


async def bench_ends(world: World, name: str) -> None:
    """Wait until the target may be probed."""
    held = world.health.held(target_of(name))
    assert held is not None
    await asyncio.sleep(held.until - world.health.now())


class Lingering:
    """A provider that says nothing, and whose connections take a while to close."""

    def __init__(self, seconds: float) -> None:
        """Take `seconds` to close."""
        self._seconds = seconds

    def profile(self, _model: str) -> Profile:
        """Nothing is known."""
        return Profile()

    async def complete(self, request: ProviderRequest) -> Answer:
        """Never answer."""
        await self.open(request)
        raise AssertionError("it never answers")

    async def open(self, _request: ProviderRequest) -> AnswerStream:
        """Wait to be cancelled, and a while longer."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if self._seconds:
                await asyncio.sleep(self._seconds)
        raise AssertionError("it never answers")

    async def aclose(self) -> None:
        """Nothing is kept open."""
