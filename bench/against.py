"""Paceline on each listener against another gateway: how many times less a call and a token cost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.gateway import paceline
from bench.peers import serving_peer
from bench.plan import COSTS, PEER_TARGETS, TOKENS_PER_CALL, Plan
from bench.processes import Server
from bench.rounds import Round, Side, judge, median, rounds
from bench.row import Row


def peer_rows(
    plan: Plan, name: str, listeners: Sequence[str], upstream: Server, folder: Path
) -> tuple[str, list[Row]]:
    """Measure a peer; gives its name with its version, and the figures.

    Raises:
        Missing: It cannot be installed, or does not start.
    """
    with ExitStack() as stack:
        peer, server = stack.enter_context(serving_peer(name, upstream, folder))
        ours = [stack.enter_context(paceline(listener, upstream, folder)) for listener in listeners]
        rows = []
        for cost in COSTS:
            load = plan.peer_loads[cost]
            theirs = Side(server, replace(load, http=True, headers=peer.headers))
            found = rounds(
                plan.peer_rounds, upstream, theirs, *(Side(each, plan.loads[cost]) for each in ours)
            )
            rows += [
                _row(cost, listener, found, side, PEER_TARGETS[name][listener].get(cost))
                for side, listener in enumerate(listeners, start=1)
            ]
    return peer.title, rows


def _row(cost: str, listener: str, found: Sequence[Round], side: int, target: float | None) -> Row:
    tokens = TOKENS_PER_CALL[cost]
    row = Row(
        f"{cost}, {listener}",
        "us of CPU",
        paceline=median(found, lambda outcomes: outcomes[side].cpu_us) / tokens,
        other=median(found, lambda outcomes: outcomes[0].cpu_us) / tokens,
        target=target,
        at_least=True,
    )
    return judge(row, found, lambda outcomes: outcomes[0].cpu_us / outcomes[side].cpu_us)
