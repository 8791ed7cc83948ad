"""Through a whole gateway: what recorded answers are billed at, against the sum made from their bytes.

Each class of tokens has a price of its own, all prime, so that no other way of counting makes the same sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from paceline.v1 import completion_pb2
from tests.built import Built, built
from tests.providers import anthropic_reading, gemini_reading, openai_reading
from tests.providers.recordings_reader import Recording, print_counts, required_corpus
from tests.providers.replay import Exchange, ReplayServer, replaying
from tests.rpc.gateway import ask

INPUT, CACHED, WRITTEN, OUTPUT = 1009, 1013, 1019, 1021
"""USD for a million tokens, so a thousand times as many 1e-9 USD for one."""

CONFIGURATION = """
log: {{level: error}}
attempts: {{transient_retry_count: 0}}
health: {{failure_threshold: 1000000000}}
providers:
  openai: {{format: openai, base_url: "{url}/v1", targets: {targets}}}
  anthropic: {{format: anthropic, base_url: "{url}", targets: {targets}}}
  gemini: {{format: gemini, base_url: "{url}", targets: {targets}}}
"""
TARGETS = (
    f"{{m: {{price: {{input_usd_per_million: {INPUT}, cached_input_usd_per_million: {CACHED}, "
    f"cache_write_usd_per_million: {WRITTEN}, output_usd_per_million: {OUTPUT}}}}}}}"
)
OTHER_TOTALS = {
    "mistral--chat-completions--unary--models-mistral-voxtral-small-latest-can-understand-mp3-audio-53b7ba": (
        "audio is counted in the total alone, and billed by the second"
    )
}
"""Answers whose provider's own total is not that of input and output, and why."""


@dataclass(frozen=True)
class Told:
    """What the bytes say, each token in one class; the total and the cost only if they are there."""

    plain: int
    cached: int
    written: int
    output: int
    reasoning: int
    total: int | None = None
    cost_usd: float | None = None

    @property
    def cost_nano_usd(self) -> int:
        """What it must cost: what the provider says, or else the sum of the classes."""
        if self.cost_usd is not None:
            return round(self.cost_usd * 10**9)
        classes = (self.plain * INPUT, self.cached * CACHED, self.written * WRITTEN, self.output * OUTPUT)
        return sum(classes) * 1000


