"""The bench itself, with a little of everything: it must run to its end and tell every figure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = (
    "Listener grpcio",
    "Listener native",
    "cold start, s",
    "memory, idle, MB",
    "unary call, us of CPU",
    "burst token, us of CPU",
    "paced token, us of CPU",
    "unary call, 8 at a time, ms, p99",
    "burst stream of 200 tokens, messages",
    "first content, added to a direct call, ms, p50",
    "first delta, under way, p50, ms",
    "all deltas, under way, p99, ms",
    "unary call, 20 names against 2, us of CPU",
    "memory, one of 20 streams, kB",
    "paced token, beside 20 open streams against 1, us of CPU",
    "No delta waits for another",
    "Races",
    "hedged at 0.95, first content, p99, s",
    "race of 3, unary, grpcio, us of CPU",
    "race of 3, a stream of one delta, native, us of CPU",
    "chain of 2, unary, native, us of CPU",
    "winner's answer, streamed, native, ms, p99",
    "loser's connection closed, unary, grpcio, ms, p99",
)

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU clocks of other processes"),
    pytest.mark.skipif(
        shutil.which("go") is None and not os.environ.get("CI"),
        reason="there is no Go to build bench/load",
    ),
]


def test_every_figure_is_measured() -> None:
    """A quick run tells every figure, and leaves the kept results alone."""
    results = ROOT / "bench" / "RESULTS.md"
    kept = results.read_bytes() if results.exists() else b""

    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert [figure for figure in FIGURES if figure not in run.stdout] == []
    assert (results.read_bytes() if results.exists() else b"") == kept


def test_program_is_formatted_and_vetted() -> None:
    """The compiled half keeps to what its own tools ask for."""
    unformatted = _in_load("gofmt", "-l", ".")
    vetted = _in_load("go", "vet", "./...")

    assert (unformatted.returncode, unformatted.stdout) == (0, "")
    assert vetted.returncode == 0, vetted.stderr


def _in_load(*command: str) -> subprocess.CompletedProcess[str]:
    folder = ROOT / "bench" / "load"
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
