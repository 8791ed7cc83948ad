"""The load generator, in a process of its own: calls one server and reads that server's CPU clock.

Every answer is checked, so that a fast wrong one cannot win. Run as `python -m bench.load` with the
options below; it prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass

import grpc.aio
import uvloop

from bench.answers import EVENTS_PER_STREAM, WORD, Model
from bench.processes import cpu_seconds
from paceline.v1 import chain_pb2, chain_pb2_grpc, completion_pb2

DEADLINE = 60.0
PROMPT = "Say in one sentence what a gateway in front of language models is good for, and for whom."
NANOS_PER_MILLISECOND = 1_000_000


@dataclass(frozen=True)
class Load:
    """What one run of the generator does.

    Attributes:
        names: How many configured names are asked in turn; 0 asks the target itself.
    """

    model: Model
    concurrency: int
    warm_up: int
    calls: int
    names: int = 0

    def requests(self) -> list[chain_pb2.ChainRequest]:
        """The requests that are made in turn."""
        specs = [f"name-{index}" for index in range(self.names)] or [f"mock/{self.model.value}"]
        part = completion_pb2.Part(text=completion_pb2.Text(text=PROMPT))
        message = completion_pb2.Message(role=completion_pb2.ROLE_USER, parts=[part])
        prompt = completion_pb2.Prompt(messages=[message])
        return [chain_pb2.ChainRequest(model=spec, prompt=prompt) for spec in specs]


@dataclass(frozen=True)
class Outcome:
    """What one run of the generator found.

    Attributes:
        cpu_us: CPU time of the server for each call, in microseconds.
        latency_ms: Median time from the call's start to the answer's end.
        first_content_ms: Of stamped streams: median time to the first content, without the upstream's share.
    """

    calls: int
    cpu_us: float
    latency_ms: float
    first_content_ms: float = 0.0


class Generator:
    """Makes the calls of one load."""

    def __init__(self, stub: chain_pb2_grpc.ChainServiceAsyncStub, load: Load) -> None:
        """Call through `stub`."""
        self._stub = stub
        self._load = load
        self._requests = itertools.cycle(load.requests())
        self._one: Callable[[], Awaitable[float]] = {
            Model.UNARY: self._unary,
            Model.STAMPED: self._stamped,
        }.get(load.model, self._stream)
        self.latencies: list[float] = []
        self.first_contents: list[float] = []

    async def run(self, count: int) -> None:
        """Make `count` calls, so many at a time as the load says."""
        self.latencies.clear()
        self.first_contents.clear()
        turns = iter(range(count))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._load.concurrency):
                group.create_task(self._call_in_turn(turns))

    async def _call_in_turn(self, turns: Iterator[int]) -> None:
        for _ in turns:
            self.latencies.append(await self._one())

    async def _unary(self) -> float:
        start = time.monotonic_ns()
        response = await self._stub.Chain(next(self._requests), timeout=DEADLINE)
        end = time.monotonic_ns()
        _check(response.completion.parts[0].text.text.startswith("word "), response)
        _check(response.completion.usage.output_token_count > 0, response)
        return (end - start) / NANOS_PER_MILLISECOND

    async def _stream(self) -> float:
        start = time.monotonic_ns()
        length = 0
        finished = None
        async for event in self._stub.StreamChain(next(self._requests), timeout=DEADLINE):
            if event.HasField("delta"):
                length += len(event.delta.text.text)
            elif event.HasField("finished"):
                finished = event.finished
        end = time.monotonic_ns()
        _check(length == EVENTS_PER_STREAM * len(WORD), length)
        _check(finished is not None and len(finished.completion.parts[0].text.text) == length, finished)
        return (end - start) / NANOS_PER_MILLISECOND

    async def _stamped(self) -> float:
        start = time.monotonic_ns()
        async for event in self._stub.StreamChain(next(self._requests), timeout=DEADLINE):
            if event.HasField("delta"):
                end = time.monotonic_ns()
                received_at, written_at = map(int, event.delta.text.text.split())
                waited = end - start - (written_at - received_at)
                self.first_contents.append(waited / NANOS_PER_MILLISECOND)
        return (time.monotonic_ns() - start) / NANOS_PER_MILLISECOND


def _check(right: bool, found: object) -> None:  # noqa: FBT001 - reads as an assertion
    if not right:
        raise SystemExit(f"a wrong answer: {found}")


async def _measure(address: str, pid: int, load: Load) -> Outcome:
    async with grpc.aio.insecure_channel(address) as channel:
        generator = Generator(chain_pb2_grpc.ChainServiceStub(channel), load)
        await generator.run(load.warm_up)
        before = cpu_seconds(pid)
        await generator.run(load.calls)
        spent = cpu_seconds(pid) - before
        return Outcome(
            calls=load.calls,
            cpu_us=spent * 1e6 / load.calls,
            latency_ms=statistics.median(generator.latencies),
            first_content_ms=statistics.median(generator.first_contents or [0.0]),
        )


def main() -> None:
    """Run one load."""
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("address")
    parser.add_argument("pid", type=int, help="the server, whose CPU time is read")
    parser.add_argument("model", type=Model)
    for name in ("concurrency", "warm_up", "calls", "names"):
        parser.add_argument(name, type=int)
    options = vars(parser.parse_args())
    address, pid = options.pop("address"), options.pop("pid")
    print(json.dumps(asdict(uvloop.run(_measure(address, pid, Load(**options))))))


if __name__ == "__main__":
    main()