def _told_by_openai(recording: Recording) -> Told | None:
    told = openai_reading.read_slowly(recording).usage
    if told is None:
        return None
    details = told.get("prompt_tokens_details") or {}
    places = (
        details.get("cached_tokens"),
        told.get("prompt_cache_hit_tokens"),
        told.get("cached_tokens"),
        told.get("num_cached_tokens"),
    )
    cached = next((count for count in places if count is not None), 0)
    written = details.get("cache_write_tokens") or 0
    cost = told.get("cost")
    if cost is not None and told.get("is_byok"):
        cost += told["cost_details"]["upstream_inference_cost"] or 0
    return Told(
        plain=told["prompt_tokens"] - cached - written,
        cached=cached,
        written=written,
        output=told["completion_tokens"],
        reasoning=(told.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0,
        total=told["total_tokens"],
        cost_usd=cost,
    )


def _told_by_anthropic(recording: Recording) -> Told | None:
    told = anthropic_reading.read_slowly(recording).usage
    return Told(
        plain=told["input_tokens"],
        cached=told.get("cache_read_input_tokens", 0),
        written=told.get("cache_creation_input_tokens", 0),
        output=told["output_tokens"],
        reasoning=told.get("output_tokens_details", {}).get("thinking_tokens", 0),
    )


def _told_by_gemini(recording: Recording) -> Told | None:
    told = gemini_reading.read_slowly(recording).usage
    if not told:
        return None
    cached, thoughts = told.get("cachedContentTokenCount", 0), told.get("thoughtsTokenCount", 0)
    return Told(
        plain=told["promptTokenCount"] + told.get("toolUsePromptTokenCount", 0) - cached,
        cached=cached,
        written=0,
        output=told.get("candidatesTokenCount", 0) + thoughts,
        reasoning=thoughts,
        total=told["totalTokenCount"],
    )


@dataclass(frozen=True)
class Format:
    """One wire format: its recordings, and what their bytes say of usage."""

    recordings_in: Callable[[Path], list[Recording]]
    told_by: Callable[[Recording], Told | None]


FORMATS: Mapping[str, Format] = {
    "openai": Format(openai_reading.chat_recordings, _told_by_openai),
    "anthropic": Format(anthropic_reading.message_recordings, _told_by_anthropic),
    "gemini": Format(gemini_reading.gemini_recordings, _told_by_gemini),
}


class Playing:
    """A provider that answers with one recording at a time."""

    recording: Recording

    async def __call__(self, exchange: Exchange) -> None:
        """Answer with it."""
        await exchange.head(self.recording.status, self.recording.headers)
        await exchange.chunks(self.recording.body)
        await exchange.end()


async def _answered(gate: Built, name: str, *, streamed: bool) -> Any:
    """The response to a call; None if it failed."""
    try:
        if not streamed:
            return await gate.chain.Chain(ask(f"{name}/m"))
        events = [event async for event in gate.chain.StreamChain(ask(f"{name}/m"))]
    except grpc.aio.AioRpcError:
        return None
    return events[-1].finished


def _check(name: str, usage: completion_pb2.Usage, told: Told) -> None:
    assert usage.input_token_count == told.plain + told.cached + told.written, name
    assert usage.output_token_count == told.output, name
    assert told.plain >= 0, name
    assert usage.cached_input_token_count + usage.cache_write_token_count <= usage.input_token_count, name
    assert usage.reasoning_token_count <= usage.output_token_count, name
    assert (usage.cached_input_token_count, usage.cache_write_token_count) == (told.cached, told.written)
    assert usage.reasoning_token_count == min(told.reasoning, told.output), name
    assert usage.cost_nano_usd == told.cost_nano_usd, name


async def _billed(
    gate: Built, playing: Playing, server: ReplayServer, name: str
) -> tuple[Counter[str], set[str]]:
    """How many answers came to what, and those whose provider has another total."""
    counts: Counter[str] = Counter()
    other_totals = set()
    wire_format = FORMATS[name]
    for recording in wire_format.recordings_in(required_corpus()):
        if recording.kind == "error":
            continue
        playing.recording = recording
        response = await _answered(gate, name, streamed=recording.streamed)
        if response is None:
            counts[f"{recording.provider}, no whole answer"] += 1
            continue
        told = wire_format.told_by(recording)
        if told is None:
            assert response.total_usage.state == completion_pb2.USAGE_STATE_ESTIMATED, recording.name
            counts[f"{recording.provider}, usage not told"] += 1
            continue
        _check(recording.name, response.completion.usage, told)
        assert response.total_usage == response.completion.usage, recording.name
        if told.total not in (None, told.plain + told.cached + told.written + told.output):
            other_totals.add(recording.name)
        counts[f"{recording.provider}, billed"] += 1
    assert len(server.requests) == counts.total()
    return counts, other_totals


@pytest.mark.parametrize("name", FORMATS)
async def test_no_token_is_billed_twice(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """K4: of every recorded answer each token is in one class, and the bill is the sum over the classes."""
    playing = Playing()
    async with replaying(playing) as server:
        configuration = CONFIGURATION.format(url=server.url.removesuffix("/v1"), targets=TARGETS)
        async with built(tmp_path, configuration) as gate:
            counts, other_totals = await _billed(gate, playing, server, name)
    print_counts(f"answers of the {name} format, billed", counts, capsys)
    assert other_totals == {known for known in OTHER_TOTALS if name == "openai"}
    assert sum(count for kind, count in counts.items() if kind.endswith(", billed")) >= 35
