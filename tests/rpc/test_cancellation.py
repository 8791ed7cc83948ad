"""Ten thousand calls, unary and streamed, that their clients leave at random moments, against real sockets.

The upstream answers, falls silent or never begins; clients cancel after some turns of the loop or
some events, or have a deadline of a few milliseconds, or let the call finish. Whatever they do,
nothing is left: no task, no socket, no memory, and nobody's health has suffered.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.providers.openai_support import connected
from tests.providers.replay import Exchange, ReplayServer
from tests.rpc.gateway import Gate, ask, gateway, none_but, other_tasks

CALL_COUNT = 10_000
WARM_UP_COUNT = 1_000
CONCURRENCY = 64
DEADLINES = (0.01, 0.1, 0.5)
"""Seconds. Before the last one every call has come as far as its upstream goes."""

MODEL = "acme/gpt-test"
PAGE = os.sysconf("SC_PAGE_SIZE")
ALLOWED_GROWTH = 24 << 20
"""Bytes that the process may grow by after its warm-up; 3 KB a call would be more."""

LAST_CONNECTIONS = 4
"""Sockets that gRPC may be about to close from a thread of its own; one a call would be thousands."""

WORD = b'data: {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n'
END = (
    b'data: {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    b'data: {"id": "1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}\n\n'
    b"data: [DONE]\n\n"
)
WHOLE = (
    b'{"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",'
    b' "message": {"role": "assistant", "content": "word word"}}],'
    b' "usage": {"prompt_tokens": 3, "completion_tokens": 5}}'
)


class Upstream:
    """Answers some requests at once, some in pieces, and some never."""

    def __init__(self, seed: int) -> None:
        """Choose by `seed`."""
        self._random = random.Random(seed)

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        streams = b'"stream":true' in exchange.request.body.replace(b" ", b"")
        silent_after = self._random.choice([None, None, None, 0, 1, 3])
        if b"to the end" in exchange.request.body:
            silent_after = None
        if silent_after == 0:
            await exchange.until_closed()
            return
        kind = "text/event-stream" if streams else "application/json"
        await exchange.head(200, {"content-type": kind})
        if not streams:
            await exchange.chunks(WHOLE)
        elif silent_after is None:
            await exchange.chunks(*[WORD] * 5, END)
        else:
            await exchange.chunks(*[WORD] * silent_after)
            await exchange.until_closed()
            return
        await exchange.end()


async def turns(count: int) -> None:
    """Let the loop turn so often."""
    for _ in range(count):
        await asyncio.sleep(0)


async def leave_stream(gate: Gate, rng: random.Random) -> str:
    """Stream, and leave at a random moment."""
    call: Any = gate.chain.StreamChain(ask(MODEL), timeout=rng.choice(DEADLINES))
    with suppress(grpc.aio.AioRpcError):
        for _ in range(rng.choice([0, 1, 2, 3, 4, 100])):
            if await call.read() is grpc.aio.EOF:
                break
        await turns(rng.randrange(20))
    call.cancel()
    code: grpc.StatusCode = await call.code()
    return code.name


async def leave_unary(gate: Gate, rng: random.Random) -> str:
    """Call, and leave at a random moment."""
    call: Any = gate.chain.Chain(ask(MODEL), timeout=rng.choice(DEADLINES))
    asked = asyncio.ensure_future(call.code())
    if rng.random() < 0.7:
        await turns(rng.randrange(400))
        call.cancel()
    code: grpc.StatusCode = await asked
    return code.name


async def storm(gate: Gate, count: int, seed: int) -> Counter[str]:
    """So many calls, `CONCURRENCY` at a time; gives how they ended for their clients."""
    rng = random.Random(seed)
    codes: Counter[str] = Counter()
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            leave = leave_stream if rng.random() < 0.5 else leave_unary
            codes[await leave(gate, rng)] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(client())
    return codes


async def settled(gate: Gate) -> None:
    """Call on until nothing else is in flight: what was cancelled ends at once, but not before its turn."""
    async with asyncio.timeout(20):
        while True:
            await gate.chain.Chain(ask(MODEL, "to the end"))
            if gate.server.in_flight_count == 0:
                return


def resident_bytes() -> int:
    """The memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def socket_count() -> int:
    """The open descriptors of this process."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def weather(seed: int, calls: int, warm_up: int) -> int:
    """A gateway in a storm, from start to end; gives by how much memory has grown after the warm-up."""
    async with (
        connected(Upstream(seed)) as (provider, upstream),
        gateway(providers=[provider], kept_call_count=CONCURRENCY) as gate,
    ):
        await storm(gate, warm_up, seed)
        await settled(gate)
        upstream.requests.clear()
        first = resident_bytes()
        codes = await storm(gate, calls, seed + 1)
        await settled(gate)
        upstream.requests.clear()
        check_after(gate, upstream, codes)
        return resident_bytes() - first


def check_after(gate: Gate, upstream: ReplayServer, codes: Counter[str]) -> None:
    """Calls ended in every way, no connection to the provider is held, and nobody was penalised."""
    assert set(codes) <= {"OK", "CANCELLED", "DEADLINE_EXCEEDED"}, codes
    assert codes["CANCELLED"] > codes.total() // 4
    assert codes["OK"] > codes.total() // 50
    assert not gate.bugs
    assert upstream.open_count <= 2 * CONCURRENCY
    for record in gate.health.snapshot().values():
        assert (record.failures, record.rounds, record.state.name) == (0, 0, "ACTIVE")


@pytest.mark.usefixtures("no_errors_logged")
async def test_ten_thousand_calls_that_are_left_leave_nothing() -> None:
    """A4, A6: after a storm there are as many tasks and sockets as before, and no more memory."""
    await weather(seed=1, calls=100, warm_up=100)
    before, sockets = other_tasks(), socket_count()
    growth = await weather(seed=2, calls=CALL_COUNT - WARM_UP_COUNT, warm_up=WARM_UP_COUNT)
    await none_but(before)
    assert socket_count() <= sockets + LAST_CONNECTIONS
    assert growth < ALLOWED_GROWTH, growth
