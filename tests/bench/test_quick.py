"""The bench itself, with a little of everything: it must run to its end and tell every figure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = (
    "unary call, us of CPU",
    "burst token, us of CPU",
    "paced token, us of CPU",
    "first content, ms, p50",
    "unary call, 20 names against 2",
    "memory, idle",
    "memory, an open stream",
    "cold start",
)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU clocks of other processes")
def test_every_figure_is_measured() -> None:
    """A quick run tells every figure, and leaves the kept results alone."""
    results = ROOT / "bench" / "RESULTS.md"
    kept = results.read_bytes() if results.exists() else b""

    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert [figure for figure in FIGURES if figure not in run.stdout] == []
    assert (results.read_bytes() if results.exists() else b"") == kept
