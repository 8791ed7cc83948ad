"""`python -m bench`: measures, prints tables, keeps them in RESULTS.md, and fails if a target is missed.

With `--quick` it does a little of everything and judges nothing, so that a test can keep it alive.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import plan as plans
from bench.costs import cost_rows, first_content_rows
from bench.gateway import LISTENERS, paceline, reference
from bench.generator import LoadFailed
from bench.plan import Plan
from bench.plots import bars, time_line
from bench.processes import LOAD_CORES, Server, raise_descriptor_limit, serving
from bench.program import PROGRAM, Missing, build
from bench.report import conditions, write_plot, write_results
from bench.row import Row, table
from bench.standing import cold_start_row, idle_row, names_row, open_stream_rows
from bench.transit import SHOWN_DELTAS, Transit, transit

COMMAND = "python -m bench"


def main() -> int:
    """Run the bench; the exit code is 1 if a target was missed, 2 if it could not be run."""
    options = _options()
    try:
        build()
        raise_descriptor_limit()
        missed = _run(options)
    except (Missing, LoadFailed) as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 2
    if missed and not options.quick:
        print("targets missed:", *missed, sep="\n  ", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything, nothing judged")
    parser.add_argument("--listener", choices=LISTENERS, action="append", help="default: each")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> list[str]:
    """The names of the targets that were missed."""
    plan = plans.QUICK if options.quick else plans.FULL
    missed = []
    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(
            serving([str(PROGRAM), "upstream"], LOAD_CORES, folder / "upstream.log")
        )
        for listener in options.listener or LISTENERS:
            load_before = os.getloadavg()[0]
            rows, found = _listener(plan, listener, upstream, folder)
            told = conditions(" ".join([COMMAND, *sys.argv[1:]]), load_before)
            shown = table(rows, "reference", judged=not options.quick)
            print(f"Listener {listener}", shown, found.text(), told, sep="\n\n", end="\n\n", flush=True)
            if not options.quick:
                pictures = _pictures(listener, rows, found)
                text = "\n\n".join([shown, *pictures, found.text(), told])
                write_results({f"Listener {listener}": text})
            missed += [f"{listener}: {row.name}" for row in rows if row.missed]
    return missed


def _listener(plan: Plan, listener: str, upstream: Server, folder: Path) -> tuple[list[Row], Transit]:
    start = partial(paceline, listener, upstream, folder)
    rows = [cold_start_row(plan, start)]
    with reference(listener, upstream, folder) as bare, start(plan.few_names) as few:
        rows.append(idle_row(few, bare))
        rows += cost_rows(plan, listener, bare, few, upstream)
        rows += first_content_rows(plan, bare, few, upstream)
        found = transit(plan, bare, few, upstream)
        rows += found.rows
        rows.append(names_row(plan, few, start, upstream))
        rows += open_stream_rows(plan, few, start, upstream)
    return rows, found


def _pictures(listener: str, rows: list[Row], found: Transit) -> list[str]:
    targets = bars(f"Listener {listener}: how much of its target each figure uses", rows)
    line = time_line(f"Listener {listener}: the first deltas of a paced stream", found.shown[:SHOWN_DELTAS])
    return [
        write_plot(f"{listener}-targets", targets),
        write_plot(f"{listener}-time-line", line),
    ]


if __name__ == "__main__":
    sys.exit(main())
