"""YAML text becomes data with places, or problems with places."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.settings.problem import Place
from paceline_server.settings.yaml_reader import MAXIMUM_DEPTH, parse


def problems(text: str) -> list[str]:
    """All that is said about a text."""
    return [f"{problem.place}: {problem.message}" for problem in parse(text, "f").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        ("a: -1.5e3", {"a": -1500.0}),
        ("a: true", {"a": True}),
        ("a: no", {"a": "no"}),
        ("no: 1", {"no": 1}),
        ("1.5: x", {"1.5": "x"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 0x10", {"a": "0x10"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: '1'", {"a": "1"}),
        ("a: !!str 1", {"a": "1"}),
        ("a:", {"a": None}),
        ("a: ~", {"a": None}),
        ("a: [x, {b: 1}]", {"a": ["x", {"b": 1}]}),
        ("", None),
        ("# nothing", None),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    """A model may be called `no`, a time is no number, and keys are text."""
    parsed = parse(text, "f")
    assert parsed.value == value
    assert parsed.problems == []


def test_every_key_and_value_has_a_place() -> None:
    """A problem can point to the line and column of any setting (S5)."""
    parsed = parse("a:\n  b: [1,\n    2]\n", "f")
    assert parsed.keys["a", "b"] == Place("f", 2, 3)
    assert parsed.values["a", "b"] == Place("f", 2, 6)
    assert parsed.values["a", "b", 1] == Place("f", 3, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", ["f:2:1: it is given twice, first in line 1"]),
        (
            "a: {b: 1, b: 2}\na: 3",
            ["f:1:11: it is given twice, first in line 1", "f:2:1: it is given twice, first in line 1"],
        ),
        ("a: [1", ["f:1:6: expected ',' or ']', but got '<stream end>'"]),
        ("a: b: c", ["f:1:5: mapping values are not allowed here"]),
        ("a:\n\t- 1", ["f:2:1: found character '\\t' that cannot start any token"]),
        ("x: *sk-canary", ["f:1:4: aliases are not supported"]),
        ("a: &x [*x]", ["f:1:8: aliases are not supported"]),
        ("a: !sk-canary 1", ["f:1:4: a YAML tag is not supported here"]),
        ("a: !!set {b}", ["f:1:4: a YAML tag is not supported here"]),
        ("a: !!int x", ["f:1:4: a YAML tag is not supported here"]),
        ("a: !!bool x", ["f:1:4: a YAML tag is not supported here"]),
        ("? [a]\n: 1", ["f:1:3: a key must be text"]),
        ("a: 1\n---\nb: 2", ["f:2:1: but found another document"]),
        ("a: 12345678901234567890", ["f:1:4: the number has too many digits"]),
        ("a: 1\nb: \x07", ["f:2:4: a character is not allowed"]),
        ("[" * (MAXIMUM_DEPTH + 1), [f"f:1:{MAXIMUM_DEPTH + 1}: this is nested too deeply"]),
        ("[" * 100_000, [f"f:1:{MAXIMUM_DEPTH + 1}: this is nested too deeply"]),
    ],
)
def test_what_cannot_be_read_has_a_place(text: str, said: list[str]) -> None:
    """Bad YAML, duplicate keys, aliases and tags are told with line and column."""
    assert problems(text) == said


def test_a_problem_repeats_no_text() -> None:
    """A secret next to a slip of YAML stays where it is."""
    for text in (
        "k: %sk-canary",
        'k: "\\sk-canary',
        "k: 'sk-canary",
        "sk-canary",
        "k: @sk-canary",
        "k: {sk-canary",
    ):
        assert "canary" not in str(parse(text, "f").problems)


@given(st.text() | st.text(alphabet="a:-[]{}!&*?|>'\"%@`# \n\t0.,~\\x"))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text ends in anything but data or problems."""
    parsed = parse(text, "f")
    assert parsed.usable or parsed.problems
