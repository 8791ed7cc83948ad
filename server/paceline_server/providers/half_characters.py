r"""Mending JSON that holds halves of characters: servers that cut their text at tokens send emoji so.

`"\ud83d"` alone is no character, and strict readers refuse all that is around it. A half at the end of
one event and its other half at the start of a string of the next are one character; what stays alone
becomes U+FFFD. Only documents that could not be read come here, so that the others cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole character
    rb"|(?P<first>\\u[dD][89abAB][0-9a-fA-F]{2})"
    rb"|(?P<second>\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
_UNKNOWN = rb"\ufffd"
_QUOTE = b'"'


class HalfCharacters:
    """Mends the events of one answer, and keeps one that ends in half a character until the next is here."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept = b""

    def mended(self, data: bytes, *, keeps: bool) -> bytes | None:
        """`data`, which could not be read, as it can; None if no half character is to blame.

        Args:
            data: One event.
            keeps: Whether the event may be kept for now, because others follow; it is then empty here.
        """
        whole = mended(data)
        if whole == data:
            return None
        if keeps and ends_in_half(data):
            self.kept = data
            return b""
        return whole

    def released(self, following: bytes = b"") -> tuple[bytes, bytes]:
        """The event that was kept, mended, and `following`, which may have got a half of it."""
        kept, self.kept = self.kept, b""
        return rejoined(kept, following)


def mended(data: bytes) -> bytes:
    """`data` with U+FFFD for each half that is alone; as it is if there is none."""
    return _ESCAPES.sub(lambda found: _UNKNOWN if found.lastgroup else found[0], data)


def ends_in_half(data: bytes) -> bool:
    """Whether a string of `data` ends in the first half of a character."""
    return next(_last_halves(data), None) is not None


def rejoined(data: bytes, following: bytes) -> tuple[bytes, bytes]:
    """`data`, mended, and `following`, which got the half that `data` ends in if it has the other one."""
    halves = list(_last_halves(data))
    for found in _ESCAPES.finditer(following):
        start = found.start()
        if halves and found.lastgroup == "second" and following[start - 1 : start] == _QUOTE:
            first = halves[-1]
            whole = following[:start] + first[0] + following[start:]
            return mended(data[: first.start()] + data[first.end() :]), whole
    return mended(data), following


def _last_halves(data: bytes) -> Iterator[re.Match[bytes]]:
    return (
        found
        for found in _ESCAPES.finditer(data)
        if found.lastgroup == "first" and data.startswith(_QUOTE, found.end())
    )
