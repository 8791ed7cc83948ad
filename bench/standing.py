"""What a server costs beside its work: memory, time to start, and what must not grow with what it holds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import grpc
from grpc_health.v1 import health_pb2

from bench.generator import holding, run
from bench.plan import (
    BURST,
    COLD_START_SECONDS,
    FLATNESS,
    IDLE_MB,
    OPEN_STREAM_KB,
    PACED,
    UNARY,
    Plan,
)
from bench.processes import Server, resident_bytes
from bench.rounds import Side, cost_row, rounds
from bench.row import Row

SETTLING_SECONDS = 0.5
HEALTH_TIMEOUT = 10.0
MEGABYTE = 1e6
KILOBYTE = 1e3

Start = Callable[[int], AbstractContextManager[Server]]
"""Starts Paceline with so many names."""


def idle_row(server: Server, reference: Server) -> Row:
    """The memory of a server that has not been called yet."""
    idle = resident_bytes(server.pid) / MEGABYTE
    bare = resident_bytes(reference.pid) / MEGABYTE
    return Row("memory, idle", "MB", idle, bare, idle, " MB", target=IDLE_MB)


def cold_start_row(plan: Plan, start: Start) -> Row:
    """From the start of the process to its first good answer to a health check."""
    seconds = []
    for _ in range(plan.cold_starts):
        with start(plan.few_names) as server:
            seconds.append(_seconds_until_healthy(server))
    typical = statistics.median(seconds)
    return Row(
        "cold start",
        "s",
        typical,
        judged=typical,
        judged_unit=" s",
        within=(min(seconds), max(seconds)),
        target=COLD_START_SECONDS,
    )


def names_row(plan: Plan, few: Server, start: Start, upstream: Server) -> Row:
    """The cost of a call with many configured names, all of them asked for, against that with few."""
    load = replace(plan.loads[UNARY], calls=plan.names_calls)
    with start(plan.many_names) as many:
        found = rounds(
            plan.rounds,
            upstream,
            Side(few, replace(load, names=plan.few_names)),
            Side(many, replace(load, names=plan.many_names)),
        )
    name = f"unary call, {plan.many_names:,} names against {plan.few_names}"
    return cost_row(name, UNARY, found, FLATNESS)


def open_stream_rows(plan: Plan, alone: Server, start: Start, upstream: Server) -> list[Row]:
    """The memory of open streams, and what calls and tokens cost beside them against beside a single one.

    A few calls go before, so that what any first call loads is not counted.
    """
    count = plan.open_streams
    with start(plan.few_names) as crowded:
        for server in (alone, crowded):
            run(server, plan.loads[BURST], upstream)
        before = resident_bytes(crowded.pid)
        with holding(alone, 1), holding(crowded, count):
            time.sleep(SETTLING_SECONDS)
            held = (resident_bytes(crowded.pid) - before) / count / KILOBYTE
            name = f"memory, one of {count:,} streams"
            rows = [Row(name, "kB", held, None, held, " kB", target=OPEN_STREAM_KB)]
            for cost in (UNARY, PACED):
                load = plan.loads[cost]
                if cost == PACED:
                    # What a token costs depends on which come together: a few percent need more streams.
                    load = replace(load, calls=2 * load.calls)
                found = rounds(plan.rounds, upstream, Side(alone, load), Side(crowded, load))
                rows.append(
                    cost_row(f"{cost}, beside {count:,} open streams against 1", cost, found, FLATNESS)
                )
    return rows


def _seconds_until_healthy(server: Server) -> float:
    start = time.monotonic()
    with grpc.insecure_channel(server.address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        answer = check(health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT, wait_for_ready=True)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise RuntimeError(f"the server says of itself: {answer.status}")
    return server.start_seconds + time.monotonic() - start
