"""Races over simulated providers in virtual time: how long first contents take, and what is started for it.

The engines, their clocks, budgets and what they learn are those of the server, with their defaults; only the
event loop's clock jumps. A seed decides everything, so that two runs give the same figures.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import CallEvent
from paceline_server.completion.content import Message, Part, Role, Text
from paceline_server.completion.deltas import Delta
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import Price
from paceline_server.health.budget import HEDGES, AttemptBudget
from paceline_server.health.registry import HealthRegistry
from paceline_server.providers.fitting import TargetFitter
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_pace import LogNormal
from paceline_server.providers.simulated_script import AfterScript, Ok, Slow
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.routing.catalog import Catalog
from paceline_server.routing.performance import Performance
from paceline_server.strategies import engine
from paceline_server.strategies.assembly import Assembly
from paceline_server.strategies.call import AttemptConfig, Call
from paceline_server.strategies.model import Model
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from paceline_server.strategies.surroundings import Surroundings
from tests.virtual_time import run_virtual

MEDIAN, SIGMA = 0.4, 0.6
STALL_SHARE, STALL_SECONDS = 0.02, 10.0
CALLS_PER_SECOND = 10.0
PRICE = Price(input_nano_usd=150_000_000, output_nano_usd=600_000_000)
CALL_TIMEOUT = 300.0
BENCH_SECONDS = 1e6
SCRIPT_LENGTH = 10_000
"""Calls to a provider before its stalls come in the same places again."""

NAMES = ("a", "b", "c")
PROMPT = Prompt((Message(Role.USER, (Part(Text("What is a gateway in front of language models for?")),)),))

SINGLE, RACE_OF_2, RACE_OF_3, HEDGED = "single", "race of 2", "race of 3", "hedged at 0.95"
_RULES: Mapping[str, tuple[int, Rule | None]] = MappingProxyType(
    {SINGLE: (1, None), RACE_OF_2: (2, First()), RACE_OF_3: (3, First()), HEDGED: (2, Hedged())}
)
STRATEGIES = tuple(_RULES)


@dataclass
class Sample:
    """What the calls of one strategy came to.

    Attributes:
        seconds: To the first content of each call, from its own start.
        started_count: Calls of providers.
        cost_nano_usd: Of all of them.
        benched_start_count: Calls of providers that were benched; only in calls made for that.
    """

    seconds: list[float] = field(default_factory=list)
    started_count: int = 0
    cost_nano_usd: int = 0
    benched_start_count: int = 0

    @property
    def started_per_call(self) -> float:
        """1 where nothing is started in addition."""
        return self.started_count / len(self.seconds)

    def quantile(self, q: float) -> float:
        """Of the times to first content, in seconds."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(q * len(self.seconds)))]


def simulate(seed: int, call_count: int) -> dict[str, Sample]:
    """Make the same calls with each strategy, each on providers and with budgets of its own.

    Hedging then makes a tenth as many with all targets benched but the first.
    """
    return {strategy: run_virtual(lambda: _sample(strategy, seed, call_count)) for strategy in STRATEGIES}  # noqa: B023


async def _sample(strategy: str, seed: int, call_count: int) -> Sample:
    fleet = _Fleet(strategy, seed)
    sample = Sample()
    await fleet.calls(call_count, sample)
    sample.started_count = fleet.started_count(NAMES)
    if strategy == HEDGED:
        for name in NAMES[1:]:
            fleet.health.bench(Target(name, "m"), BENCH_SECONDS, "for the bench")
        before = fleet.started_count(NAMES[1:])
        await fleet.calls(call_count // 10, Sample())
        sample.benched_start_count = fleet.started_count(NAMES[1:]) - before
    fleet.close()
    return sample


class _Fleet:
    """Three providers alike, and a strategy over them, on the running loop."""

    def __init__(self, strategy: str, seed: int) -> None:
        time = asyncio.get_running_loop().time
        self.health = HealthRegistry(now=time, rng=random.Random(seed))
        self._fitter = TargetFitter()
        surroundings = Surroundings(
            self.health,
            AttemptBudget(now=time),
            AttemptConfig(),
            random.Random(seed),
            self._fitter,
            Performance(now=time),
            AttemptBudget(HEDGES, now=time),
        )
        self._providers = {
            name: SimulatedProvider(name, {"m": _model(seed, name)}, seed=seed * len(NAMES) + place)
            for place, name in enumerate(NAMES)
        }
        assembly = Assembly(Catalog({}, frozenset(NAMES)), self._providers, surroundings)
        self._model = _strategy(assembly, strategy)
        self._arrivals = random.Random(seed)

    def started_count(self, names: tuple[str, ...]) -> int:
        """How often these were called."""
        return sum(self._providers[name].call_count("m") for name in names)

    async def calls(self, count: int, sample: Sample) -> None:
        """Make calls that come at random, whether or not those before them have ended."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._call(sample))
                await asyncio.sleep(self._arrivals.expovariate(CALLS_PER_SECOND))

    def close(self) -> None:
        """Let the fitter's threads end."""
        self._fitter.close()

    async def _call(self, sample: Sample) -> None:
        time = asyncio.get_running_loop().time
        began = time()
        arrived: list[float] = []

        async def sink(event: CallEvent) -> None:
            if isinstance(event, Delta) and not arrived:
                arrived.append(time() - began)

        call = Call("bench", PROMPT, began, began + CALL_TIMEOUT)
        await engine.stream(call, self._model, sink, now=self.health.now)
        sample.seconds += arrived
        sample.cost_nano_usd += call.record.total_usage().cost_nano_usd or 0


def _model(seed: int, name: str) -> SimulatedModel:
    draw = random.Random(f"{seed}/{name}")
    stalled, usual = Slow(STALL_SECONDS), Ok()
    script = tuple(stalled if draw.random() < STALL_SHARE else usual for _ in range(SCRIPT_LENGTH))
    return SimulatedModel(
        first_content=LogNormal(MEDIAN, SIGMA), price=PRICE, script=script, after_script=AfterScript.REPEAT
    )


def _strategy(assembly: Assembly, strategy: str) -> Model:
    count, rule = _RULES[strategy]
    specs = [f"{name}/m" for name in NAMES[:count]]
    if rule is None:
        return assembly.model(specs[0])
    return assembly.race(RaceSpec(tuple(CandidateSpec(spec) for spec in specs), rule))
