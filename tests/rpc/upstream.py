"""Models behind one upstream of real sockets: each plays what a test wrote for it, and sees who leaves it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from paceline_server.providers.base import Provider
from tests.providers.openai_support import connected
from tests.providers.replay import Exchange, ReplayServer
from tests.rpc.gateway import PATIENCE

STREAM_HEADERS = {"content-type": "text/event-stream", "connection": "close"}
UNARY_HEADERS = {"content-type": "application/json", "connection": "close"}
ROLE = b'data: {"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'
PING = b": still here\n\n"
END = (
    b'data: {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    b'data: {"id": "1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}\n\n'
    b"data: [DONE]\n\n"
)
FIRST_ERROR = 400
_MODEL = re.compile(rb'"model": ?"([^"]*)"')


class Play:
    """What one model does with each request.

    Attributes:
        asked_count: How many requests have come.
        left_count: How many were given up: their connection was closed before they were answered.
    """

    def __init__(self, *steps: str | bytes | asyncio.Event, status: int = 200, drops: bool = False) -> None:
        """Take the steps in turn, then end the answer.

        Args:
            steps: A text is a piece of the answer; bytes are sent as they are, in a stream only; an event is
                waited for, for ever if nobody sets it.
            status: That of an answer without a text in a stream, and of a unary one.
            drops: Close the connection instead of ending the answer.
        """
        self.asked_count = 0
        self.left_count = 0
        self._steps = steps
        self._status = status
        self._drops = drops
        self._changed = asyncio.Event()

    async def asked(self, count: int = 1) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(PATIENCE):
            while self.asked_count < count:
                await self._news()

    async def left(self, count: int = 1) -> None:
        """Wait until so many connections were closed on it."""
        async with asyncio.timeout(PATIENCE):
            while self.left_count < count:
                await self._news()

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        self.asked_count += 1
        self._changed.set()
        gone = asyncio.ensure_future(exchange.until_closed())
        try:
            answered = await self._play(exchange, gone)
        except ConnectionError:
            answered = False
        finally:
            gone.cancel()
            await asyncio.wait([gone])
        if not answered:
            self.left_count += 1
            self._changed.set()

    async def _news(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _play(self, exchange: Exchange, gone: asyncio.Future[None]) -> bool:
        """Take all steps; tells whether the client was still there after the last."""
        streams = b'"stream":true' in exchange.request.body
        said = False
        for step in self._steps:
            if isinstance(step, asyncio.Event):
                if not await _came(step, gone):
                    return False
            elif streams:
                if not said:
                    await exchange.head(200, STREAM_HEADERS)
                    said = True
                await exchange.chunks(word(step) if isinstance(step, str) else step)
        if gone.done():
            return False
        if self._drops:
            exchange.drop()
        elif said:
            await exchange.chunks(END)
            await exchange.end()
        else:
            await exchange.head(self._status, UNARY_HEADERS)
            await exchange.chunks(self._document() if self._status < FIRST_ERROR else b"{}")
            await exchange.end()
        return True

    def _document(self) -> bytes:
        text = "".join(step for step in self._steps if isinstance(step, str))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 5}
        return json.dumps({"id": "1", "choices": [choice], "usage": usage}).encode()


def silent() -> Play:
    """A model that takes every request and never says anything."""
    return Play(asyncio.Event())


def word(text: str) -> bytes:
    """One piece of a streamed answer."""
    choice = {"index": 0, "delta": {"content": text}}
    return b"data: " + json.dumps({"id": "1", "choices": [choice]}).encode() + b"\n\n"


@asynccontextmanager
async def upstream(plays: Mapping[str, Play]) -> AsyncIterator[tuple[Provider, ReplayServer]]:
    """The provider `acme`, whose models play what is given by their name."""

    async def script(exchange: Exchange) -> None:
        found = _MODEL.search(exchange.request.body)
        assert found is not None
        await plays[found[1].decode()](exchange)

    async with connected(script) as (provider, server):
        yield provider, server


async def _came(event: asyncio.Event, gone: asyncio.Future[None]) -> bool:
    """Wait for an event; tells whether it came before the client left."""
    waiting = asyncio.ensure_future(event.wait())
    both: list[asyncio.Future[Any]] = [waiting, gone]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return event.is_set() and not gone.done()
    finally:
        waiting.cancel()
