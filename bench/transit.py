"""How long a delta is under way through a gateway, and that none waits for another.

The upstream writes into each event when it wrote it, and the client notes when it had it: one machine,
one clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.generator import Spread, Timeline, run
from bench.plan import TRANSIT_MS, Plan
from bench.processes import Server
from bench.rounds import Round, Side, median, rounds
from bench.row import Row

SHOWN_DELTAS = 24


@dataclass(frozen=True)
class Transit:
    """What the time line is drawn from.

    Attributes:
        shown: Of one stream through Paceline: when each event was written and when it was read.
        overtaken: The share of deltas that came after the next event was written.
        lockstep: How many deltas had to arrive before the upstream wrote another event, and did.
    """

    rows: list[Row]
    shown: list[tuple[float, float]]
    overtaken: float
    lockstep: int

    def text(self) -> str:
        """What the table does not say."""
        lines = [
            "No delta waits for another: in lockstep, where the upstream writes an event only when the",
            f"client has acknowledged the one before it, all {self.lockstep:,} deltas arrived.",
            f"Of paced deltas, {self.overtaken:.2%} came after the upstream had written the next event.",
            "",
            "The first deltas of one stream, in milliseconds since the first was written:",
            "",
            "| delta | written | read | under way |",
            "|-------|---------|------|-----------|",
        ]
        lines += [
            f"| {index} | {written:.2f} | {read:.2f} | {read - written:.2f} |"
            for index, (written, read) in enumerate(self.shown[:SHOWN_DELTAS])
        ]
        return "\n".join(lines)


def transit(plan: Plan, reference: Server, candidate: Server, upstream: Server) -> Transit:
    """Measure it.

    Raises:
        LoadFailed: In lockstep a delta did not come, for the server waited for more.
    """
    lockstep = run(candidate, plan.lockstep, upstream)
    found = rounds(plan.rounds, upstream, Side(reference, plan.timed), Side(candidate, plan.timed))
    last = found[-1][1].timed
    rows = [
        *_spread_rows("first delta, under way", found, lambda timed: timed.first_ms),
        *_spread_rows("all deltas, under way", found, lambda timed: timed.all_ms),
    ]
    overtaken = median(found, lambda outcomes: outcomes[1].timed.overtaken / outcomes[1].timed.events)
    return Transit(rows, last.shown, overtaken, lockstep.deltas)


def _spread_rows(name: str, found: list[Round], spread: Callable[[Timeline], Spread]) -> list[Row]:
    def typical(side: int, share: Callable[[Spread], float]) -> float:
        return median(found, lambda outcomes: share(spread(outcomes[side].timed)))

    shares: dict[str, Callable[[Spread], float]] = {
        "p50": lambda of: of.p50,
        "p99": lambda of: of.p99,
        "max": lambda of: of.max,
    }
    rows = []
    for label, share in shares.items():
        ours, bare = typical(1, share), typical(0, share)
        row = Row(f"{name}, {label}", "ms", ours, bare)
        rows.append(
            replace(row, judged=ours, judged_unit=" ms", target=TRANSIT_MS) if label == "p50" else row
        )
    return rows
