"""Writes the log's lines from a thread of its own, so that no call ever waits for whoever reads them.

A reader that falls behind costs lines, which are counted and told, and never calls; one that has
gone costs nothing at all.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

MAXIMUM_QUEUED_LINES = 10_000
"""About 3 MB: some seconds of a busy service."""

GATHERING_TIME = 0.02
"""Seconds that a first line waits for others, so that they are written together."""

BLOCKED_PAUSE = 0.05
"""Seconds before a pipe that takes nothing is tried again."""

Write = Callable[[bytes], int]
"""Writes some of the bytes and tells how many, as `os.write` does."""


class LineWriter:
    """A file for the log: `write` returns at once, whatever becomes of the line."""

    def __init__(self, write: Write) -> None:
        """Write with `write`, which may block and may fail."""
        self._write = write
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._dropped = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="paceline-log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue a line, or count it as lost."""
        if self._lines.qsize() >= MAXIMUM_QUEUED_LINES:
            self._dropped += 1
        else:
            self._lines.put(line)

    def flush(self) -> None:
        """Do nothing: the thread writes as fast as the reader lets it."""

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most `timeout` seconds."""
        self._closing = True
        self._lines.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        open_ = True
        while open_:
            lines, open_ = self._gathered()
            dropped, self._dropped = self._dropped, 0
            if dropped:
                lines.append(b'{"event":"log lines dropped","level":"warning","count":%d}\n' % dropped)
            self._write_all(b"".join(lines))

    def _gathered(self) -> tuple[list[bytes], bool]:
        """All lines that wait, at least one, and whether more may come."""
        lines: list[bytes] = []
        line = self._lines.get()
        if not self._closing:
            # Waking for each line would take the interpreter from the calls that often.
            time.sleep(GATHERING_TIME)
        while line is not None:
            lines.append(line)
            if self._lines.empty():
                return lines, True
            line = self._lines.get()
        return lines, False

    def _write_all(self, data: bytes) -> None:
        while data:
            try:
                data = data[self._write(data) :]
            except BlockingIOError:
                if self._closing:
                    return
                time.sleep(BLOCKED_PAUSE)
            except OSError:
                # Nobody reads any more, or the disk is full: there is nowhere left to say so.
                return
