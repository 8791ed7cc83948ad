"""Comparing on a machine that others use too: all take turns, and medians over the rounds are judged."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.generator import Load, Outcome, run
from bench.plan import TOKENS_PER_CALL
from bench.processes import Server
from bench.row import Row


@dataclass(frozen=True)
class Side:
    """One of those that are compared: a load on a server."""

    server: Server
    load: Load


Round = Sequence[Outcome]
"""What each side gave, in the order of the sides."""


def rounds(count: int, upstream: Server, *sides: Side) -> list[Round]:
    """Run all sides `count` times, every other time in the opposite order, so that a drift favours none."""
    found: list[Round] = []
    for index in range(count):
        order = list(range(len(sides)))[:: -1 if index % 2 else 1]
        outcomes = {turn: run(sides[turn].server, sides[turn].load, upstream) for turn in order}
        found.append([outcomes[turn] for turn in range(len(sides))])
    return found


Figure = Callable[[Round], float]
"""Makes one number of a round."""


def median(found: Sequence[Round], figure: Figure) -> float:
    """The median of a figure over the rounds: what a neighbour did to one round decides nothing."""
    return statistics.median(figure(outcomes) for outcomes in found)


def judge(row: Row, found: Sequence[Round], figure: Figure) -> Row:
    """The row, judged by the median of a figure, with how far the rounds lie apart."""
    figures = [figure(outcomes) for outcomes in found]
    return replace(row, judged=statistics.median(figures), within=(min(figures), max(figures)))


def cost_row(name: str, cost: str, found: Sequence[Round], target: float) -> Row:
    """CPU time against a baseline's; the rounds hold the baseline first.

    Args:
        cost: One of `bench.plan.COSTS`.
    """
    tokens = TOKENS_PER_CALL[cost]
    row = Row(
        name,
        "us of CPU",
        paceline=median(found, lambda outcomes: outcomes[1].cpu_us) / tokens,
        other=median(found, lambda outcomes: outcomes[0].cpu_us) / tokens,
        target=target,
    )
    return judge(row, found, lambda outcomes: outcomes[1].cpu_us / outcomes[0].cpu_us)
