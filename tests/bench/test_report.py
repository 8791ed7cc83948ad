"""What a run says: which figures miss their target, what is kept of earlier runs, and pictures that open."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.curves import curves
from bench.plots import bars, time_line
from bench.report import write_results
from bench.row import Row, table

WITHIN = Row("call", "us", 150.0, 100.0, judged=1.5, target=1.6)
ABOVE = Row("token <paced>", "us", 130.0, 100.0, judged=1.3, target=1.25)


@pytest.mark.parametrize(
    ("judged", "target", "at_least", "missed"),
    [
        (1.6, 1.6, False, False),
        (1.61, 1.6, False, True),
        (12.0, 12.0, True, False),
        (11.9, 12.0, True, True),
        (99.0, None, False, False),
    ],
)
def test_target_is_a_bound(judged: float, target: float | None, *, at_least: bool, missed: bool) -> None:
    """A figure on its target reaches it, one beyond misses it, and one without a target misses nothing."""
    row = Row("call", "us", 1.0, judged=judged, target=target, at_least=at_least)

    assert row.missed is missed


def test_missed_target_is_said_in_the_table() -> None:
    """The table marks what was missed, and only where figures are judged."""
    rows = [WITHIN, ABOVE]

    assert [line.endswith("| missed |") for line in table(rows, "reference").splitlines()[2:]] == [
        False,
        True,
    ]
    assert "missed" not in table(rows, "reference", judged=False)


def test_run_replaces_what_it_measured(tmp_path: Path) -> None:
    """A run of one listener leaves the sections of the others as they are."""
    path = tmp_path / "RESULTS.md"
    write_results({"Listener b": "old b", "Listener a": "old a"}, path)

    write_results({"Listener b": "new b"}, path)

    headings = re.findall(r"^## (.*)$", path.read_text(), re.MULTILINE)
    assert headings == ["Listener a", "Listener b"]
    assert "old a" in path.read_text()
    assert "new b" in path.read_text()
    assert "old b" not in path.read_text()


def test_pictures_are_svg() -> None:
    """Pictures are well-formed, whatever the names in them, and show each figure that has a target."""
    untargeted = Row("latency", "ms", 1.0)
    drawn = ET.fromstring(bars("targets", [WITHIN, ABOVE, untargeted]))  # noqa: S314 - our own drawing
    line = ET.fromstring(time_line("deltas", [(0.0, 0.2), (7.5, 7.8)]))  # noqa: S314 - as above

    texts = [element.text for element in drawn.iter() if element.text]
    assert "94%" in texts
    assert "token <paced>" in texts
    assert "latency" not in texts
    assert line.tag.endswith("svg")


def test_curves_end_at_the_longest_wait() -> None:
    """A curve falls from all calls to none, the longest wait the furthest to the right."""
    drawn = ET.fromstring(curves("waits", {"a <b>": [0.2, 0.4, 10.0]}))  # noqa: S314 - our own drawing

    (line,) = (element for element in drawn.iter() if element.tag.endswith("polyline"))
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert points == sorted(points)
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert "a <b>" in [element.text for element in drawn.iter()]
