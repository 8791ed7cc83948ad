"""`python -m bench`: measures, prints tables, keeps them in RESULTS.md, and fails if a target is missed.

With `--quick` it does a little of everything and judges nothing, so that a test can keep it alive.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import plan as plans
from bench.against import peer_rows
from bench.costs import cost_rows, first_content_rows
from bench.gateway import LISTENERS, paceline, reference
from bench.generator import LoadFailed
from bench.peers import PEERS
from bench.plan import Plan
from bench.plots import bars, time_line
from bench.processes import LOAD_CORES, Server, alone, raise_descriptor_limit, serving
from bench.program import PROGRAM, Missing, build
from bench.races import OTHER, races
from bench.report import conditions, write_plot, write_results
from bench.row import Row, table
from bench.standing import cold_start_row, idle_row, names_row, open_stream_rows
from bench.transit import SHOWN_DELTAS, transit

COMMAND = "python -m bench"


@dataclass(frozen=True)
class Section:
    """What RESULTS.md says of one listener, of one peer, or of races.

    Attributes:
        other: What Paceline is compared with in it.
        drawings: By the names of their files.
    """

    heading: str
    other: str
    rows: Sequence[Row]
    text: str
    drawings: Mapping[str, str]


def main() -> int:
    """Run the bench; the exit code is 1 if a target was missed, 2 if it could not be run."""
    options = _options()
    try:
        build()
        raise_descriptor_limit()
        # The quick form measures nothing that another bench could spoil.
        with nullcontext() if options.quick else alone():
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
    parser.add_argument(
        "--peers",
        type=_peers,
        default=[],
        metavar="NAMES",
        help=f"of {', '.join(PEERS)}, separated by commas",
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--peers-only", action="store_true", help="nothing but the figures of the peers")
    only.add_argument("--races-only", action="store_true", help="nothing but the figures of races")
    return parser.parse_args()


def _peers(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"there is no peer {unknown[0]}; write {' or '.join(PEERS)}")
    return names


def _run(options: argparse.Namespace) -> list[str]:
    """The names of the targets that were missed."""
    plan = plans.QUICK if options.quick else plans.FULL
    listeners = options.listener or LISTENERS
    missed = []
    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(
            serving([str(PROGRAM), "upstream"], LOAD_CORES, folder / "upstream.log")
        )
        sections = [
            *(
                partial(_listener, plan, each, upstream, folder)
                for each in listeners
                if not (options.peers_only or options.races_only)
            ),
            *(partial(_peer, plan, peer, listeners, upstream, folder) for peer in options.peers),
        ]
        # One section holds both listeners: it is measured whole or not at all.
        if not (options.peers_only or options.listener):
            sections.append(partial(_races, plan, upstream, folder))
        for measure in sections:
            load_before = os.getloadavg()[0]
            section = measure()
            told = conditions(" ".join([COMMAND, *sys.argv[1:]]), load_before)
            shown = table(section.rows, section.other, judged=not options.quick)
            print(section.heading, shown, section.text, told, sep="\n\n", end="\n\n", flush=True)
            if not options.quick:
                pictures = [write_plot(name, drawing) for name, drawing in section.drawings.items()]
                write_results({section.heading: "\n\n".join([shown, *pictures, section.text, told])})
            missed += [f"{section.heading}: {row.name}" for row in section.rows if row.missed]
    return missed


def _listener(plan: Plan, listener: str, upstream: Server, folder: Path) -> Section:
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
    heading = f"Listener {listener}"
    shown = found.shown[:SHOWN_DELTAS]
    drawings = {
        f"{listener}-targets": bars(f"{heading}: how much of its target each figure uses", rows),
        f"{listener}-time-line": time_line(f"{heading}: the first deltas of a paced stream", shown),
    }
    return Section(heading, "reference", rows, found.text(), drawings)


def _peer(plan: Plan, name: str, listeners: Sequence[str], upstream: Server, folder: Path) -> Section:
    title, rows = peer_rows(plan, name, listeners, upstream, folder)
    heading = f"Peer {name}"
    drawings = {f"{name}-targets": bars(f"{title}: how much of its target each figure uses", rows)}
    text = f"{title}, one process, in front of the same upstream, over HTTP. Judged: how many times less."
    return Section(heading, title, rows, text, drawings)


def _races(plan: Plan, upstream: Server, folder: Path) -> Section:
    heading = "Races"
    found = races(plan, upstream, folder)
    drawings = {
        "races-targets": bars(f"{heading}: how much of its target each figure uses", found.rows),
        "races-first-content": found.curves,
    }
    return Section(heading, OTHER, found.rows, found.text, drawings)


if __name__ == "__main__":
    sys.exit(main())
