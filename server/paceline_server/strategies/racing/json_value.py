"""Two JSON texts of the same value: a form of each that is equal exactly if their values are.

Compares values as they are written and not as some machine number holds them. Takes whatever a
model writes: what is not JSON, or is nested beyond what can be read, has no such form.
"""

from __future__ import annotations

import json
import re

_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?")


class _Written(str):
    """A piece of the result, in contrast to a string of the value."""

    __slots__ = ()


class _Members(list[tuple[str, object]]):
    """The members of an object, in contrast to the elements of an array."""

    __slots__ = ()


def same_json(text: str) -> str | None:
    """The form that all JSON texts with the value of `text` share; None if `text` is not JSON.

    The order of keys, white space, escapes and the form of numbers do not matter: 1, 1.0 and 10e-1 are the
    same. NaN and Infinity are not JSON. Readers differ on which of several equal keys counts; an object
    that has them is the same only as one that has the same of them in the same order.
    """
    try:
        value = json.loads(
            text,
            parse_float=_number,
            parse_int=_number,
            parse_constant=_refuse,
            object_pairs_hook=_Members,
        )
    except (ValueError, RecursionError):
        return None
    return _written(value)


def _number(text: str) -> _Written:
    """As sign, significant digits and exponent, which a float of 64 bits would round or overflow.

    An exponent of thousands of digits is refused by `int`, and means nothing.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("not a number of JSON")
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return _Written("0")
    return _Written(f"{sign}{significant}e{exponent - len(fraction) + len(digits) - len(significant)}")


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _written(value: object) -> str:
    """The value in one form. Keeps its own stack: deep values are read with less recursion than they take."""
    written: list[str] = []
    waiting = [value]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, _Written):
            written.append(piece)
        elif isinstance(piece, _Members):
            waiting.extend(reversed(_object(piece)))
        elif isinstance(piece, list):
            waiting.extend(reversed(_array(piece)))
        else:
            written.append(json.dumps(piece))
    return "".join(written)


def _object(members: _Members) -> list[object]:
    pieces: list[object] = [_Written("{")]
    for key, value in sorted(members, key=lambda member: member[0]):
        pieces += (key, _Written(":"), value, _Written(","))
    return [*pieces, _Written("}")]


def _array(elements: list[object]) -> list[object]:
    pieces: list[object] = [_Written("[")]
    for element in elements:
        pieces += (element, _Written(","))
    return [*pieces, _Written("]")]
