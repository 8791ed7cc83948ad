"""The thread that writes the log: calls never wait for it, and what is lost is counted."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from paceline_server.telemetry.line_writer import MAXIMUM_QUEUED_LINES, LineWriter

PATIENCE = 10.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: the end to read and the end to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test has closed it


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    """S6: one line a call, none of them torn."""
    reading, writing = pipe
    writer = LineWriter(lambda data: os.write(writing, data[:7]))  # a sink that takes a little at a time
    lines = [b"line %d\n" % number for number in range(100)]
    for line in lines:
        writer.write(line)
    writer.close(PATIENCE)
    assert os.read(reading, 1 << 16) == b"".join(lines)


def test_a_reader_that_never_reads_costs_lines_and_no_calls() -> None:
    """S6: logging never waits; what was lost is told as soon as somebody reads again."""
    reads = threading.Event()
    blocked = threading.Event()
    written: list[bytes] = []

    def write(data: bytes) -> int:
        blocked.set()
        reads.wait(PATIENCE)
        written.append(data)
        return len(data)

    writer = LineWriter(write)
    writer.write(b"first\n")
    assert blocked.wait(PATIENCE)
    for _ in range(MAXIMUM_QUEUED_LINES + 3):
        writer.write(b"more\n")
    reads.set()
    writer.close(PATIENCE)
    told = b"".join(written)
    assert told.count(b"more\n") == MAXIMUM_QUEUED_LINES
    assert b'"event":"log lines dropped","level":"warning","count":3' in told


def test_a_reader_that_has_gone_fails_nothing(pipe: tuple[int, int]) -> None:
    """S6: logging never fails: a broken pipe is nobody's error."""
    reading, writing = pipe
    os.close(reading)
    writer = LineWriter(lambda data: os.write(writing, data))
    for _ in range(10):
        writer.write(b"unheard\n")
    writer.close(PATIENCE)


def test_closing_does_not_wait_for_ever() -> None:
    """S1: a log reader that takes nothing must not keep a process that has drained."""
    never = threading.Event()
    writer = LineWriter(lambda data: len(data) if never.wait(PATIENCE) else 0)
    writer.write(b"stuck\n")
    writer.close(0.0)
    never.set()
