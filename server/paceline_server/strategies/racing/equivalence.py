"""When two answers are the same (rule R6): each is reduced to a key, and the keys are grouped.

Looks at the whole of an answer, whatever its length, and never fails on what a model has written. Knows no
race: what a group is worth is the rules' business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from paceline_server.completion.answer import Completion
from paceline_server.completion.content import Media, Text, ToolCall
from paceline_server.strategies.racing.json_value import same_json
from paceline_server.strategies.racing.normalized import normalized_text

NUMBER_TOLERANCE = 1e-6
"""Relative to the greater of two numbers."""

Key = str | float | tuple[object, ...]
"""Equal for the same answers; numbers also if they are as close as the tolerance."""

Group = tuple[int, ...]
"""The indices of candidates, ascending."""

_NUMERAL = re.compile(
    # The sign is one only at the start of a word, and may stand before a currency.
    r"(?:(?<!\w)([-+\u2212]))?[$€£¥]?"
    r"((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)"
    # What is written as a power, an index or a fraction is more than the digits beside it.
    r"|[¼-¾⅐-↋]|(?<=\d)[²³¹⁰-₟]"
)
_DIGIT = re.compile("[\\d¼-¾⅐-↋²³¹⁰-₟]")
_BEFORE_DIGIT = len("-$.")


class Equivalence(Enum):
    """When two answers of a consensus are the same."""

    NORMALIZED_TEXT = "normalized_text"
    JSON = "json"
    NUMBER = "number"
    TOOL_CALL = "tool_call"
    JUDGE = "judge"


def answer_key(completion: Completion, equivalence: Equivalence) -> Key | None:
    """What the answer is compared by, where a judge fails its text; None if it stands alone."""
    if equivalence is Equivalence.TOOL_CALL:
        return _calls_key(completion)
    if equivalence in (Equivalence.JSON, Equivalence.NUMBER):
        if _calls(completion) or _media(completion):
            return None
        text = _text(completion)
        return same_json(text) if equivalence is Equivalence.JSON else sole_number(text)
    return _text_key(completion)


def grouped(keys: Mapping[int, Key | None]) -> list[Group]:
    """Candidates by their keys: the largest group first, among equals that with the lowest index."""
    alone = [(index,) for index, key in keys.items() if key is None]
    numbers = {index: key for index, key in keys.items() if isinstance(key, float)}
    same: dict[Key, list[int]] = {}
    for index, key in keys.items():
        if key is not None and not isinstance(key, float):
            same.setdefault(key, []).append(index)
    return in_order([*alone, *same.values(), *_close(numbers)])


def in_order(groups: Iterable[Sequence[int]]) -> list[Group]:
    """The largest first, among equals that with the lowest index."""
    return sorted((tuple(sorted(group)) for group in groups), key=lambda group: (-len(group), group))


def sole_number(text: str) -> float | None:
    """The number in `text` if it has exactly one, and one that a float can hold; commas group thousands."""
    match = _numeral(text, 0)
    if match is None or match[2] is None or _numeral(text, match.end()) is not None:
        return None
    numeral = match[2].replace(",", "")
    number = float(numeral)
    significand = re.split("[eE]", numeral)[0]
    if math.isinf(number) or (number == 0 and significand.strip("0.")):
        return None
    return -number if match[1] in ("-", "\u2212") else number


def preview(completion: Completion) -> str:
    """What there is to show of an answer: its text, else its tool calls."""
    calls = (f"{call.name}({call.arguments_json})" for call in _calls(completion))
    return _text(completion) or "\n".join(calls)


def _numeral(text: str, start: int) -> re.Match[str] | None:
    """The first numeral from `start` on; a digit is found faster, and is mostly all there is to find."""
    digit = _DIGIT.search(text, start)
    return None if digit is None else _NUMERAL.search(text, max(start, digit.start() - _BEFORE_DIGIT))


def _text(completion: Completion) -> str:
    return "".join(part.kind.text for part in completion.parts if isinstance(part.kind, Text))


def _calls(completion: Completion) -> list[ToolCall]:
    return [part.kind for part in completion.parts if isinstance(part.kind, ToolCall)]


def _media(completion: Completion) -> list[Media]:
    return [part.kind for part in completion.parts if isinstance(part.kind, Media)]


def _text_key(completion: Completion) -> Key | None:
    """Calls and media are of the answer too, or all answers without text would be the same."""
    text = normalized_text(_text(completion))
    calls = sorted((call.name, _arguments(call) or call.arguments_json) for call in _calls(completion))
    media = tuple(_media(completion))
    return (text, tuple(calls), media) if text or calls or media else None


def _calls_key(completion: Completion) -> Key | None:
    """Calls of one answer do not see each other's results, so that their order means nothing."""
    calls: list[tuple[str, str]] = []
    for call in _calls(completion):
        arguments = _arguments(call)
        if arguments is None:
            return None
        calls.append((call.name, arguments))
    return tuple(sorted(calls)) or None


def _arguments(call: ToolCall) -> str | None:
    """Some models write nothing where they mean no arguments."""
    return same_json(call.arguments_json.strip() or "{}")


def _close(numbers: Mapping[int, float]) -> list[Group]:
    """Groups in which any two are close: the largest there is, and so on with the rest.

    To be close is not transitive, so that a chain of neighbours is no group. Between groups of the same
    size the tightest is taken, then that of the lowest numbers, so that the order of the answers does
    not matter.
    """
    left = sorted((number, index) for index, number in numbers.items())
    groups: list[Group] = []
    while left:
        windows = [_window(left, start) for start in range(len(left))]
        largest = min(windows, key=lambda one: (-len(one), one[-1][0] - one[0][0], one[0][0]))
        groups.append(tuple(index for _, index in largest))
        left = [member for member in left if member not in largest]
    return groups


def _window(numbers: Sequence[tuple[float, int]], start: int) -> Sequence[tuple[float, int]]:
    lowest = numbers[start][0]
    return [member for member in numbers[start:] if _are_close(lowest, member[0])]


def _are_close(one: float, other: float) -> bool:
    return abs(one - other) <= NUMBER_TOLERANCE * max(abs(one), abs(other))
