"""What a run measures, how much of it, and what the figures must reach.

The targets are ratios to the bare reference where they are about work, because absolute figures drift
from machine to machine and from minute to minute.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.answers import EVENTS_PER_STREAM, Model
from bench.load import Load

UNARY = "unary call"
BURST = "burst token"
PACED = "paced token"
FIRST_CONTENT = "first content"


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        loads: By the name of the figure.
        few_names: The names of the configuration that all else is measured with.
        many_names: The names of the other one.
    """

    rounds: int
    loads: dict[str, Load]
    few_names: int
    many_names: int
    names_calls: int
    open_streams: int
    cold_starts: int


FULL = Plan(
    rounds=3,
    loads={
        UNARY: Load(Model.UNARY, concurrency=32, warm_up=400, calls=3000),
        BURST: Load(Model.BURST, concurrency=32, warm_up=64, calls=960),
        PACED: Load(Model.PACED, concurrency=16, warm_up=16, calls=48),
        FIRST_CONTENT: Load(Model.STAMPED, concurrency=1, warm_up=30, calls=300),
    },
    few_names=10,
    many_names=1000,
    names_calls=3000,
    open_streams=500,
    cold_starts=5,
)

QUICK = Plan(
    rounds=1,
    loads={
        UNARY: Load(Model.UNARY, concurrency=8, warm_up=8, calls=64),
        BURST: Load(Model.BURST, concurrency=8, warm_up=8, calls=16),
        PACED: Load(Model.PACED, concurrency=4, warm_up=0, calls=4),
        FIRST_CONTENT: Load(Model.STAMPED, concurrency=1, warm_up=2, calls=8),
    },
    few_names=2,
    many_names=20,
    names_calls=64,
    open_streams=20,
    cold_starts=1,
)

TOKENS_PER_CALL = {UNARY: 1, BURST: EVENTS_PER_STREAM, PACED: EVENTS_PER_STREAM}
"""By what the CPU time of a call is divided."""

RATIO_TARGETS = {UNARY: 1.6, BURST: 1.7, PACED: 1.25}
ADDED_FIRST_CONTENT_MS = 1.0
NAMES_RATIO = 1.1
IDLE_MB = 90.0
OPEN_STREAM_KB = 60.0
COLD_START_SECONDS = 1.5
