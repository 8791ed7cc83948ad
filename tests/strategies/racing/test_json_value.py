"""JSON texts by their values (R6)."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.strategies.racing.json_value import same_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":[true,null]}', ' {"b" : [true , null],\n"a": 1.0 } '),
        ("1", "10e-1"),
        ("100", "1E2"),
        ("0", "-0.0e7"),
        ("1.50", "15e-1"),
        ('"\\u00e9\\ud83d\\ude00"', '"é😀"'),
        ('{"a":1,"a":2}', '{"a":1.0,"a":2}'),
        ("1" + "0" * 5000, "1e5000"),
        ('"\\ud83d"', '"\\uD83D"'),
        ("1e15", "1000000000000000"),
        ("1e14", "100000000000000.0"),
        ("-123456789012345", "-1234567890123450e-1"),
        ("0.000000000000000000000001e24", "1"),
        ("1e-301", "10e-302"),
        ("123456789012345.6", "0.1234567890123456e15"),
    ],
)
def test_same_values_are_the_same(one: str, other: str) -> None:
    """R6: the order of keys, the form of numbers, escapes and white space do not matter."""
    assert same_json(one) is not None
    assert same_json(one) == same_json(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1,2]", "[2,1]"),
        ("[1,[2]]", "[[1],2]"),
        ("[]", "{}"),
        ("[12]", "[1,2]"),
        ("1", '"1"'),
        ("1", "true"),
        ("null", "0"),
        ("1e400", "1e401"),
        ("1e-400", "0"),
        ("0.1", "0.1000000000000000055"),
        ("99999999999999.99", "1e14"),
        ("[1e999]", '["1e999"]'),
        ('{"a":1,"a":2}', '[["a",1],["a",2]]'),
        ("12", "21"),
        ("1", "-1"),
        ("9007199254740993", "9007199254740992"),
        ('{"a":1,"a":2}', '{"a":2,"a":1}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"a":1,"b":2}', '{"a":2,"b":1}'),
        ('{"a":"b"}', '["a","b"]'),
        ('"1e0"', "1"),
        ('"é"', '"e\\u0301"'),
    ],
)
def test_different_values_differ(one: str, other: str) -> None:
    """R6: values are compared as written, beyond what a float can tell apart."""
    assert same_json(one) is not None
    assert same_json(one) != same_json(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "NaN",
        "[Infinity]",
        "-Infinity",
        '{"a":1',
        "{'a':1}",
        "1 2",
        "01",
        "```json\n1\n```",
        "[" * 200_000 + "]" * 200_000,
        '{"a":' * 200_000,
        "1e" + "9" * 5000,
        "\ud83d",
        "\ufeff1",
    ],
    ids=lambda text: ascii(text)[:12],
)
def test_what_is_not_json_has_no_value(text: str) -> None:
    """R6: what is not JSON, or too deep to be read, is told as such and raises nothing."""
    assert same_json(text) is None


def test_deep_values_that_can_be_read_can_be_compared() -> None:
    """R6: depth costs the comparison no recursion beyond that of the reader."""
    assert same_json("[" * 500 + "]" * 500) == same_json(" [" * 500 + "] " * 500)


@given(value=JSON, indent=st.sampled_from([None, 0, 3]), ascii_only=st.booleans(), data=st.data())
def test_every_way_to_write_a_value_is_the_same(
    value: object, *, indent: int | None, ascii_only: bool, data: st.DataObject
) -> None:
    """R6: however a value is written, it is the same, also with its keys in another order."""

    def shuffled(value: object) -> object:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in data.draw(st.permutations(list(value)))}
        return [shuffled(inner) for inner in value] if isinstance(value, list) else value

    written = json.dumps(shuffled(value), indent=indent, ensure_ascii=ascii_only)
    assert same_json(written) == same_json(json.dumps(value))
    assert same_json(written) is not None


@given(one=JSON, other=JSON)
def test_values_differ_as_python_sees_them(one: object, other: object) -> None:
    """R6: two values have the same form exactly if they are equal, where a float can tell."""
    equal = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if same_json(json.dumps(one)) == same_json(json.dumps(other)):
        assert equal or one == other
    else:
        assert not equal


@given(
    one=st.tuples(st.integers(-(10**18), 10**18) | st.integers(-99, 99), st.integers(-320, 20)),
    place=st.integers(0, 25),
    other=st.tuples(st.integers(-99, 99), st.integers(-3, 3)),
)
def test_numbers_are_compared_by_their_decimal_value(
    one: tuple[int, int], place: int, other: tuple[int, int]
) -> None:
    """R6: wherever point and exponent stand, a number has one form, and numbers that differ have two."""
    number, exponent = one
    shifted = f"{'-' * (number < 0)}0.{'0' * place}{abs(number)}e{exponent + place + len(str(abs(number)))}"
    assert same_json(f"{number}e{exponent}") == same_json(shifted)
    same = Decimal(number).scaleb(exponent) == Decimal(other[0]).scaleb(other[1])
    assert (same_json(shifted) == same_json(f"{other[0]}e{other[1]}")) is same


@given(text=st.text())
def test_no_text_raises(text: str) -> None:
    """R6: a model may write anything."""
    same_json(text)
