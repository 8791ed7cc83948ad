"""What a call and a token cost against the bare reference, and what latency a call gains on its way."""

from __future__ import annotations

from dataclasses import replace

from bench.generator import Load
from bench.plan import ADDED_FIRST_CONTENT_MS, COSTS, RATIO_TARGETS, UNARY, Plan
from bench.processes import Server
from bench.rounds import Round, Side, cost_row, median, rounds
from bench.row import Row


def cost_rows(plan: Plan, listener: str, reference: Server, candidate: Server, upstream: Server) -> list[Row]:
    """The figures in CPU time, and the latency of the unary calls that they were taken from."""
    rows: list[Row] = []
    latencies: list[Row] = []
    for cost in COSTS:
        load = plan.loads[cost]
        found = rounds(plan.rounds, upstream, Side(reference, load), Side(candidate, load))
        rows.append(cost_row(cost, cost, found, RATIO_TARGETS[listener][cost]))
        if cost == UNARY:
            latencies = _latency_rows(found, load)
    return [*rows, *latencies]


def first_content_rows(plan: Plan, reference: Server, candidate: Server, upstream: Server) -> list[Row]:
    """What is added to the time to first content, against asking the upstream itself."""
    names = {plan.first_content: "first content", plan.late: "first content, sent with the head"}
    rows = []
    for load, name in names.items():
        sides = Side(upstream, replace(load, http=True)), Side(reference, load), Side(candidate, load)
        found = rounds(plan.rounds, upstream, *sides)
        rows += [
            Row(
                f"{name}, added to a direct call",
                "ms, p50",
                paceline=_added(found, 2),
                other=_added(found, 1),
                judged=_added(found, 2),
                judged_unit=" ms",
                target=ADDED_FIRST_CONTENT_MS,
            ),
            Row(
                name,
                "ms, p99",
                paceline=median(found, lambda outcomes: outcomes[2].first_content_ms.p99),
                other=median(found, lambda outcomes: outcomes[1].first_content_ms.p99),
            ),
        ]
    return rows


def _added(found: list[Round], side: int) -> float:
    return median(
        found, lambda outcomes: outcomes[side].first_content_ms.p50 - outcomes[0].first_content_ms.p50
    )


def _latency_rows(found: list[Round], load: Load) -> list[Row]:
    name = f"unary call, {load.concurrency} at a time"
    return [
        Row(
            name,
            "ms, p50",
            paceline=median(found, lambda outcomes: outcomes[1].latency_ms.p50),
            other=median(found, lambda outcomes: outcomes[0].latency_ms.p50),
        ),
        Row(
            name,
            "ms, p99",
            paceline=median(found, lambda outcomes: outcomes[1].latency_ms.p99),
            other=median(found, lambda outcomes: outcomes[0].latency_ms.p99),
        ),
    ]
