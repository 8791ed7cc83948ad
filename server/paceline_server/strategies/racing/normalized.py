"""Texts without what does not matter to their meaning: the form of characters, case, space (rule R6).

Takes whatever a model writes, in time that grows with its length alone.
"""

from __future__ import annotations

import re
import unicodedata

_CLOSING_PUNCTUATION = ".!?,;: \u3001\u3002\u037e\u0589\u060c\u061f\u06d4\u0964\u0965\u1362\u203d"
"""Full stops, commas and question marks of several scripts; not what has a meaning, as in C# or 5%."""

_RUN_LENGTH = 30
"""No script stacks so many marks on a letter; ordering a run takes the square of its length."""

_LETTERS_THAT_BECOME_MARKS = "\uff9e\uff9f"
_MARK = rf"(?:[^\w\s\x00-\x7f]|[{_LETTERS_THAT_BECOME_MARKS}])"
_LONG_RUN = re.compile(rf"{_MARK}{{{_RUN_LENGTH}}}(?={_MARK})")
_BREAK = "\\g<0>\N{COMBINING GRAPHEME JOINER}"
_IOTA_BELOW = "\N{COMBINING GREEK YPOGEGRAMMENI}"


def normalized_text(text: str) -> str:
    """The text without differences of compatibility forms, case, white space and closing punctuation."""
    text = text.lower() if text.isascii() else _folded(text)
    text = " ".join(text.split())
    return text.rstrip(_CLOSING_PUNCTUATION) or text


def _folded(text: str) -> str:
    """Without differences of case and of compatibility forms.

    Case goes first: it mostly leaves a text that is normalized already, which is seen at a glance. Only an
    iota below a letter becomes a letter by it, and marks must be in order before: then the text grows,
    unless the iota stands by itself. What compatibility forms stand for has a case of its own.
    """
    if any(map(_may_be_of_a_run, set(text[::_RUN_LENGTH]))):
        text = _LONG_RUN.sub(_BREAK, text)
    folded = text.casefold()
    if len(folded) > len(text) or _IOTA_BELOW in text:
        folded = unicodedata.normalize("NFD", text).casefold()
    plain = unicodedata.normalize("NFKC", folded)
    again = plain.casefold()
    return plain if again == plain else unicodedata.normalize("NFKC", again)


def _may_be_of_a_run(character: str) -> bool:
    """Whether it is a mark, or becomes one; of a long run one stands at every such step through a text."""
    return unicodedata.category(character).startswith("M") or character in _LETTERS_THAT_BECOME_MARKS
