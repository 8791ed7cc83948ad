"""Each way in which a provider can fail, in each format, unary and streaming: what a caller is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.document import page
from tests.faults.faults import FAULTS, Expected, Fault
from tests.faults.matrix import Outcome, Row, played
from tests.faults.wires import ANSWER, FORMATS, WIRES, Wire

MODES = {"streaming": True, "unary": False}
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

SEEN: dict[tuple[str, str, str], Row] = {}
"""By mode, format and fault: each is played once, and the page is made of what was seen."""


async def _row(fault: Fault, wire: Wire, mode: str, folder: Path) -> Row:
    key = (mode, wire.name, fault.name)
    if key not in SEEN:
        SEEN[key] = await played(fault, wire, streaming=MODES[mode], folder=folder)
    return SEEN[key]


@pytest.mark.parametrize("mode", MODES)
@FORMATS
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
async def test_a_fault_has_the_same_end_in_every_format(
    fault: Fault, wire: Wire, mode: str, tmp_path: Path
) -> None:
    """A1 to A3, C1 to C5, H1: status, attempts, upstream calls and benches are those of the rules."""
    row = await _row(fault, wire, mode, tmp_path)
    expected = fault.expected(streaming=MODES[mode])
    _check_alone(row, expected)
    _check_with_other(row.with_other, expected)


@pytest.mark.timeout(300)  # run by itself, it plays the whole matrix
async def test_the_page_says_what_was_seen(tmp_path: Path) -> None:
    """The page of the fault matrix is what the faults above came to, alike in all formats."""
    by_mode: dict[str, dict[str, Row]] = {mode: {} for mode in MODES}
    for mode, rows in by_mode.items():
        for fault in FAULTS:
            seen = {name: await _row(fault, wire, mode, tmp_path) for name, wire in WIRES.items()}
            assert len(set(seen.values())) == 1, seen
            rows[fault.name] = seen["openai"]
    made = page(by_mode["streaming"], by_mode["unary"])
    if os.environ.get("PACELINE_WRITE_PAGES"):
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text("utf-8") == made, "the page is not what was seen: run make faults"


def _check_alone(row: Row, expected: Expected) -> None:
    assert row.alone.attempts == expected.attempts
    assert (row.alone.code, row.alone.reason) == _status(expected, answered=expected.answered)
    assert row.alone.text == ANSWER or not expected.answered
    assert row.upstream_calls == expected.upstream_calls
    assert (row.benched_after, row.by_provider) == (expected.benched_after, expected.by_provider)


def _check_with_other(outcome: Outcome, expected: Expected) -> None:
    assert outcome.attempts == expected.other_attempts
    answered = outcome.attempts[-1] == "SUCCEEDED"
    assert (outcome.code, outcome.reason) == _status(expected, answered=answered)
    assert outcome.text == ANSWER or not answered
    assert outcome.discarded == expected.discarded


def _status(expected: Expected, *, answered: bool) -> tuple[str, str]:
    return ("OK", "") if answered else (expected.code, expected.reason)
