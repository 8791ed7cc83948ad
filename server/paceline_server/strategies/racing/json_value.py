"""Two JSON texts of the same value: a form of each that is equal exactly if their values are.

Compares values as they are written and not as some machine number holds them. Takes whatever a
model writes: what is not JSON, or is nested beyond what can be read, has no such form.
"""

from __future__ import annotations

import json
import math
import re

_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?")

_DIGIT_COUNT = 15
"""Decimal numbers of so many digits are told apart by floats, and whole ones are exact in them."""

_LARGEST = 10.0**_DIGIT_COUNT
_SMALLEST = 1e-300

_UNLIKE_ANY_VALUE = math.nan
"""At the head of an array: what follows is no array of the text, where NaN is refused."""

_ENCODER = json.JSONEncoder(check_circular=False, separators=(",", ":"), sort_keys=True)


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
            object_pairs_hook=_object,
        )
        return _ENCODER.encode(value)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> object:
    """As a number of Python where that holds the value, else by sign, significant digits and exponent.

    Which it is depends on the value alone. An exponent of thousands of digits is refused by `int`, and means
    nothing.
    """
    if len(text) <= _DIGIT_COUNT:
        number = float(text)
        if _SMALLEST < abs(number) < _LARGEST:
            return int(number) if number.is_integer() else number
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("not a number of JSON")
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return 0
    power = exponent - len(fraction) + len(digits) - len(significant)
    if power >= 0 and len(significant) + power <= _DIGIT_COUNT:
        return int(f"{sign}{significant}") * 10**power
    plain = f"{sign}{significant}e{power}"
    if power < 0 and len(significant) <= _DIGIT_COUNT and abs(float(plain)) > _SMALLEST:
        return float(plain)
    return [_UNLIKE_ANY_VALUE, plain]


def _object(members: list[tuple[str, object]]) -> object:
    found = dict(members)
    if len(found) == len(members):
        return found
    return [_UNLIKE_ANY_VALUE, sorted(members, key=lambda member: member[0])]


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")
