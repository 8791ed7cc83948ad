"""RESULTS.md: a section for each thing that was measured, with the conditions that it was measured under.

A run replaces the sections that it measured and keeps the others, so that a listener or a peer can be
measured alone.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.processes import LOAD_CORES, ROOT, SERVER_CORES
from bench.program import go_version

RESULTS = ROOT / "bench" / "RESULTS.md"
PLOTS = ROOT / "bench" / "plots"

OWN_LOAD = 1.5
"""Of the bench itself; with a higher load average something else ran on its cores."""

_LIBRARIES = (*("grpcio", "pygrpc-native", "protobuf", "uvloop", "aiohttp", "httpx", "msgspec", "structlog"),)
_SECTION = re.compile(r"^## ", re.MULTILINE)

_PREFACE = """\
# What Paceline costs

Written by `make bench`, which fails if a target is missed. CPU time is that of the server process, user
and system, all threads, divided by what it served, against a bare gRPC server on the same listener and
the same libraries (`bench/reference.py`) in the same run: ratios hold from machine to machine, absolute
figures do not. Ratios are medians over rounds in which both took turns. The server has a core to itself;
the load and the mock upstream, both compiled (`bench/load`), share the other.

Unary: a 712-byte JSON answer, 32 calls at a time. Burst: 200 events in one write, 32 streams. Paced: 200
events 5 to 10 ms apart, 16 streams. First content: one stream at a time, from the call's start to its
first delta, without the upstream's own share, and without what the same takes when the upstream is called
directly. Under way: from the upstream's write of an event to the client's read of its delta, 16 paced
streams. Paceline logs a JSON line a call, as by default, to a file; the reference logs nothing.
"""


def conditions(command: str, load_before: float, *more: str) -> str:
    """Where, when and with what the figures were taken.

    Args:
        load_before: The load average when the run began.
        more: What else has a version.
    """
    shared = "" if SERVER_CORES != LOAD_CORES else ", shared with the load"
    averages = os.getloadavg()
    load = ", ".join(f"{value:.1f}" for value in averages)
    quiet = load_before <= OWN_LOAD and averages[0] <= OWN_LOAD
    company = "a quiet machine" if quiet else "a machine shared with other work"
    return "\n".join(
        [
            f"- {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, `{command}`",
            f"- {_cpu_model()}, {os.cpu_count()} cores; the server on one of them{shared}",
            f"- {company}: load average {load_before:.1f} before, {load} after; the bench makes {OWN_LOAD:g}",
            f"- {platform.system()} {platform.release()}, Python {platform.python_version()}, {go_version()}",
            f"- {', '.join([*_versions(), *more])}",
        ]
    )


def write_plot(name: str, drawing: str) -> str:
    """Keep a drawing; gives the Markdown that shows it."""
    PLOTS.mkdir(exist_ok=True)
    (PLOTS / f"{name}.svg").write_text(drawing)
    return f"![{name}](plots/{name}.svg)"


def write_results(sections: Mapping[str, str], path: Path = RESULTS) -> None:
    """Keep the figures.

    Args:
        sections: By their headings.
    """
    kept = _sections(path.read_text()) if path.exists() else {}
    texts = [f"## {heading}\n\n{text.strip()}\n" for heading, text in sorted({**kept, **sections}.items())]
    path.write_text("\n".join([_PREFACE, *texts]))


def _sections(text: str) -> dict[str, str]:
    parts: Sequence[str] = _SECTION.split(text)[1:]
    return {heading: rest for heading, _, rest in (part.partition("\n") for part in parts)}


def _versions() -> list[str]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue  # the native listener is an extra
    return found


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
