"""The processes of a run: starting them on their core, and reading their clocks and memory from outside.

The server under test has a core to itself; load and upstream share the other. Linux only.
"""

from __future__ import annotations

import os
import resource
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
LOAD_TIMEOUT = 120.0

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = frozenset(_CORES[:1])
LOAD_CORES = frozenset(_CORES[1:2] or _CORES)
"""One core each where there are two; else they share, and the result says so."""

_CPU_CLOCK = 2
"""CPUCLOCK_SCHED of the kernel: what a process ran for, user and system together, in nanoseconds."""


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used: the clock that `clock_getcpuclockid(pid)` names."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)


def resident_bytes(pid: int) -> int:
    """The memory of a process that is resident."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@dataclass(frozen=True)
class Server:
    """A process that listens.

    Attributes:
        start_seconds: From the start of the process to the line that says where it listens.
    """

    pid: int
    address: str
    start_seconds: float


@contextmanager
def serving(
    command: Sequence[str], cores: frozenset[int], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server that prints "... listening on ADDRESS", and stop it afterwards.

    Args:
        log: Takes its standard error.
    """
    start = time.monotonic()
    with log.open("ab") as errors, on_cores(cores):
        process = subprocess.Popen(  # noqa: S603 - a program of the project
            command, cwd=ROOT, env={**os.environ, **(environ or {})}, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        address = _listening_address(process, log)
        yield Server(process.pid, address, time.monotonic() - start)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs one of the bench's own modules."""
    return [sys.executable, "-m", name, *map(str, arguments)]


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """Let what is started inside run on `cores` only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _listening_address(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        ready = selector.select(START_TIMEOUT)
    line = process.stdout.readline().decode() if ready else ""
    if "listening on" not in line:
        raise RuntimeError(f"{process.args!r} did not start: {line!r} {log.read_text()[-2000:]}")
    return line.split()[-1]
