"""`python -m bench`: measures, prints a table, keeps it in RESULTS.md, and fails if a target is missed.

With `--quick` it does a little of everything and judges nothing, so that a test can keep it alive.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import astuple, replace
from pathlib import Path

from bench import plan as plans
from bench.gateway import paceline
from bench.load import Load, Outcome
from bench.plan import Plan
from bench.processes import (
    LOAD_CORES,
    LOAD_TIMEOUT,
    ROOT,
    SERVER_CORES,
    Server,
    module,
    on_cores,
    resident_bytes,
    serving,
)
from bench.report import Row, conditions, table, write_results
from bench.standing import bytes_per_open_stream, seconds_until_healthy

COMMAND = "python -m bench"
MEGABYTE = 1e6
KILOBYTE = 1e3

Pair = tuple[Outcome, Outcome]
"""What the baseline and the candidate gave in one round."""


def main() -> int:
    """Run the bench; the exit code is 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything, nothing judged")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as folder:
        rows = _measure(plans.QUICK if quick else plans.FULL, Path(folder))
    print(table(rows, judged=not quick))
    print(conditions(COMMAND + " --quick" * quick))
    if quick:
        return 0
    write_results(rows, COMMAND)
    missed = [row.name for row in rows if not row.reached]
    if missed:
        print(f"targets missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _measure(plan: Plan, folder: Path) -> list[Row]:
    upstream_log = folder / "upstream.log"
    with serving(module("bench.upstream"), LOAD_CORES, upstream_log) as upstream:
        cold_start = _cold_start(plan, upstream, folder)
        with ExitStack() as stack:
            command = module("bench.reference", upstream.address)
            reference = stack.enter_context(serving(command, SERVER_CORES, folder / "reference.log"))
            few = stack.enter_context(paceline(upstream.address, folder, plan.few_names))
            idle = resident_bytes(few.pid) / MEGABYTE
            rows = _compared(plan, reference, few)
            stream = asyncio.run(bytes_per_open_stream(few, plan.open_streams)) / KILOBYTE
            many = stack.enter_context(paceline(upstream.address, folder, plan.many_names))
            rows.append(_names_row(plan, few, many))
    return [
        *rows,
        Row("memory, idle", "MB", idle, None, idle, " MB", plans.IDLE_MB),
        Row("memory, an open stream", "kB", stream, None, stream, " kB", plans.OPEN_STREAM_KB),
        Row("cold start", "s", cold_start, None, cold_start, " s", plans.COLD_START_SECONDS),
    ]


def _compared(plan: Plan, reference: Server, candidate: Server) -> list[Row]:
    rows = []
    for name, load in plan.loads.items():
        pairs = _rounds(plan.rounds, (reference, load), (candidate, load))
        if name == plans.FIRST_CONTENT:
            rows.append(_first_content_row(pairs))
        else:
            rows.append(_ratio_row(name, pairs, plans.RATIO_TARGETS[name], plans.TOKENS_PER_CALL[name]))
    return rows


def _rounds(count: int, baseline: tuple[Server, Load], candidate: tuple[Server, Load]) -> list[Pair]:
    # In turns, so that what else the machine does falls on both alike.
    return [(_run(*baseline), _run(*candidate)) for _ in range(count)]


def _run(server: Server, load: Load) -> Outcome:
    arguments = [load.model.value, *astuple(load)[1:]]
    with on_cores(LOAD_CORES):
        finished = subprocess.run(  # noqa: S603 - a module of the bench
            module("bench.load", server.address, server.pid, *arguments),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            timeout=LOAD_TIMEOUT,
            check=True,
        )
    return Outcome(**json.loads(finished.stdout))


def _ratio_row(name: str, pairs: list[Pair], target: float, tokens: int) -> Row:
    baselines, candidates = zip(*pairs, strict=True)
    return Row(
        name,
        "us of CPU",
        statistics.median(outcome.cpu_us for outcome in candidates) / tokens,
        statistics.median(outcome.cpu_us for outcome in baselines) / tokens,
        statistics.median(candidate.cpu_us / baseline.cpu_us for baseline, candidate in pairs),
        "",
        target,
    )


def _first_content_row(pairs: list[Pair]) -> Row:
    baselines, candidates = zip(*pairs, strict=True)
    return Row(
        plans.FIRST_CONTENT,
        "ms, p50",
        statistics.median(outcome.first_content_ms for outcome in candidates),
        statistics.median(outcome.first_content_ms for outcome in baselines),
        statistics.median(
            candidate.first_content_ms - baseline.first_content_ms for baseline, candidate in pairs
        ),
        " ms",
        plans.ADDED_FIRST_CONTENT_MS,
    )


def _names_row(plan: Plan, few: Server, many: Server) -> Row:
    load = replace(plan.loads[plans.UNARY], calls=plan.names_calls)
    pairs = _rounds(
        plan.rounds, (few, replace(load, names=plan.few_names)), (many, replace(load, names=plan.many_names))
    )
    name = f"unary call, {plan.many_names} names against {plan.few_names}"
    return _ratio_row(name, pairs, plans.NAMES_RATIO, tokens=1)


def _cold_start(plan: Plan, upstream: Server, folder: Path) -> float:
    seconds = []
    for _ in range(plan.cold_starts):
        with paceline(upstream.address, folder) as server:
            seconds.append(seconds_until_healthy(server))
    return statistics.median(seconds)


if __name__ == "__main__":
    sys.exit(main())
