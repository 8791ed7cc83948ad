"""Every recorded exchange is read by the test of exactly one format, or is of an endpoint out of scope."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.providers.anthropic_reading import message_recordings
from tests.providers.gemini_reading import gemini_recordings
from tests.providers.openai_reading import chat_recordings
from tests.providers.recordings_reader import Recording, index_of, print_counts, required_corpus

READERS: Mapping[str, Callable[[Path], list[Recording]]] = {
    "chat completions": chat_recordings,
    "messages": message_recordings,
    "generateContent": gemini_recordings,
}
OUT_OF_SCOPE = {
    "responses": "OpenAI's other interface",
    "completions": "OpenAI's former interface",
    "converse": "Bedrock",
    "converse-stream": "Bedrock",
    "/model/anthropic.claude-sonnet-4-5/converse": "Bedrock",
    "invoke": "Bedrock",
    "invoke-stream": "Bedrock",
    "cohere.chat": "Cohere's own format",
    "ollama.chat": "Ollama's own format",
    "ollama.generate": "Ollama's own format",
}
"""Endpoints that no adapter speaks to; Bedrock frames its streams in binary and signs each request."""


def test_every_case_is_read_once_or_is_out_of_scope(capsys: pytest.CaptureFixture[str]) -> None:
    """A2, A3: no recorded case is passed over but those of other endpoints, which are named."""
    folder = required_corpus()
    cases = {case["id"]: case for case in index_of(folder)}
    assert len(cases) == len(index_of(folder)), "two cases have one name"
    read: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for wire_format, recordings_in in READERS.items():
        for recording in recordings_in(folder):
            read[recording.name] += 1
            origin = "recorded" if cases[recording.name]["origin"] == "recorded" else "supplement"
            counts[f"{wire_format}, {recording.provider}, {origin}"] += 1
    left_out = {name: case["endpoint"] for name, case in cases.items() if name not in read}

    assert set(read.values()) == {1}, "read twice"
    unknown = {name for name, endpoint in left_out.items() if endpoint not in OUT_OF_SCOPE}
    assert not unknown, "neither read nor out of scope"
    assert not {name for name in read if cases[name]["endpoint"] in OUT_OF_SCOPE}
    _check_disk(folder, {case["dir"] for case in cases.values()})
    assert sum(counts.values()) >= 283, "part of the recordings is missing"

    print_counts(f"of {len(cases)} recorded cases are read", counts, capsys)
    with capsys.disabled():
        print(f"{len(left_out)} are out of scope:")  # noqa: T201
        for name, endpoint in sorted(left_out.items()):
            print(f"  {name} ({endpoint}: {OUT_OF_SCOPE[endpoint]})")  # noqa: T201


def _check_disk(folder: Path, listed: set[str]) -> None:
    present = {str(answer.parent.relative_to(folder)) for answer in folder.rglob("response.body")}
    assert present == listed, "the index is not what is there"
