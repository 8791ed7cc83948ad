"""Races of every strategy, and chains that overtake, that their clients leave at random moments, on sockets.

Each candidate goes as far as its own course says, so that clients leave before the decision, while the winner
writes, while a judge is asked and while losers are cut off. Whatever they do, nothing is left: no task, no
socket, no object, no cycle, and nobody's health has suffered.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import duration_pb2

from paceline.v1 import chain_pb2
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from tests.providers.openai_support import connected
from tests.rpc.garbage import ours, uncollected
from tests.rpc.gateway import Gate, ask, gateway, none_but, other_tasks, said
from tests.rpc.storm import COURSES, MODEL, WHOLE_ANSWER, Upstream, look, no_more_than, settled, turns
from tests.rpc.test_race_streams import race

pytestmark = pytest.mark.usefixtures("listener")

CALL_COUNT = int(os.environ.get("PACELINE_RACE_STORM", "600"))
"""Calls that are left; for a longer storm than in every run the environment tells more."""

CONCURRENCY = 24
CYCLE_COUNT = 200
"""Calls that are left while cycles are kept: all of them stay until the end."""

ALLOWED_OBJECTS = 300
"""Objects that may come and go with what gRPC closes in its own time, as in the storm of chains."""

LAST_CONNECTIONS = 4

MODELS = tuple(f"{MODEL}-{number}" for number in range(4))
JUDGE = MODELS[3]
STRATEGIES: list[dict[str, Any]] = [
    {"first": {}},
    {"first": {"grace": "0.005s"}},
    {"best": {}},
    {"best": {"scorer": {"judge": {"model": JUDGE}}}},
    {"consensus": {}},
    {"consensus": {"equivalence": "EQUIVALENCE_JUDGE", "judgeModel": JUDGE, "quorum": 2}},
    {"weighted": {}},
    {"quality": {}},
    {"hedged": {"delay": "0.002s", "maxHedgeCount": 2}},
]
RECOVERIES = ["RECOVERY_RESTART", "RECOVERY_HOLD", "RECOVERY_CONTINUE", "RECOVERY_NONE"]


def called(gate: Gate, stub: Any, prompt: str, rng: random.Random) -> Any:
    """One call of any kind, unary or streamed."""
    streams = rng.random() < 0.6
    if rng.random() < 0.2:
        spec = rng.choice([",".join(MODELS[:3]), f"panel,{MODELS[0]}"])
        overtake = duration_pb2.Duration(nanos=rng.choice([1_000_000, 5_000_000]))
        request = ask(spec, prompt, options=chain_pb2.ChainOptions(overtake_after=overtake))
        return (stub[0].StreamChain if streams else stub[0].Chain)(request)
    specs = rng.sample([*MODELS[:3], f"{MODELS[1]},{MODELS[2]}", "panel"], rng.randint(2, 3))
    raced = race(
        *specs,
        strategy=rng.choice(STRATEGIES),
        recovery=rng.choice(RECOVERIES),
        streamAllCandidates=rng.random() < 0.3,
    )
    raced.prompt.CopyFrom(said(prompt))
    return (stub[1].StreamRace if streams else stub[1].Race)(raced)


async def leave(gate: Gate, stub: Any, upstream: Upstream, rng: random.Random) -> str:
    """Call, and leave at a random moment; gives the code for the client."""
    courses = [rng.choice([*COURSES, WHOLE_ANSWER]) for _ in MODELS]
    prompt, reached = upstream.programme(*courses)
    call = called(gate, stub, prompt, rng)
    asked = asyncio.ensure_future(call.code())
    waiting = asyncio.ensure_future(reached.wait())
    if rng.random() < 0.7:
        await asyncio.wait([waiting, asked], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await turns(rng.randrange(300))
    if isinstance(call, grpc.aio.UnaryStreamCall):
        with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            for _ in range(rng.randrange(4)):
                await call.read()
    call.cancel()
    code: grpc.StatusCode = await asked
    return code.name


async def storm(
    gate: Gate, stubs: Sequence[Any], upstream: Upstream, cancelled_count: int, seed: int
) -> Counter[str]:
    """Call until so many calls were left, one at a time by each stub; gives how they ended for clients."""
    rng = random.Random(seed)
    codes: Counter[str] = Counter()

    async def client(stub: Any) -> None:
        while codes["CANCELLED"] < cancelled_count:
            codes[await leave(gate, stub, upstream, rng)] += 1

    async with asyncio.TaskGroup() as group:
        for stub in stubs:
            group.create_task(client(stub))
    return codes


@pytest.mark.usefixtures("no_errors_logged")
async def test_races_that_are_left_leave_nothing() -> None:
    """A4, A6, R10: cancelled races leave no task, socket, object, cycle, in-flight call or penalty."""
    upstream, outside = Upstream(), other_tasks()
    panel = RaceSpec((CandidateSpec(MODELS[0]), CandidateSpec(MODELS[1])), First())
    async with (
        connected(upstream) as (provider, server),
        gateway(providers=[provider], races={"panel": panel}, kept_call_count=CONCURRENCY) as gate,
    ):
        channels = [gate.connect() for _ in range(CONCURRENCY)]
        stubs = [(gate.chain_over(channel), gate.race_over(channel)) for channel in channels]
        await storm(gate, stubs, upstream, 100, seed=0)
        await settled(gate, upstream, server)
        task_count, upstream.reached_count = len(other_tasks()), 0

        before = look()
        codes = await storm(gate, stubs, upstream, CALL_COUNT, seed=1)
        await settled(gate, upstream, server)
        after = look()
        with uncollected() as found:
            await storm(gate, stubs, upstream, CYCLE_COUNT, seed=2)
            await settled(gate, upstream, server)

        assert ours(found) == set()
        assert codes["CANCELLED"] >= CALL_COUNT
        assert set(codes) <= {"CANCELLED", "OK", "FAILED_PRECONDITION"}, codes
        assert upstream.reached_count > CALL_COUNT, "most races must come as far as several candidates"
        assert not gate.bugs
        assert gate.server.in_flight_count == server.open_count == 0
        assert not any(record.failures or record.rounds for record in gate.health.snapshot().values())
        await no_more_than(task_count)
        assert after.descriptor_count <= before.descriptor_count + LAST_CONNECTIONS
        assert after.object_count <= before.object_count + ALLOWED_OBJECTS
    await none_but(outside)
