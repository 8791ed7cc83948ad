"""The load, as Python starts it: one run of the compiled program is one outcome.

The program checks every answer and reads the CPU clock of the server itself; a failed or wrong call
ends the bench.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import msgspec

from bench.processes import LOAD_CORES, Server, first_line, on_cores
from bench.program import PROGRAM

EVENTS_PER_STREAM = 200
RUN_TIMEOUT = 300.0
HOLD_TIMEOUT = 60.0


class Model(Enum):
    """What the mock upstream can be asked for; bench/load/answers.go says what each answers."""

    UNARY = "unary"
    BURST = "burst"
    PACED = "paced"
    TIMED = "timed"
    LOCKSTEP = "lockstep"
    STAMPED = "stamped"
    LATE = "late"
    EARLY = "early"
    WHOLE = "whole"


@dataclass(frozen=True)
class Load:
    """What one run does.

    Attributes:
        names: How many configured names are asked in turn; 0 asks the target itself.
        specs: Asked in turn instead.
        race: The specs race in each call, instead of being asked in turn.
        text: What answers say that are not the mock upstream's.
        http: Speaks OpenAI's format instead of gRPC.
        headers: Of each HTTP request, as whole lines.
    """

    model: Model
    concurrency: int
    warm_up: int
    calls: int
    names: int = 0
    specs: tuple[str, ...] = ()
    race: bool = False
    text: str = ""
    http: bool = False
    headers: tuple[str, ...] = ()


class Spread(msgspec.Struct):
    """A distribution, in milliseconds."""

    p50: float
    p99: float
    max: float


class Timeline(msgspec.Struct):
    """How long the events of paced streams were under way, from the upstream's write to the client's read.

    Attributes:
        first_ms: The first event of each stream.
        overtaken: How many came only after the upstream had written the next one.
        shown: Of one stream, when each event was written and read.
    """

    first_ms: Spread
    all_ms: Spread
    events: int
    overtaken: int
    shown: list[tuple[float, float]]


class Decided(msgspec.Struct):
    """How long races took once the upstream had written the winner's answer.

    Attributes:
        first_ms: Until the caller had the first delta, or if unary the answer.
        returned_ms: Until the call had ended for him.
        closed_ms: Until the upstream saw the end of the loser's connection.
    """

    first_ms: Spread
    returned_ms: Spread
    closed_ms: Spread


class Outcome(msgspec.Struct):
    """What one run found.

    Attributes:
        cpu_us: CPU time of the server for each call, in microseconds.
        first_content_ms: Of stamped streams without the upstream's own share.
    """

    calls: int
    deltas: int
    seconds: float
    cpu_us: float
    latency_ms: Spread
    first_content_ms: Spread
    timeline: Timeline | None = None
    decided: Decided | None = None

    @property
    def timed(self) -> Timeline:
        """The timeline, which only runs of timed streams have."""
        if self.timeline is None:
            raise ValueError("the load was not timed")
        return self.timeline

    @property
    def raced(self) -> Decided:
        """How the races were decided, which only runs of an early and a tardy answer have."""
        if self.decided is None:
            raise ValueError("the load was not of races that tell their times")
        return self.decided


class LoadFailed(RuntimeError):
    """A call failed, or an answer was wrong."""


def run(server: Server, load: Load, upstream: Server) -> Outcome:
    """Put `load` on `server`.

    Raises:
        LoadFailed: A call failed, or an answer was wrong.
    """
    command = [
        *_program("run", server),
        *("-model", load.model.value, "-names", str(load.names), "-pid", str(server.pid)),
        *("-concurrency", str(load.concurrency), "-warm-up", str(load.warm_up), "-calls", str(load.calls)),
        *("-upstream", upstream.address, f"-http={_flag(load.http)}"),
        *(f"-race={_flag(load.race)}", "-text", load.text, *(f"-spec={spec}" for spec in load.specs)),
        *(f"-header={line}" for line in load.headers),
    ]
    with on_cores(LOAD_CORES):
        finished = subprocess.run(  # noqa: S603 - the bench's own program
            command, capture_output=True, timeout=RUN_TIMEOUT, check=False
        )
    if finished.returncode:
        raise LoadFailed(f"{load} on {server.address}: {finished.stderr.decode().strip()}")
    return msgspec.json.decode(finished.stdout, type=Outcome)


@contextmanager
def holding(server: Server, count: int) -> Iterator[None]:
    """Keep `count` streams open that stall after their first delta.

    Raises:
        LoadFailed: One could not be opened, or ended early.
    """
    with on_cores(LOAD_CORES):
        process = subprocess.Popen(  # noqa: S603 - the bench's own program
            [*_program("hold", server), "-concurrency", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    with process:
        try:
            line = first_line(process, HOLD_TIMEOUT)
            if not line.startswith("holding"):
                raise LoadFailed(f"{count} streams could not be opened on {server.address}")
            yield
            if process.poll() is not None:
                raise LoadFailed(f"one of {count} held streams ended early")
        finally:
            process.kill()


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value
    return "true" if value else "false"


def _program(command: str, server: Server) -> list[str]:
    return [str(PROGRAM), command, "-address", server.address]
