"""The stage of the demo: a real gateway as a process of its own, and what both stories say and expect.

The gateway is stopped however the demo ends, signals included.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

CONFIG = Path(__file__).with_name("demo.yaml")
PATIENCE = timedelta(seconds=20)


class Surprise(Exception):
    """Something did not happen as it was told."""


def say(sentence: str) -> None:
    """Print a line of the narration."""
    show(f"\n{sentence}\n")


def show(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, end="", flush=True)


def expect(happened: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    """End the demo unless something happened."""
    if not happened:
        raise Surprise(what)


@asynccontextmanager
async def gateway() -> AsyncIterator[str]:
    """A gateway as a process of its own, on any free port; it is stopped however this ends."""
    # The demo must not depend on what else this machine has configured.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE")}
    command = [sys.executable, "-m", "paceline_server", "serve"]
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *[*command, "--config", str(CONFIG), "--listen", "127.0.0.1:0"],
            env=environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        try:
            yield await address_of(process)
        except Exception:
            log.seek(0)
            sys.stderr.write("\n\nThe log of the gateway:\n" + log.read().decode())
            raise
        finally:
            exit_code = await stop(process)
    expect(exit_code == 0, "the gateway stops when it is told, and ends well")


async def address_of(process: asyncio.subprocess.Process) -> str:
    """What a gateway says on its first line: where it listens."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE.total_seconds()):
        line = (await process.stdout.readline()).decode()
    expect(line.startswith("paceline listening on "), "the gateway starts")
    return line.split()[-1]


async def stop(process: asyncio.subprocess.Process) -> int:
    """Tell a gateway to stop, and end it if it does not; returns its exit code."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(5):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


def end_by_signals() -> None:
    """Whoever ends the demo ends its gateway too, by whatever signal."""
    story = asyncio.current_task()
    assert story is not None

    def end() -> None:
        # Once: an impatient second signal must not interrupt the end of the gateway.
        if not story.cancelling():
            story.cancel()

    # Not as exceptions, which would come up wherever the process happens to be, in the midst of gRPC too.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
