"""What recorded Gemini answers say when read slowly and simply, without the adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.providers.recordings_reader import Recording, event_data, index_of, recordings_of

_METHODS = ("generateContent", "streamGenerateContent")
_OWN_TOOLS = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
_COUNTS = (
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "totalTokenCount",
)


@dataclass
class Reading:
    """What the bytes of an answer of status 200 say."""

    pieces: list[dict[str, Any]] = field(default_factory=list)
    finish: str | int | None = None
    blocked: str | None = None
    model: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    error: Any = None

    @property
    def text(self) -> str:
        """All that is said."""
        return "".join(piece["text"] for piece in self.pieces if "text" in piece and not piece.get("thought"))

    @property
    def reasoning(self) -> str:
        """All that is thought."""
        return "".join(piece["text"] for piece in self.pieces if "text" in piece and piece.get("thought"))

    @property
    def calls(self) -> list[tuple[str | None, str, Any]]:
        """Id (None: not given), name and arguments of each call."""
        calls = [piece["functionCall"] for piece in self.pieces if "functionCall" in piece]
        return [(call.get("id"), call["name"], call["args"]) for call in calls]

    @property
    def own_tools(self) -> list[dict[str, Any]]:
        """What the provider's own tools did."""
        return [
            {name: piece[name] for name in _OWN_TOOLS if name in piece}
            for piece in self.pieces
            if any(name in piece for name in _OWN_TOOLS)
        ]

    @property
    def kinds(self) -> list[str]:
        """The kind of each piece that says something or bears a signature."""
        return [
            _kind(piece) for piece in self.pieces if piece.get("text") != "" or "thoughtSignature" in piece
        ]

    @property
    def signatures(self) -> list[tuple[str, str]]:
        """Each signature, with the kind of the part that bears it."""
        return [
            (_kind(piece), piece["thoughtSignature"]) for piece in self.pieces if "thoughtSignature" in piece
        ]


def gemini_recordings(folder: Path) -> list[Recording]:
    """All cases of the format of a folder of recordings."""
    endpoints = {case["endpoint"] for case in index_of(folder)}
    endpoints = {endpoint for endpoint in endpoints if endpoint.rpartition(":")[2] in _METHODS}
    return recordings_of(folder, endpoints)


def read_slowly(recording: Recording) -> Reading:
    """Read a body of status 200 as a person would."""
    reading = Reading()
    for document in _documents(recording):
        _read(reading, document)
    return reading


def _documents(recording: Recording) -> Iterator[Mapping[str, Any]]:
    if not recording.streamed:
        whole = json.loads(recording.body)
        yield from whole if isinstance(whole, list) else [whole]
        return
    for data in event_data(recording.body):
        yield json.loads(data)


def _read(reading: Reading, document: Mapping[str, Any]) -> None:
    reading.error = document.get("error")
    reading.model = document.get("modelVersion", reading.model)
    counts = document.get("usageMetadata", {})
    if any(name in counts for name in _COUNTS):
        reading.usage = {name: counts[name] for name in _COUNTS if name in counts}
    reading.blocked = document.get("promptFeedback", {}).get("blockReason", reading.blocked)
    for candidate in document.get("candidates", []):
        reading.finish = candidate.get("finishReason", reading.finish)
        reading.pieces += candidate.get("content", {}).get("parts", [])


def _kind(piece: Mapping[str, Any]) -> str:
    if "text" in piece:
        return "Reasoning" if piece.get("thought") else "Text"
    return "ToolCall" if "functionCall" in piece else "Reasoning"
