"""Text of others, made harmless for a terminal: what a model or a provider writes must not steer it.

Escape sequences begin with control characters, so it is enough that none of those gets through.
"""

from __future__ import annotations

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_IN_TEXT = {code: written for code, written in _CONTROLS.items() if chr(code) not in "\n\t"}
_IN_LINE = {**_CONTROLS, **dict.fromkeys(map(ord, "\n\r\t"), " ")}


def printable(text: str) -> str:
    r"""A text with its control characters written out, but for line feeds and tabs.

    >>> printable("\x1b[31mred")
    '\\x1b[31mred'
    """
    return text.replace("\r\n", "\n").translate(_IN_TEXT)


def one_line(text: str) -> str:
    """A text as part of a line: its line feeds and tabs are spaces, other control characters written out."""
    return text.translate(_IN_LINE)
