"""What a call and a token cost against the bare reference, and what latency a call gains on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.generator import EVENTS_PER_STREAM, Outcome
from bench.plan import ADDED_FIRST_CONTENT_MS, BURST, COSTS, RATIO_TARGETS, UNARY, Plan
from bench.processes import Server
from bench.rounds import Figure, Round, Side, cost_row, judge, median, rounds
from bench.row import Row


def cost_rows(plan: Plan, listener: str, reference: Server, candidate: Server, upstream: Server) -> list[Row]:
    """The figures in CPU time, and the latency of the unary calls that they were taken from."""
    rows: list[Row] = []
    informative: list[Row] = []
    for cost in COSTS:
        load = plan.loads[cost]
        found = rounds(plan.rounds, upstream, Side(reference, load), Side(candidate, load))
        rows.append(cost_row(cost, cost, found, RATIO_TARGETS[listener][cost]))
        if cost == UNARY:
            name = f"unary call, {load.concurrency} at a time"
            informative.append(_pair(name, "ms, p50", found, lambda outcome: outcome.latency_ms.p50))
            informative.append(_pair(name, "ms, p99", found, lambda outcome: outcome.latency_ms.p99))
        if cost == BURST:
            name = f"burst stream of {EVENTS_PER_STREAM} tokens"
            informative.append(_pair(name, "messages", found, lambda outcome: outcome.deltas / outcome.calls))
    return [*rows, *informative]


def first_content_rows(plan: Plan, reference: Server, candidate: Server, upstream: Server) -> list[Row]:
    """What is added to the time to first content, against asking the upstream itself."""
    names = {plan.first_content: "first content", plan.late: "first content, sent with the head"}
    rows = []
    for load, name in names.items():
        sides = Side(upstream, replace(load, http=True)), Side(reference, load), Side(candidate, load)
        found = rounds(plan.rounds, upstream, *sides)
        row = Row(
            f"{name}, added to a direct call",
            "ms, p50",
            paceline=median(found, _added(2)),
            other=median(found, _added(1)),
            judged_unit=" ms",
            target=ADDED_FIRST_CONTENT_MS,
        )
        rows.append(judge(row, found, _added(2)))
        rows.append(_pair(name, "ms, p99", found, lambda outcome: outcome.first_content_ms.p99, ours=2))
    return rows


def _added(side: int) -> Figure:
    return lambda outcomes: outcomes[side].first_content_ms.p50 - outcomes[0].first_content_ms.p50


def _pair(name: str, unit: str, found: list[Round], figure: Callable[[Outcome], float], ours: int = 1) -> Row:
    """What is told but not judged; the reference comes just before Paceline."""
    return Row(
        name,
        unit,
        paceline=median(found, lambda outcomes: figure(outcomes[ours])),
        other=median(found, lambda outcomes: figure(outcomes[ours - 1])),
    )
