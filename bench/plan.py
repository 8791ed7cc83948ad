"""What a run measures, how much of it, and what the figures must reach.

The targets are ratios to the bare reference where they are about work, because absolute figures drift
from machine to machine and from minute to minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.generator import EVENTS_PER_STREAM, Load, Model

UNARY = "unary call"
BURST = "burst token"
PACED = "paced token"

STREAM = "stream"

COSTS = (UNARY, BURST, PACED)
"""The figures that are CPU time, by what it is divided by."""

TOKENS_PER_CALL = {UNARY: 1, BURST: EVENTS_PER_STREAM, PACED: EVENTS_PER_STREAM}


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        loads: Those of `COSTS`.
        first_content: One stream at a time whose head comes before its first content; `late`: with it.
        timed: Paced streams whose events tell when they were written; `lockstep`: see bench/load/lockstep.go.
        few_names: The names of the configuration that all else is measured with.
        peer_loads: As `loads`, but less, for peers take several times as long.
        open_streams: How many are held open for what must not depend on them.
        seeds: Of the simulated races; each is a run of `simulated_calls` calls with each strategy.
        race_loads: What a race's own cost is measured with; who is asked is said where that is done.
        timed_races: How many races between an early and a tardy answer, of each kind.
    """

    rounds: int
    loads: Mapping[str, Load]
    first_content: Load
    late: Load
    timed: Load
    lockstep: Load
    peer_rounds: int
    peer_loads: Mapping[str, Load]
    few_names: int
    many_names: int
    names_calls: int
    open_streams: int
    cold_starts: int
    seeds: Sequence[int]
    simulated_calls: int
    race_loads: Mapping[str, Load]
    timed_races: int


FULL = Plan(
    rounds=5,
    loads={
        UNARY: Load(Model.UNARY, concurrency=32, warm_up=400, calls=3000),
        BURST: Load(Model.BURST, concurrency=32, warm_up=64, calls=960),
        PACED: Load(Model.PACED, concurrency=16, warm_up=16, calls=32),
    },
    first_content=Load(Model.STAMPED, concurrency=1, warm_up=30, calls=300),
    late=Load(Model.LATE, concurrency=1, warm_up=30, calls=300),
    timed=Load(Model.TIMED, concurrency=16, warm_up=16, calls=32),
    lockstep=Load(Model.LOCKSTEP, concurrency=16, warm_up=0, calls=32),
    peer_rounds=3,
    peer_loads={
        UNARY: Load(Model.UNARY, concurrency=32, warm_up=400, calls=800),
        BURST: Load(Model.BURST, concurrency=32, warm_up=64, calls=96),
        PACED: Load(Model.PACED, concurrency=16, warm_up=16, calls=32),
    },
    few_names=10,
    many_names=10_000,
    names_calls=10_000,
    open_streams=2000,
    cold_starts=5,
    seeds=range(1, 11),
    simulated_calls=3000,
    race_loads={
        UNARY: Load(Model.UNARY, concurrency=16, warm_up=200, calls=2000),
        STREAM: Load(Model.BURST, concurrency=16, warm_up=100, calls=1000),
    },
    timed_races=100,
)

QUICK = Plan(
    rounds=1,
    loads={
        UNARY: Load(Model.UNARY, concurrency=8, warm_up=8, calls=64),
        BURST: Load(Model.BURST, concurrency=8, warm_up=8, calls=16),
        PACED: Load(Model.PACED, concurrency=4, warm_up=0, calls=4),
    },
    first_content=Load(Model.STAMPED, concurrency=1, warm_up=2, calls=8),
    late=Load(Model.LATE, concurrency=1, warm_up=2, calls=8),
    timed=Load(Model.TIMED, concurrency=4, warm_up=0, calls=4),
    lockstep=Load(Model.LOCKSTEP, concurrency=4, warm_up=0, calls=4),
    peer_rounds=1,
    peer_loads={
        UNARY: Load(Model.UNARY, concurrency=8, warm_up=8, calls=16),
        BURST: Load(Model.BURST, concurrency=4, warm_up=4, calls=4),
        PACED: Load(Model.PACED, concurrency=4, warm_up=0, calls=4),
    },
    few_names=2,
    many_names=20,
    names_calls=64,
    open_streams=20,
    cold_starts=1,
    seeds=(1,),
    simulated_calls=300,
    race_loads={
        UNARY: Load(Model.UNARY, concurrency=8, warm_up=8, calls=64),
        STREAM: Load(Model.BURST, concurrency=8, warm_up=8, calls=16),
    },
    timed_races=3,
)

RATIO_TARGETS: Mapping[str, Mapping[str, float]] = {
    "grpcio": {UNARY: 1.6, BURST: 1.7, PACED: 1.25},
    "native": {UNARY: 2.0, BURST: 1.7, PACED: 1.25},
}
"""CPU time over that of the reference with the same listener, at most."""

ADDED_FIRST_CONTENT_MS = 1.0
TRANSIT_MS = 1.0
"""From the upstream's write of an event to the client's read of its delta, at the median."""

FLATNESS = 1.1
IDLE_MB = 90.0
OPEN_STREAM_KB = 60.0
COLD_START_SECONDS = 1.5

RACE_RATIO = 3.3
"""CPU time of a race of three over that of one chain call, at most."""

HEDGED_TAIL = 0.5
HEDGED_STARTS = 1.1
"""Of hedging at the 0.95 quantile: the 0.99 quantile of the time to first content, and the started calls,
over those of single calls, at most."""

WINNER_MS = 20.0
LOSER_MS = 50.0
"""From the upstream's write of the winner's answer until its call has ended for the caller, and until the
upstream sees the end of the loser's connection; at the 0.99 quantile, at most."""

PEER_TARGETS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "litellm": {"grpcio": {UNARY: 12.0, PACED: 4.0}, "native": {UNARY: 50.0, PACED: 6.0}},
    "portkey": {
        "grpcio": {UNARY: 1.8, BURST: 2.0, PACED: 1.0},
        "native": {UNARY: 7.0, BURST: 2.0, PACED: 1.8},
    },
}
"""The peer's CPU time over Paceline's, at least."""
