"""Recorded exchanges: where they are, what is in them, and how all of a folder's are checked.

What the bytes of an answer say is read in `openai_reading`, `anthropic_reading` and `gemini_reading`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.providers.replay import PATIENCE

OWN_RECORDINGS = Path(__file__).parent / "recordings"
SEEDS = range(4)
"""Each answer goes over the wire so often, cut at other places each time."""

_CORPUS_BESIDE = Path(__file__).parents[3] / "shared" / "wire" / "corpus"
_FRAMING = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})


@dataclass(frozen=True)
class Recording:
    """One recorded answer."""

    name: str
    provider: str
    kind: str
    streamed: bool
    status: int
    headers: Mapping[str, str]
    body: bytes
    features: tuple[str, ...] = ()

    def expected_class(self) -> str | None:
        """The judged class of a case that carries one."""
        return next((tag.partition(":")[2] for tag in self.features if tag.startswith("expected:")), None)


def required_corpus() -> Path:
    """Where the corpus is; without it the test is skipped, or fails where it was to be there."""
    told = os.environ.get("PACELINE_WIRE_CORPUS")
    folder = Path(told or _CORPUS_BESIDE)
    if (folder / "index.json").is_file():
        return folder
    sentence = "the recorded exchanges are absent: give their folder in PACELINE_WIRE_CORPUS"
    if told or os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def index_of(folder: Path) -> list[dict[str, Any]]:
    """All cases of a folder of recordings."""
    cases: list[dict[str, Any]] = json.loads((folder / "index.json").read_bytes())["cases"]
    return cases


def recordings_of(folder: Path, endpoints: Collection[str]) -> list[Recording]:
    """All cases of a folder of recordings that are answers of `endpoints`."""
    return [_recording(folder, case) for case in index_of(folder) if case["endpoint"] in endpoints]


async def checked(
    recordings: Iterable[Recording], check: Callable[[Recording, int], Awaitable[str]]
) -> Counter[str]:
    """How many of each kind came to what, after `check` of each recording with each seed."""
    counts: Counter[str] = Counter()
    for recording in recordings:
        async with asyncio.timeout(PATIENCE):
            (outcome,) = {await check(recording, seed) for seed in SEEDS}
        counts[f"{recording.provider} {recording.kind} {outcome}"] += 1
    return counts


def print_counts(title: str, counts: Mapping[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many of each kind there were."""
    with capsys.disabled():
        print(f"\n{sum(counts.values())} {title}:")  # noqa: T201
        for kind, count in sorted(counts.items()):
            print(f"  {kind}: {count}")  # noqa: T201


def event_data(body: bytes) -> Iterator[bytes]:
    """The data of each event of a stream."""
    for event in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line for line in event.split(b"\n") if line.startswith(b"data:")]
        if lines:
            yield b"\n".join(line[5:].strip() for line in lines)


def _recording(folder: Path, case: Mapping[str, Any]) -> Recording:
    place = folder / case["dir"]
    response = json.loads((place / "response.json").read_bytes())
    return Recording(
        name=case["id"],
        provider=case["provider"],
        kind=case["kind"],
        streamed=case["kind"] == "stream",
        status=response["status"],
        # The replay frames the body anew, and the recorded bytes are not compressed.
        headers={name: value for name, value in response["headers"].items() if name.lower() not in _FRAMING},
        body=(place / "response.body").read_bytes(),
        features=tuple(case["features"]),
    )
