"""What a server costs before and beside its work: memory when idle, memory for a stream, time to start."""

from __future__ import annotations

import asyncio
import time

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from bench.answers import Model
from bench.load import DEADLINE, Generator, Load
from bench.processes import Server, resident_bytes
from paceline.v1 import chain_pb2_grpc

SETTLING_SECONDS = 0.5
HEALTH_TIMEOUT = 10.0


async def bytes_per_open_stream(server: Server, count: int) -> float:
    """Open `count` streams that stall after their first token; how much memory each of them holds.

    A few unary calls go before, so that what any first call loads is not counted.
    """
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = chain_pb2_grpc.ChainServiceStub(channel)
        warm_up = Load(Model.BURST, concurrency=8, warm_up=0, calls=0)
        await Generator(stub, warm_up).run(32)
        before = resident_bytes(server.pid)
        request = Load(Model.STALLED, concurrency=count, warm_up=0, calls=count).requests()[0]
        calls = [stub.StreamChain(request, timeout=DEADLINE) for _ in range(count)]
        for call in calls:
            async for event in call:
                if event.HasField("delta"):
                    break
        await asyncio.sleep(SETTLING_SECONDS)
        held = resident_bytes(server.pid) - before
        for call in calls:
            call.cancel()
        await asyncio.sleep(SETTLING_SECONDS)
    return held / count


def seconds_until_healthy(server: Server) -> float:
    """From the start of the server's process to its first good answer to a health check."""
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
