"""The figures of a run as a table, and the file that keeps them with the conditions they were taken under."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.processes import LOAD_CORES, ROOT, SERVER_CORES

RESULTS = ROOT / "bench" / "RESULTS.md"

OWN_LOAD = 1.5
"""Of the bench itself; with a higher load average something else ran on its cores."""

_LIBRARIES = ("grpcio", "protobuf", "uvloop", "aiohttp", "httpx", "msgspec", "structlog")
_HEAD = ("figure", "Paceline", "reference", "judged", "target", "")

_PREFACE = """\
# What Paceline costs

Written by `make bench`. CPU time of the server process, user and system, divided by what it served,
against a bare grpcio server over the same libraries (`bench/reference.py`) in the same run: ratios hold
from machine to machine, absolute figures do not. Ratios are medians over rounds in which reference and
Paceline took turns. Unary: a 712-byte JSON answer, 32 calls at a time. Burst: 200 events in one write,
32 streams. Paced: 200 events 5 to 10 ms apart, 16 streams. First content: one stream at a time, from the
call's start to its first delta, without the upstream's own share. Paceline logs a JSON line a call, as by
default, to a file.
"""


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        judged: What is compared with the target: the ratio, or the figure itself.
        target: The most that `judged` may be.
    """

    name: str
    unit: str
    paceline: float
    reference: float | None
    judged: float
    judged_unit: str
    target: float

    @property
    def reached(self) -> bool:
        """Whether the target is reached."""
        return self.judged <= self.target

    def cells(self, *, judged: bool) -> tuple[str, ...]:
        """The figure as a line of the table."""
        return (
            f"{self.name}, {self.unit}",
            _number(self.paceline),
            "" if self.reference is None else _number(self.reference),
            f"{self.judged:.2f}{self.judged_unit}",
            f"{self.target:g}{self.judged_unit}",
            "missed" if judged and not self.reached else "",
        )


def table(rows: Sequence[Row], *, judged: bool = True) -> str:
    """The rows for people, as Markdown."""
    lines = [_HEAD, *(row.cells(judged=judged) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def conditions(command: str) -> str:
    """Where, when and with what the figures were taken."""
    shared = "" if SERVER_CORES != LOAD_CORES else ", shared with the load"
    now = dt.datetime.now(dt.UTC)
    averages = os.getloadavg()
    load = ", ".join(f"{value:.1f}" for value in averages)
    company = "a machine shared with other work" if averages[0] > OWN_LOAD else "a quiet machine"
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return "\n".join(
        [
            f"- {now:%Y-%m-%d %H:%M} UTC, `{command}`",
            f"- {_cpu_model()}, {os.cpu_count()} cores; the server on one of them{shared}",
            f"- {company}: load averages {load}, of which the bench makes about {OWN_LOAD:g}",
            f"- {platform.system()} {platform.release()}, Python {platform.python_version()}",
            f"- {libraries}",
        ]
    )


def write_results(rows: Sequence[Row], command: str, path: Path = RESULTS) -> None:
    """Keep the figures."""
    path.write_text(f"{_PREFACE}\n{table(rows)}\n\n{conditions(command)}\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"  # noqa: PLR2004 - three figures are enough


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
