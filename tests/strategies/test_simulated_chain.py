"""Chains over the simulated provider: many calls at once, with faults as real providers have them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import CallFailed
from paceline_server.completion.usage import total_usage
from paceline_server.health.budget import AttemptBudget
from paceline_server.health.machine import TargetState
from paceline_server.health.registry import HealthRegistry
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_pace import Exponential, LogNormal
from paceline_server.providers.simulated_script import AfterScript, Fail
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.routing.performance import Performance
from paceline_server.strategies import engine
from paceline_server.strategies.call import AttemptConfig, Call, ChainOptions, Recovery
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.strategies.target import TargetModel
from tests.as_given import AsGiven
from tests.strategies.world import PROMPT, Client
from tests.virtual_time import now, virtual_time

ERRATIC = SimulatedModel(
    first_content=LogNormal(0.5, 0.8),
    token_interval=Exponential(0.02),
    failure_rate=0.03,
    cut_rate=0.03,
    stall_rate=0.01,
    rate_limit_rate=0.01,
    retry_after=2.0,
)
DEAD = SimulatedModel(script=(Fail(),), after_script=AfterScript.LAST)


class Fleet:
    """Simulated providers of one model each, and a chain over them."""

    def __init__(self, models: Mapping[str, SimulatedModel], seed: int = 1) -> None:
        """One provider a model, on the running loop; `seed` draws the jitter of benches and ramps."""
        time = asyncio.get_running_loop().time
        self.health = HealthRegistry(now=time, rng=random.Random(seed))
        config = AttemptConfig()
        budget, performance = AttemptBudget(now=time), Performance(now=time)
        surroundings = Surroundings(
            self.health, budget, config, random.Random(1), AsGiven(), performance, AttemptBudget(now=time)
        )
        self.providers = {
            name: SimulatedProvider(name, {"m": model}, seed=seed)
            for seed, (name, model) in enumerate(models.items())
        }
        targets = [(Target(name, "m"), provider) for name, provider in self.providers.items()]
        self.chain = Chain([TargetModel(*target, surroundings) for target in targets], surroundings)

    async def call(self, options: ChainOptions) -> bool:
        """Stream one call; whether it was answered. What was delivered is held to the contract."""
        began = now()
        call = Call("call", PROMPT, began, began + 300.0, options)
        client = Client()
        try:
            completion = await engine.stream(call, self.chain, client, now=self.health.now)
        except CallFailed:
            return False
        assert client.fold.parts() == completion.parts
        assert call.record.total_usage() == total_usage(
            attempt.usage for attempt in call.record.attempts if attempt.usage is not None
        )
        return True


@virtual_time
async def test_three_erratic_targets_answer_nearly_every_call() -> None:
    """C1, C5: failures, cuts, stalls and rate limits on every target, and every answer is whole."""
    # Over several seeds: where all three happen to be benched at once, a few calls in a row are refused.
    answered: list[bool] = []
    for seed in range(1, 9):
        fleet = Fleet({"a": ERRATIC, "b": ERRATIC, "c": ERRATIC}, seed)

        async def one(recovery: Recovery, fleet: Fleet = fleet) -> None:
            answered.append(await fleet.call(ChainOptions(recovery=recovery)))

        async with asyncio.TaskGroup() as group:
            for _ in range(200):
                for recovery in (Recovery.RESTART, Recovery.HOLD):
                    group.create_task(one(recovery))
                await asyncio.sleep(0.2)
        assert all(provider.open_stream_count == 0 for provider in fleet.providers.values())
        assert all(record.state is not TargetState.PROBING for record in fleet.health.snapshot().values())

    assert len(answered) == 8 * 400
    assert sum(answered) >= 0.97 * 8 * 400


@virtual_time
async def test_a_dead_head_costs_the_fleet_a_probe_now_and_then() -> None:
    """H1, H2: two calls learn that the head is dead; afterwards it is asked about once in its bench."""
    fleet = Fleet({"a": DEAD, "b": SimulatedModel()})

    for _ in range(600):
        assert await fleet.call(ChainOptions())
        await asyncio.sleep(1.0)

    # Two calls with their retries, then probes after 5, 10, 20 and then 30 s each.
    assert 600 / 33 <= fleet.providers["a"].call_count("m") <= 3 + 3 + 600 / 27
