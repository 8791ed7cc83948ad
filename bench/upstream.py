"""The mock upstream, in a process of its own: bytes made beforehand, written by a bare protocol.

It must never be the bottleneck, so it reads of a request only its length and the name of its model.
Run as `python -m bench.upstream`; it prints where it listens.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Mapping
from typing import cast

import uvloop

from bench.answers import (
    EVENTS_PER_STREAM,
    Model,
    in_http_chunk,
    stream_head,
    stream_tail,
    token_event,
    unary_response,
)

SEED = 7
SHORTEST_PAUSE = 0.005
LONGEST_PAUSE = 0.010
STAMP_DELAY = 0.003
"""Seconds between the head and the stamped event, so that the two are two reads."""

HEAD = stream_head()
EVENT = token_event()
CHUNK = in_http_chunk(EVENT)
TAIL = stream_tail()
UNARY = unary_response()
BURST = HEAD + in_http_chunk(EVENT * EVENTS_PER_STREAM) + TAIL

_HEAD_END = b"\r\n\r\n"
_LENGTH_FIELD = b"content-length: "
_MODEL_FIELD = b'"model":"'


class Upstream(asyncio.Protocol):
    """One connection: takes whole requests, one after the other, and answers each by its model."""

    _serials = itertools.count()

    def __init__(self) -> None:
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None
        self._answers: Mapping[Model, Callable[[], None]] = {
            Model.UNARY: lambda: self._transport.write(UNARY),
            Model.BURST: lambda: self._transport.write(BURST),
            Model.PACED: self._answer_paced,
            Model.STAMPED: self._answer_stamped,
            Model.STALLED: lambda: self._transport.write(HEAD + CHUNK),
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own type does not derive from it
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop writing."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer the request once it is whole."""
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        at = self._received.lower().find(_LENGTH_FIELD, 0, head_end) + len(_LENGTH_FIELD)
        length = int(self._received[at : self._received.index(b"\r", at)])
        body = self._received[head_end + len(_HEAD_END) :]
        if len(body) < length:
            return
        self._received = b""
        start = body.index(_MODEL_FIELD) + len(_MODEL_FIELD)
        self._answers[Model(body[start : body.index(b'"', start)].decode())]()

    def _answer_paced(self) -> None:
        rng = random.Random(SEED + next(self._serials))
        self._transport.write(HEAD)
        self._pace(rng, EVENTS_PER_STREAM)

    def _pace(self, rng: random.Random, remaining: int) -> None:
        if remaining < EVENTS_PER_STREAM:
            self._transport.write(CHUNK if remaining else CHUNK + TAIL)
        if remaining:
            pause = rng.uniform(SHORTEST_PAUSE, LONGEST_PAUSE)
            self._timer = self._loop.call_later(pause, self._pace, rng, remaining - 1)

    def _answer_stamped(self) -> None:
        self._transport.write(HEAD)
        self._timer = self._loop.call_later(STAMP_DELAY, self._stamp, time.monotonic_ns())

    def _stamp(self, received_at: int) -> None:
        # What this process itself spent is told too, so that the reader can take it off.
        stamps = f"{received_at} {time.monotonic_ns()}"
        self._transport.write(in_http_chunk(token_event(stamps)) + TAIL)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(f"upstream listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
