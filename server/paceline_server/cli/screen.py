"""A region at the end of a terminal that is drawn anew in place, with lines that go up out of it.

Each frame is one write that overwrites line by line, so that nothing flickers, and that leaves the
cursor visible, so that nothing is left to repair however the process ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import click
from rich.cells import cell_len

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"


class Screen:
    """The last lines of one terminal. Nobody else may write there between two frames."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._drawn: list[int] = []

    def draw(self, lines: Sequence[str], width: int, *, above: Sequence[str] = ()) -> None:
        """Draw `lines` over those of the last frame.

        Args:
            lines: Narrower than the terminal, as a character in its last column would be cleared.
            width: That of the terminal.
            above: Lines of any length that are to stand before the region, and to stay.
        """
        # A terminal that was made narrower has broken the lines that it shows.
        rows = sum(max(1, -(-length // max(width, 1))) for length in self._drawn)
        frame = [_HIDE, f"\x1b[{rows}A\r" if rows else "\r"]
        if above:
            frame.append(_CLEAR_BELOW)
            frame.extend(f"{line}\n" for line in above)
        frame.extend(f"{line}{_CLEAR_LINE}\n" for line in lines)
        frame += [_CLEAR_BELOW, _SHOW]
        self._out.write("".join(frame))
        self._out.flush()
        self._drawn = [cell_len(click.unstyle(line)) for line in lines]

    def leave(self) -> None:
        """What is drawn stays; the next frame begins below it."""
        self._drawn = []
