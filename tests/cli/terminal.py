"""A terminal as far as the command line uses one: text, line ends, and the few sequences that it writes."""

from __future__ import annotations

import io
import re

_TOKEN = re.compile(r"\x1b\[(?P<private>\??)(?P<number>\d*)[\d;]*(?P<final>[A-Za-z])|(?P<text>.)", re.DOTALL)


class ScriptedTerminal(io.StringIO):
    """What is written to it, and what one would then see, scrolled lines included.

    Attributes:
        cursor_shown: Whether the cursor can be seen.
        frame_count: How often something was written.
    """

    def __init__(self, width: int = 80) -> None:
        super().__init__()
        self.width = width
        self.cursor_shown = True
        self.frame_count = 0
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0

    def isatty(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Show it."""
        self.frame_count += bool(text)
        for token in _TOKEN.finditer(text):
            if token["text"] is None:
                self._obey(token["private"] + token["final"], int(token["number"] or 0))
            else:
                self._put(token["text"])
        return super().write(text)

    @property
    def lines(self) -> list[str]:
        """All lines, without the spaces at their ends."""
        return ["".join(row).rstrip() for row in self._rows]

    def _put(self, character: str) -> None:
        if character == "\n":
            self._row, self._column = self._row + 1, 0
        elif character == "\r":
            self._column = 0
        else:
            assert character.isprintable(), f"{character!r} would steer the terminal"
            if self._column >= self.width:
                self._row, self._column = self._row + 1, 0
            row = self._current()
            row += [" "] * (self._column + 1 - len(row))
            row[self._column] = character
            self._column += 1
        self._current()

    def _current(self) -> list[str]:
        self._rows += [[] for _ in range(self._row + 1 - len(self._rows))]
        return self._rows[self._row]

    def _obey(self, final: str, number: int) -> None:
        match final:
            case "A":
                self._row -= max(number, 1)
                assert self._row >= 0, "above the first line"
            case "K":
                # As real ones do after a character in the last column, where the cursor still stands.
                del self._current()[min(self._column, self.width - 1) :]
            case "J":
                del self._current()[self._column :]
                del self._rows[self._row + 1 :]
            case "?h" | "?l":
                self.cursor_shown = final == "?h"
            case "m":
                pass
            case _:
                raise AssertionError(f"an unknown sequence: {final}")
