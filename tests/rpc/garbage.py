"""What cycles keep of calls that are over, where it should have been freed at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from google.protobuf.message import Message

from paceline_server.providers.http_connection import HttpConnection
from paceline_server.rpc.shell import Rpc
from paceline_server.rpc.status import RichStatus
from tests.rpc.gateway import PATIENCE, Gate

OURS = "paceline_server."
TURNS = 50
"""Turns of the loop in which a task that has told of its end is over."""


@contextmanager
def uncollected() -> Iterator[list[Any]]:
    """What cycles kept since the beginning; filled in at the end."""
    found: list[Any] = []
    gc.collect()
    gc.disable()
    before = gc.get_debug()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(before)
        gc.garbage.clear()
        gc.enable()


def ours(found: list[Any]) -> set[str]:
    """The types of what is a call's, and the frames that hold a request.

    grpcio keeps the error that aborts a call in a cycle of its own, and with it the outermost frame and the
    status; aiohttp keeps the protocol of a connection that is closed, which holds nothing of a call.
    """
    kinds = {
        type(one).__name__
        for one in found
        if type(one).__module__.startswith(OURS)
        and not isinstance(one, RichStatus | HttpConnection)
        and not (isinstance(one, Rpc) and one.call is None)
    }
    frames = [one for one in found if isinstance(one, FrameType)]
    inner = {
        frame.f_code.co_qualname
        for frame in frames
        if frame.f_globals["__name__"].startswith(OURS)
        and (
            frame.f_code.co_qualname != "Shell._run"
            or any(isinstance(local, Message) for local in frame.f_locals.values())
        )
    }
    return kinds | inner


async def over(gate: Gate, count: int) -> None:
    """Wait until `count` calls have ended and their tasks are over."""
    await gate.book.ended(count)
    async with asyncio.timeout(PATIENCE):
        while gate.server.in_flight_count:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)
    for _ in range(TURNS):
        await asyncio.sleep(0)
