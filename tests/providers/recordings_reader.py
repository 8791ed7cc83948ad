"""Recorded exchanges, and what their bytes say when read slowly and simply, without the adapter."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

OWN_RECORDINGS = Path(__file__).parent / "recordings"
_CORPUS_BESIDE = Path(__file__).parents[3] / "shared" / "wire" / "corpus"
_CHAT_ENDPOINTS = ("chat.completions", "/v1/chat/completions")


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


@dataclass
class Reading:
    """What the bytes of an answer of status 200 say."""

    text: str = ""
    reasoning: str = ""
    redacted: str = ""
    calls: dict[Any, list[str]] = field(default_factory=dict)
    finish: str | None = None
    usage: Mapping[str, Any] | None = None
    error: Any = None

    @property
    def tool_calls(self) -> list[tuple[str, str, str]]:
        """Id, name and arguments of each call."""
        return [(call[0], call[1], call[2]) for call in self.calls.values()]


def corpus_folder() -> Path | None:
    """Where the corpus is, if it is there."""
    folder = Path(os.environ.get("PACELINE_WIRE_CORPUS") or _CORPUS_BESIDE)
    return folder if (folder / "index.json").is_file() else None


def required_corpus() -> Path:
    """Where the corpus is; without it the test is skipped, or fails where it was to be there."""
    folder = corpus_folder()
    if folder is None:
        sentence = "the recorded exchanges are absent: give their folder in PACELINE_WIRE_CORPUS"
        if os.environ.get("CI") or os.environ.get("PACELINE_WIRE_CORPUS"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return folder


def chat_recordings(folder: Path) -> list[Recording]:
    """All chat-completions cases of a folder of recordings."""
    return recordings_of(folder, _CHAT_ENDPOINTS)


def recordings_of(folder: Path, endpoints: Collection[str]) -> list[Recording]:
    """All cases of a folder of recordings that are answers of `endpoints`."""
    cases = json.loads((folder / "index.json").read_bytes())["cases"]
    return [_recording(folder, case) for case in cases if case["endpoint"] in endpoints]


def read_slowly(recording: Recording) -> Reading:
    """Read a body of status 200 as a person would."""
    reading = Reading()
    if not recording.streamed:
        _read_document(reading, json.loads(recording.body), "message")
        return reading
    for data in event_data(recording.body):
        if data == b"[DONE]":
            break
        try:
            document = json.loads(data)
        except ValueError:
            break  # cut
        _read_document(reading, document, "delta")
        if reading.error:
            break
    return reading


def _recording(folder: Path, case: Mapping[str, Any]) -> Recording:
    place = folder / case["dir"]
    response = json.loads((place / "response.json").read_bytes())
    return Recording(
        name=case["id"],
        provider=case["provider"],
        kind=case["kind"],
        streamed=case["kind"] == "stream",
        status=response["status"],
        headers=_kept(response["headers"]),
        body=(place / "response.body").read_bytes(),
        features=tuple(case["features"]),
    )


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    # The replay frames the body anew, and the recorded bytes are not compressed.
    framing = {"content-length", "transfer-encoding", "content-encoding", "connection"}
    return {name: value for name, value in headers.items() if name.lower() not in framing}


def event_data(body: bytes) -> Iterator[bytes]:
    """The data of each event of a stream."""
    for event in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line for line in event.split(b"\n") if line.startswith(b"data:")]
        if lines:
            yield b"\n".join(line[5:].strip() for line in lines)


def _read_document(reading: Reading, document: Mapping[str, Any], field_name: str) -> None:
    if document.get("error"):
        reading.error = document["error"]
        return
    usage = document.get("usage") or (document.get("x_groq") or {}).get("usage")
    if usage:
        reading.usage = usage
    for choice in document["choices"]:
        finish = choice.get("finish_reason") or (choice.get("finish_details") or {}).get("type")
        reading.finish = finish or reading.finish
        _read_message(reading, choice.get(field_name) or {})


def _read_message(reading: Reading, message: Mapping[str, Any]) -> None:
    content = message.get("content") or ""
    if isinstance(content, list):
        for item in content:
            reading.reasoning += "".join(thought["text"] for thought in item.get("thinking", []))
            reading.text += item.get("text", "")
    else:
        reading.text += content or (message.get("audio") or {}).get("transcript", "")
    reading.text += message.get("refusal") or ""

    details = message.get("reasoning_details")
    if details:
        for detail in details:
            reading.reasoning += detail.get("text") or detail.get("summary") or ""
            reading.redacted += detail.get("data") or ""
    else:
        reading.reasoning += message.get("reasoning_content") or message.get("reasoning") or ""

    for position, call in enumerate(message.get("tool_calls") or []):
        key = call.get("index", call.get("id") or position)
        known = reading.calls.setdefault(key, ["", "", ""])
        known[0] = known[0] or call.get("id") or ""
        known[1] = known[1] or call["function"].get("name") or ""
        known[2] += call["function"].get("arguments") or ""
    if legacy := message.get("function_call"):
        reading.calls["legacy"] = ["call_0", legacy["name"], legacy["arguments"]]
