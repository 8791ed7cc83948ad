"""An upstream that goes as far as each prompt says, for storms of calls that are left; and what then is left.

A prompt tells the upstream how far to go: not even to its headers, to so many words, or on and on; few say
that an answer is to be given whole.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.providers.replay import Exchange, ReplayServer
from tests.rpc.gateway import PATIENCE, Gate, ask, other_tasks

MODEL = "acme/gpt-test"
PAGE = os.sysconf("SC_PAGE_SIZE")

NO_HEADERS, ENDLESS, WHOLE_ANSWER = -1, 1_000_000, 2_000_000
"""What a prompt may tell the upstream, beside the number of words to send before it falls silent."""

COURSES = (NO_HEADERS, 0, 1, 3, ENDLESS)
PROGRAMME = re.compile(rb"words: ([-\d,]+) call: (\d+)\.")
MODEL_NUMBER = re.compile(rb'"model":"gpt-test-(\d+)"')
HEADERS = {"content-type": "text/event-stream", "connection": "close"}

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
    """Goes as far as a prompt says, and tells when it was reached.

    It keeps no connection for a next request, so that one which is open is one that was left open.
    """

    def __init__(self) -> None:
        """Expect nobody."""
        self.reached_count = 0
        self._numbers = count()
        self._awaited: dict[int, asyncio.Event] = {}

    def programme(self, *courses: int) -> tuple[str, asyncio.Event]:
        """A prompt that orders a course of each model by its number, and what is set when it comes here."""
        number = next(self._numbers)
        self._awaited[number] = asyncio.Event()
        return f"words: {','.join(map(str, courses))} call: {number}.", self._awaited[number]

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        found = PROGRAMME.search(exchange.request.body)
        assert found is not None
        courses, number = found[1].split(b","), int(found[2])
        model = MODEL_NUMBER.search(exchange.request.body)
        course = int(courses[int(model[1]) % len(courses) if model else 0])
        self.reached_count += 1
        awaited = self._awaited.pop(number, None)
        if awaited is not None:
            awaited.set()
        streams = b'"stream":true' in exchange.request.body
        if course == NO_HEADERS:
            await exchange.until_closed()
            return
        await exchange.head(200, HEADERS if streams else {**HEADERS, "content-type": "application/json"})
        if course == WHOLE_ANSWER:
            await exchange.chunks(*([WORD] * 5 + [END] if streams else [WHOLE]))
            await exchange.end()
            return
        gone = asyncio.create_task(exchange.until_closed())
        sent_count = 0
        with suppress(ConnectionError):
            while sent_count < course and not gone.done():
                await exchange.chunks(WORD if streams else b" ")
                sent_count += 1
                await turns(20)
        await gone

    def forget(self) -> None:
        """Expect nobody whose call has ended."""
        self._awaited.clear()


async def turns(number: int) -> None:
    """Let the loop turn so often."""
    for _ in range(number):
        await asyncio.sleep(0)


async def settled(gate: Gate, upstream: Upstream, server: ReplayServer) -> None:
    """Wait until nothing is in flight, here and upstream; what was cancelled ends in its turn."""
    async with asyncio.timeout(PATIENCE):
        while True:
            # Calls that are answered let the last reports of cancelled ones through.
            await gate.chain.Chain(ask(MODEL, upstream.programme(WHOLE_ANSWER)[0]))
            if gate.server.in_flight_count == 0:
                break
    await server.until(lambda: server.open_count == 0)
    server.requests.clear()
    upstream.forget()


async def no_more_than(task_count: int) -> None:
    """Wait until so many tasks are left; gRPC's own, which waits for the next call, is another each time."""
    async with asyncio.timeout(PATIENCE):
        while len(other_tasks()) > task_count:
            await turns(1)


@dataclass(frozen=True)
class Left:
    """What a process holds when nothing is in flight."""

    object_count: int
    block_count: int
    resident_bytes: int
    descriptor_count: int


def look() -> Left:
    """Count, after everything that can be collected was."""
    for _ in range(3):
        gc.collect()
    return Left(
        object_count=len(gc.get_objects()),
        block_count=sys.getallocatedblocks(),
        resident_bytes=int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE,
        descriptor_count=len(list(Path("/proc/self/fd").iterdir())),
    )
