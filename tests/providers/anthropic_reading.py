"""What recorded Anthropic answers say when read slowly and simply, without the adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.providers.recordings_reader import Recording, event_data, recordings_of

_ENDPOINTS = ("messages", "/v1/messages")
_COUNTS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
)


@dataclass
class Reading:
    """What the bytes of an answer of status 200 say."""

    blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    model: str = ""
    finish: str | None = None
    stopped: bool = False
    usage: dict[str, Any] = field(default_factory=dict)
    error: Any = None

    def kinds(self) -> list[str]:
        """The types of all blocks that are read and say something."""
        return [
            block["type"]
            for _, block in sorted(self.blocks.items())
            if block["type"] in ("thinking", "redacted_thinking", "tool_use") or block.get("text")
        ]

    def texts(self) -> list[str]:
        """The texts that say something."""
        return [block["text"] for block in self._of("text") if block["text"]]

    def thoughts(self) -> list[tuple[str, str]]:
        """Each readable thought and its signature."""
        return [(block["thinking"], block["signature"]) for block in self._of("thinking")]

    def redacted(self) -> list[str]:
        """The data of each encrypted thought."""
        return [block["data"] for block in self._of("redacted_thinking")]

    def calls(self) -> list[tuple[str, str, Any]]:
        """Id, name and arguments of each call."""
        return [(block["id"], block["name"], _arguments(block)) for block in self._of("tool_use")]

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [block for _, block in sorted(self.blocks.items()) if block["type"] == kind]


def message_recordings(folder: Path) -> list[Recording]:
    """All messages cases of a folder of recordings."""
    return recordings_of(folder, _ENDPOINTS)


def read_slowly(recording: Recording) -> Reading:
    """Read a body of status 200 as a person would."""
    reading = Reading()
    if not recording.streamed:
        message = json.loads(recording.body)
        reading.blocks = dict(enumerate(message["content"]))
        reading.stopped = True
        reading.finish = message["stop_reason"]
        reading.model = message["model"]
        _count(reading, message["usage"])
        return reading
    for data in event_data(recording.body):
        try:
            told = json.loads(data)
        except ValueError:
            break  # cut
        _read_event(reading, told)
    return reading


def _read_event(reading: Reading, told: Mapping[str, Any]) -> None:
    match told["type"]:
        case "error":
            reading.error = told["error"]
        case "message_start":
            reading.model = told["message"]["model"]
            _count(reading, told["message"]["usage"])
        case "content_block_start":
            reading.blocks[told["index"]] = {"fragments": "", **told["content_block"]}
        case "content_block_delta":
            block, delta = reading.blocks[told["index"]], told["delta"]
            for member, more in delta.items():
                target = "fragments" if member == "partial_json" else member
                if target in ("fragments", "text", "thinking", "signature"):
                    block[target] = block.get(target, "") + more
        case "message_delta":
            reading.finish = told["delta"]["stop_reason"]
            _count(reading, told["usage"])
        case "message_stop":
            reading.stopped = True
        case other:
            assert other in ("ping", "content_block_stop"), other


def _count(reading: Reading, usage: Mapping[str, Any]) -> None:
    reading.usage.update({name: usage[name] for name in _COUNTS if usage.get(name) is not None})


def _arguments(block: Mapping[str, Any]) -> Any:
    fragments = block.get("fragments", "")
    return json.loads(fragments) if fragments else block["input"]
