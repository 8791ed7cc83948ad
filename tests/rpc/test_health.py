"""The health of names is kept true, and each change costs what it touches (H4; health in the contract)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.registry import HealthRegistry, ProviderScope, Ticket
from paceline_server.providers.profile import Profile
from paceline_server.routing.catalog import Catalog, Definition, ModelKind
from paceline_server.routing.directory import Directory
from paceline_server.rpc.health import NAMES_AT_ONCE, NOT_SERVING, SERVING, HealthReporter, HealthRpc
from tests.rpc.gateway import PATIENCE, HandClock

NAME_COUNT = 10_000


class ToldHealth(HealthRpc):
    """Lets a test wait for what is told."""

    def __init__(self) -> None:
        """Nothing is told yet."""
        super().__init__()
        self.told: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def set(self, service: str, status: int) -> None:
        """Keep it."""
        super().set(service, status)
        self.told.put_nowait((service, status))

    async def next(self) -> tuple[str, int]:
        """What is told next."""
        async with asyncio.timeout(PATIENCE):
            return await self.told.get()


class CountedDirectory(Directory):
    """Counts how often a name is looked at, and tells when all have been twice."""

    evaluations = 0

    def __init__(self, catalog: Catalog, health: HealthRegistry) -> None:
        """Nothing is looked at yet."""
        super().__init__(catalog, health, lambda _target: Profile())
        self.looked_twice = asyncio.Event()

    def available(self, name: str) -> bool:
        """Count, and look."""
        self.evaluations += 1
        if self.evaluations == 2 * NAME_COUNT:
            self.looked_twice.set()
        return super().available(name)


@dataclass
class Followed:
    """A reporter that follows the health of many names, each of a target of its own."""

    clock: HandClock = field(default_factory=HandClock)
    servicer: ToldHealth = field(default_factory=ToldHealth)

    def __post_init__(self) -> None:
        names = {f"n{number}": Definition(ModelKind.ALIAS, (f"p/m{number}",)) for number in range(NAME_COUNT)}
        self.health = HealthRegistry(now=self.clock)
        catalog = Catalog(names, frozenset({"p"}))
        self.directory = CountedDirectory(catalog, self.health)
        self.reporter = HealthReporter(self.servicer, self.directory, ())

    def fail(self, target: Target, retry_after: float) -> None:
        """A call fails that benches its target at once."""
        ticket = self.health.admit(target)
        assert isinstance(ticket, Ticket)
        ticket.failed(AttemptFailure(FailureClass.RATE_LIMITED, "failed", retry_after=retry_after))


@asynccontextmanager
async def following() -> AsyncIterator[Followed]:
    """A reporter that has told all its names once."""
    followed = Followed()
    followed.reporter.started()
    task = asyncio.create_task(followed.reporter.run())
    try:
        # It looks at all of them once more, since they may have changed before it began.
        async with asyncio.timeout(PATIENCE):
            await followed.directory.looked_twice.wait()
        while not followed.servicer.told.empty():
            followed.servicer.told.get_nowait()
        followed.directory.evaluations = 0
        yield followed
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_failing_call_evaluates_only_the_names_of_its_target() -> None:
    """H4: with ten thousand names a failure looks at one of them, and again at its bench's end."""
    async with following() as followed:
        followed.fail(Target("p", "m7"), 60)
        assert await followed.servicer.next() == ("model/n7", NOT_SERVING)
        followed.clock.seconds += 60
        followed.fail(Target("p", "m8"), 60)
        told = {await followed.servicer.next(), await followed.servicer.next()}
        assert told == {("model/n7", SERVING), ("model/n8", NOT_SERVING)}
        assert followed.directory.evaluations == 3


async def test_a_burst_is_looked_at_once() -> None:
    """H4: what comes while nothing is looked at is one look, however often it changed."""
    async with following() as followed:
        for number in range(1000):
            followed.health.bench(Target("p", "m7"), 60 + number, "")
        assert await followed.servicer.next() == ("model/n7", NOT_SERVING)
        assert followed.directory.evaluations == 1


async def test_twenty_thousand_failing_targets_evaluate_no_name() -> None:
    """H4: callers who name random models of a provider make nobody look at the configured names."""
    async with following() as followed:
        for number in range(20_000):
            followed.fail(Target("p", f"random-{number}"), 60)
            if number % 1000 == 0:
                await asyncio.sleep(0)
        followed.fail(Target("p", "m7"), 60)
        assert await followed.servicer.next() == ("model/n7", NOT_SERVING)
        assert followed.directory.evaluations == 1


async def test_calls_come_in_between_when_a_provider_decides_about_all_names() -> None:
    """H4: ten thousand names are never looked at in one go."""
    async with following() as followed:
        followed.health.bench(ProviderScope("p"), 60, "")
        looks, largest = 0, 0
        while looks < NAME_COUNT:
            await asyncio.sleep(0)
            largest = max(largest, followed.directory.evaluations - looks)
            looks = followed.directory.evaluations
        assert (looks, largest) == (NAME_COUNT, NAMES_AT_ONCE)
