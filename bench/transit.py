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
from bench.rounds import Figure, Round, Side, judge, median, rounds
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
    def of(side: int, share: Callable[[Spread], float]) -> Figure:
        return lambda outcomes: share(spread(outcomes[side].timed))

    def row(label: str, share: Callable[[Spread], float]) -> Row:
        return Row(f"{name}, {label}", "ms", median(found, of(1, share)), median(found, of(0, share)))

    typical = replace(row("p50", lambda shares: shares.p50), judged_unit=" ms", target=TRANSIT_MS)
    return [
        judge(typical, found, of(1, lambda shares: shares.p50)),
        row("p99", lambda shares: shares.p99),
        row("max", lambda shares: shares.max),
    ]
