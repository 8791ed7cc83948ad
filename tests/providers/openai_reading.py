"""What recorded chat completions say when read slowly and simply, without the adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paceline_server.completion.content import Reasoning, Text, ToolCall
from tests.providers.recordings_reader import Recording, event_data, recordings_of

_ENDPOINTS = ("chat.completions", "/v1/chat/completions")


@dataclass
class Reading:
    """What the bytes of an answer of status 200 say."""

    text: str = ""
    reasoning: str = ""
    redacted: str = ""
    calls: dict[Any, list[str]] = field(default_factory=dict)
    begun: dict[str, type] = field(default_factory=dict)
    model: str = ""
    finish: str | None = None
    usage: Mapping[str, Any] | None = None
    error: Any = None

    @property
    def kinds(self) -> list[type]:
        """The kinds of the parts, in the order in which they begin."""
        return list(self.begun.values())

    def begin(self, kind: type, name: object, said: str = "-") -> None:
        """Note where a part begins, at the first that it says."""
        if said:
            self.begun.setdefault(f"{kind.__name__} {name}", kind)

    @property
    def tool_calls(self) -> list[tuple[str, str, str]]:
        """Id, name and arguments of each call."""
        return [(call[0], call[1], call[2]) for call in self.calls.values()]


def chat_recordings(folder: Path) -> list[Recording]:
    """All chat-completions cases of a folder of recordings."""
    return recordings_of(folder, _ENDPOINTS)


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


def _read_document(reading: Reading, document: Mapping[str, Any], field_name: str) -> None:
    if document.get("error"):
        reading.error = document["error"]
        return
    reading.model = reading.model or document.get("model") or ""
    usage = document.get("usage") or (document.get("x_groq") or {}).get("usage")
    if usage:
        reading.usage = usage
    for choice in document["choices"]:
        finish = choice.get("finish_reason") or (choice.get("finish_details") or {}).get("type")
        reading.finish = finish or reading.finish
        _read_message(reading, choice.get(field_name) or {})


def _read_message(reading: Reading, message: Mapping[str, Any]) -> None:
    _read_thoughts(reading, message)
    before = reading.text
    content = message.get("content") or ""
    if isinstance(content, list):
        for item in content:
            thought = "".join(thought["text"] for thought in item.get("thinking", []))
            reading.begin(Reasoning, "", thought)
            reading.reasoning += thought
            reading.begin(Text, "", item.get("text", ""))
            reading.text += item.get("text", "")
    else:
        reading.text += content or (message.get("audio") or {}).get("transcript", "")
    reading.text += message.get("refusal") or ""
    reading.begin(Text, "", reading.text[len(before) :])

    for position, call in enumerate(message.get("tool_calls") or []):
        key = call.get("index", call.get("id") or position)
        reading.begin(ToolCall, key)
        known = reading.calls.setdefault(key, ["", "", ""])
        known[0] = known[0] or call.get("id") or ""
        known[1] = known[1] or call["function"].get("name") or ""
        known[2] += call["function"].get("arguments") or ""
    if legacy := message.get("function_call"):
        reading.begin(ToolCall, "legacy")
        reading.calls["legacy"] = ["call_0", legacy["name"], legacy["arguments"]]


def _read_thoughts(reading: Reading, message: Mapping[str, Any]) -> None:
    details = message.get("reasoning_details")
    if not details:
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        reading.begin(Reasoning, "", thought)
        reading.reasoning += thought
        return
    for detail in details:
        text, data = detail.get("text") or detail.get("summary") or "", detail.get("data") or ""
        said = text + data + (detail.get("signature") or "")
        reading.begin(Reasoning, (detail["type"], detail.get("index", 0)), said)
        reading.reasoning += text
        reading.redacted += data
