"""What racing gains and costs: a simulated workload, CPU time through the server, and times over sockets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median as middle
from textwrap import fill

from bench.curves import curves
from bench.gateway import LISTENERS, racing
from bench.generator import Load, Model, Spread, run
from bench.plan import (
    HEDGED_STARTS,
    HEDGED_TAIL,
    LOSER_MS,
    RACE_RATIO,
    STREAM,
    UNARY,
    WINNER_MS,
    Plan,
)
from bench.processes import Server
from bench.rounds import Round, Side, judge, median, rounds
from bench.row import Row, number
from bench.simulation import (
    CALLS_PER_SECOND,
    HEDGED,
    MEDIAN,
    SIGMA,
    SINGLE,
    STALL_SECONDS,
    STALL_SHARE,
    STRATEGIES,
    Sample,
    simulate,
)
from paceline_server.providers.simulated_answer import DEFAULT_ANSWER

LINE_LENGTH = 104
OTHER = "one call"
"""What races are compared with."""

Samples = dict[str, Sample]


@dataclass(frozen=True)
class Races:
    """What the section on races is made of.

    Attributes:
        curves: The drawing of the simulated workload.
    """

    rows: Sequence[Row]
    text: str
    curves: str


def races(plan: Plan, upstream: Server, folder: Path) -> Races:
    """Measure them on each listener."""
    found = [simulate(seed, plan.simulated_calls) for seed in plan.seeds]
    rows = _simulated_rows(found)
    times: list[str] = []
    with ExitStack() as stack:
        for listener in LISTENERS:
            server = stack.enter_context(racing(listener, upstream, folder))
            rows += _cost_rows(plan, listener, server, upstream)
            timed, lines = _timed(plan, listener, server, upstream)
            rows += timed
            times += lines
    pooled = {name: [one for each in found for one in each[name].seconds] for name in STRATEGIES}
    drawing = curves("Share of calls that wait longer for their first content", pooled)
    return Races(rows, "\n".join([_workload(plan, found), "", *_TIMES_HEAD, *times]), drawing)


def _simulated_rows(found: Sequence[Samples]) -> list[Row]:
    def row(name: str, unit: str, figure: str, target: float) -> Row:
        own, single = ([_figure(each[side], figure) for each in found] for side in (HEDGED, SINGLE))
        ratios = [mine / other for mine, other in zip(own, single, strict=True)]
        return Row(
            name,
            unit,
            middle(own),
            middle(single),
            judged=middle(ratios),
            within=(min(ratios), max(ratios)),
            target=target,
        )

    starts = float(max(each[HEDGED].benched_start_count for each in found))
    return [
        row("hedged at 0.95, first content, p99", "s", "p99", HEDGED_TAIL),
        row("hedged at 0.95, started calls", "a call", "started", HEDGED_STARTS),
        Row("hedged at 0.95, starts of benched targets", "in all", starts, judged=starts, target=0),
    ]


def _figure(sample: Sample, figure: str) -> float:
    return sample.started_per_call if figure == "started" else sample.quantile(float(figure[1:]) / 100)


def _workload(plan: Plan, found: Sequence[Samples]) -> str:
    """The workload in words, and what each strategy came to."""
    words = (
        f"Simulated, in virtual time: {plan.simulated_calls:,} streamed calls with each strategy and each of "
        f"{len(plan.seeds)} seeds, {CALLS_PER_SECOND:g} a second at random moments. Times to first content "
        f"are log-normal, median {MEDIAN:g} s, sigma {SIGMA:g}; "
        f"{STALL_SHARE:.0%} of a provider's calls stall for {STALL_SECONDS:g} s. "
        "Engines, budgets and what is learnt are the server's, with its defaults. "
        "Only the clock of the event loop jumps, so that the figures are exact and say nothing of the "
        "machine. No call is left out: while nothing is known of a target, a hedge waits for the greatest "
        "delay, 2 s. Medians over the seeds. The cost is that with providers which bill what they wrote "
        "until they were cancelled; one that goes on with it bills each started call whole."
    )
    lines = [
        fill(words, LINE_LENGTH),
        "",
        "| strategy | first content, p50 | p95 | p99 | started calls a call | cost over single |",
        "|----------|--------------------|-----|-----|----------------------|------------------|",
    ]
    for name in STRATEGIES:
        of = [each[name] for each in found]
        quantiles = [f"{middle(one.quantile(q) for one in of):.2f} s" for q in (0.5, 0.95, 0.99)]
        started = middle(one.started_per_call for one in of)
        cost = middle(each[name].cost_nano_usd / each[SINGLE].cost_nano_usd for each in found)
        lines.append(f"| {name} | {' | '.join(quantiles)} | {started:.3f} | {cost:.3f} |")
    return "\n".join(lines)


def _cost_rows(plan: Plan, listener: str, server: Server, upstream: Server) -> list[Row]:
    """CPU time of a race of three, and of a chain of two, against a chain of one; nothing has latency."""
    unary = replace(plan.race_loads[UNARY], text=DEFAULT_ANSWER)
    stream = replace(plan.race_loads[STREAM], text=DEFAULT_ANSWER)
    whole, words = ([f"{provider}/{name}" for name in "abc"] for provider in ("whole", "words"))
    rows: list[Row] = []
    for label, load, specs in (
        ("unary", unary, whole),
        ("a stream of single tokens", stream, words),
        ("a stream of one delta", stream, whole),
    ):
        one = replace(load, specs=(specs[0],))
        two = replace(load, specs=(",".join(specs[:2]),))
        three = replace(load, specs=tuple(specs), race=True)
        found = rounds(plan.rounds, upstream, *(Side(server, each) for each in (one, two, three)))
        rows.append(_over_one(f"race of 3, {label}, {listener}", found, 2, RACE_RATIO))
        rows.append(_over_one(f"chain of 2, {label}, {listener}", found, 1, None))
    return rows


def _over_one(name: str, found: Sequence[Round], side: int, target: float | None) -> Row:
    row = Row(
        name,
        "us of CPU",
        paceline=median(found, lambda outcomes: outcomes[side].cpu_us),
        other=median(found, lambda outcomes: outcomes[0].cpu_us),
        target=target,
    )
    return judge(row, found, lambda outcomes: outcomes[side].cpu_us / outcomes[0].cpu_us)


def _timed(plan: Plan, listener: str, server: Server, upstream: Server) -> tuple[list[Row], list[str]]:
    """Races over sockets between an answer after 20 ms and one after 400 ms, one at a time."""
    rows: list[Row] = []
    lines: list[str] = []
    for model, kind in ((Model.WHOLE, "unary"), (Model.EARLY, "streamed")):
        specs = (f"mock/{model.value}", "mock/tardy")
        load = Load(model, concurrency=1, warm_up=3, calls=plan.timed_races, specs=specs, race=True)
        raced = run(server, load, upstream).raced
        rows.append(_late(f"winner's answer, {kind}, {listener}", raced.returned_ms, WINNER_MS))
        rows.append(_late(f"loser's connection closed, {kind}, {listener}", raced.closed_ms, LOSER_MS))
        spreads = (raced.first_ms, raced.returned_ms, raced.closed_ms)
        lines.append(f"| {kind}, {listener} | {' | '.join(map(_spread, spreads))} |")
    return rows, lines


def _late(name: str, spread: Spread, target: float) -> Row:
    return Row(name, "ms, p99", spread.p99, judged=spread.p99, judged_unit=" ms", target=target)


def _spread(spread: Spread) -> str:
    return " / ".join(number(value) for value in (spread.p50, spread.p99, spread.max))


_TIMES_HEAD = (
    fill(
        "CPU time: targets without latency, whose answers have some sixty words, 16 calls at a time. In a "
        "chain of two the first answers, and the second is there for when it is slow. A stream of single "
        "tokens has a delta a token; those that come while a race is being decided are written together.",
        LINE_LENGTH,
    ),
    "",
    fill(
        "Over sockets: an answer after 20 ms races one after 400 ms, one race at a time. Milliseconds since "
        "the upstream wrote the winner's answer, before the race is decided, p50 / p99 / max:",
        LINE_LENGTH,
    ),
    "",
    "| races | first delta, or answer | end of the call | end of the loser's connection, upstream |",
    "|-------|------------------------|-----------------|-----------------------------------------|",
)
