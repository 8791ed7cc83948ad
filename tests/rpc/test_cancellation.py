"""Ten thousand calls, unary and streamed, that their clients leave at random moments, against real sockets.

Each prompt tells the upstream how far to go: not even to its headers, to so many words, or on and on. It
never ends an answer, but for a few calls whose clients leave while it ends; so whoever does not leave would
wait for ever, and all leave: before the headers, between the words, and while the next one comes. Nobody
sets a deadline. Whatever they do, nothing is left: no task, no socket, no object, no memory, and nobody's
health has suffered.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.providers.openai_support import connected
from tests.rpc.gateway import ask, gateway, none_but, other_tasks
from tests.rpc.storm import (
    COURSES,
    ENDLESS,
    MODEL,
    WHOLE_ANSWER,
    Upstream,
    look,
    no_more_than,
    settled,
    turns,
)

pytestmark = pytest.mark.usefixtures("listener")

CALL_COUNT = 10_000
CONCURRENCY = 64
MOST_OTHER_ENDS = 0.03
"""The share of calls that may end before their client has left: those that the upstream ends."""

ALLOWED_GROWTH = 20 << 20
"""Bytes that the process may grow by in two thirds of the calls: 3 KB a call.

gRPC's client, without anything of ours, grows by 0.6 KB to 2 KB for each call that is cancelled; what is
Python's is held to its objects and blocks.
"""

ALLOWED_OBJECTS = 300
"""Objects that may come and go with what gRPC closes in its own time; one in 20 calls would be more."""

ALLOWED_BLOCKS = 1_000
"""The same in blocks of Python's memory, texts and numbers included; one in six calls would be more."""

LAST_CONNECTIONS = 4
"""Sockets that gRPC may be about to close from a thread of its own; one a call would be thousands."""


async def leave(stub: Any, upstream: Upstream, rng: random.Random) -> str:
    """Call, unary or streamed, and leave at a random moment; gives the code for the client."""
    course = WHOLE_ANSWER if rng.random() < MOST_OTHER_ENDS else rng.choice(COURSES)
    prompt, reached = upstream.programme(course)
    streams = rng.random() < 0.5
    call: Any = (stub.StreamChain if streams else stub.Chain)(ask(MODEL, prompt))
    asked = asyncio.ensure_future(call.code())
    if rng.random() < 0.6:
        await reached.wait()
        if streams:
            await read_some(call, rng, course)
    await turns(rng.randrange(100))
    call.cancel()
    code: grpc.StatusCode = await asked
    return code.name


async def read_some(call: Any, rng: random.Random, course: int) -> None:
    """Read some of the events that are sure to come."""
    # `started` and `attempt_started` come before the words; words that arrive together are one event.
    coming_count = 2 + (6 if course >= ENDLESS else min(max(course, 0), 1))
    with suppress(grpc.aio.AioRpcError):
        for _ in range(rng.randrange(coming_count + 1)):
            if await call.read() is grpc.aio.EOF:
                return


async def storm(stubs: Sequence[Any], upstream: Upstream, cancelled_count: int, seed: int) -> Counter[str]:
    """Call until so many calls were left, one at a time by each stub; gives how they ended for clients."""
    rng = random.Random(seed)
    codes: Counter[str] = Counter()

    async def client(stub: Any) -> None:
        while codes["CANCELLED"] < cancelled_count:
            codes[await leave(stub, upstream, rng)] += 1

    async with asyncio.TaskGroup() as group:
        for stub in stubs:
            group.create_task(client(stub))
    return codes


@pytest.mark.usefixtures("no_errors_logged")
async def test_ten_thousand_calls_that_are_left_leave_nothing() -> None:
    """A4, A6: 10,000 cancelled calls leave no task, socket, object, memory, in-flight call or penalty."""
    upstream, outside = Upstream(), other_tasks()
    async with (
        connected(upstream) as (provider, server),
        gateway(providers=[provider], kept_call_count=CONCURRENCY) as gate,
    ):
        # A connection each: HTTP/2 ends one on which too many calls are left before the server has seen them.
        stubs = [gate.chain_over(gate.connect()) for _ in range(CONCURRENCY)]
        await storm(stubs, upstream, 100, seed=0)
        await settled(gate, upstream, server)
        task_count, upstream.reached_count = len(other_tasks()), 0

        codes = await storm(stubs, upstream, CALL_COUNT // 3, seed=1)
        await settled(gate, upstream, server)
        third = look()
        codes += await storm(stubs, upstream, CALL_COUNT - CALL_COUNT // 3, seed=2)
        await settled(gate, upstream, server)
        end = look()

        assert codes["CANCELLED"] >= CALL_COUNT
        assert set(codes) <= {"CANCELLED", "OK"}, codes
        assert codes["OK"] <= MOST_OTHER_ENDS * codes.total(), codes
        assert upstream.reached_count > CALL_COUNT // 2, "most calls must come as far as the provider"
        assert not gate.bugs
        assert gate.server.in_flight_count == server.open_count == 0
        for record in gate.health.snapshot().values():
            assert (record.failures, record.rounds, record.state.name) == (0, 0, "ACTIVE")
        await no_more_than(task_count)
        assert end.descriptor_count <= third.descriptor_count + LAST_CONNECTIONS
        assert end.object_count <= third.object_count + ALLOWED_OBJECTS
        assert end.block_count <= third.block_count + ALLOWED_BLOCKS
        assert end.resident_bytes <= third.resident_bytes + ALLOWED_GROWTH
    await none_but(outside)
