"""The processes of a run: starting them on their core, and reading their memory from outside.

The server under test has a core to itself; load and upstream share the other. Linux only.
"""

from __future__ import annotations

import fcntl
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = frozenset(_CORES[:1])
LOAD_CORES = frozenset(_CORES[1:2] or _CORES)
"""One core each where there are two; else they share, and the result says so."""


def resident_bytes(pid: int) -> int:
    """The memory of a process that is resident."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other bench runs on this machine, in whatever folder: two would measure each other."""
    path = Path(tempfile.gettempdir()) / "paceline-bench.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another bench on this machine", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def raise_descriptor_limit() -> None:
    """Let this process and those that it starts hold as many connections as the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


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
def started(
    command: Sequence[str],
    cores: frozenset[int],
    log: Path,
    environ: Mapping[str, str] | None = None,
    *,
    announces: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process on `cores`, and stop it afterwards.

    Args:
        log: Takes its standard error, and its standard output too unless it `announces` where it listens.
    """
    with log.open("ab") as lines, on_cores(cores):
        process = subprocess.Popen(  # noqa: S603 - a program of the project, or a peer that was asked for
            command,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.PIPE if announces else lines,
            stderr=lines,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def serving(
    command: Sequence[str], cores: frozenset[int], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server that prints "... listening on ADDRESS", and stop it afterwards."""
    start = time.monotonic()
    with started(command, cores, log, environ, announces=True) as process:
        line = first_line(process, START_TIMEOUT)
        if "listening on" not in line:
            raise RuntimeError(f"{process.args!r} did not start: {line!r} {log.read_text()[-2000:]}")
        yield Server(process.pid, line.split()[-1], time.monotonic() - start)


def first_line(process: subprocess.Popen[bytes], timeout: float) -> str:
    """The first line that a process prints; "" if none comes in time, or it ends before."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        ready = selector.select(timeout)
    return process.stdout.readline().decode() if ready else ""


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
