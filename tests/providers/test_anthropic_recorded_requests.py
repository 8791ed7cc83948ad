"""What recorded clients have sent to Anthropic, and what the adapter sends for the same prompt.

A recorded request is read back into a prompt; what the vocabulary has no word for goes as an option of
the provider, and requests with content that it has no part for are listed and not compared.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from paceline_server.completion.content import (
    Kind,
    Media,
    Message,
    Part,
    ProviderSignature,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.prompt import (
    GenerationConfig,
    Prompt,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.providers.anthropic_request import RequestWriter
from paceline_server.providers.anthropic_settings import AnthropicSettings
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.profile import Profile
from tests.providers.recordings_reader import index_of, required_corpus

_CHOICES = {
    "auto": ToolChoiceMode.AUTO,
    "none": ToolChoiceMode.NONE,
    "any": ToolChoiceMode.REQUIRED,
    "tool": ToolChoiceMode.NAMED,
}
_UNSAID = {"caller", "citations", "title", "cache_control"}
"""Members of blocks that say nothing to the model, or that the vocabulary sets for the whole prompt."""


class _NoWordForError(Exception):
    """The vocabulary has no part for a block."""


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _part(block: Mapping[str, Any]) -> Part:
    if block["type"] == "thinking":
        return Part(Reasoning(block["thinking"]), ProviderSignature("acme", block["signature"].encode()))
    return Part(_kind(block))


def _kind(block: Mapping[str, Any]) -> Kind:
    match block["type"]:
        case "text":
            return Text(block["text"])
        case "tool_use":
            return ToolCall(block["id"], block["name"], json.dumps(block["input"]))
        case "tool_result":
            parts = tuple(_part(inner) for inner in _blocks(block["content"]))
            return ToolResult(block["tool_use_id"], parts, block.get("is_error", False))
        case "image" | "document":
            source = block["source"]
            if source["type"] == "url":
                return Media("image/png", uri=source["url"])
            data = b64decode(source["data"]) if source["type"] == "base64" else source["data"].encode()
            return Media(source["media_type"], data)
        case other:
            raise _NoWordForError(other)


def _messages(sent: Mapping[str, Any]) -> Iterator[Message]:
    if sent.get("system"):
        yield Message(Role.SYSTEM, tuple(map(_part, _blocks(sent["system"]))))
    for message in sent["messages"]:
        parts = tuple(map(_part, _blocks(message["content"])))
        results = any(isinstance(part.kind, ToolResult) for part in parts)
        yield Message(Role.TOOL if results else Role(message["role"]), parts)


def _prompt(sent: Mapping[str, Any]) -> Prompt:
    known = {"system", "messages", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences"}
    tools = sent.get("tools", [])
    if all(tool.keys() <= {"name", "description", "input_schema", "cache_control"} for tool in tools):
        known.add("tools")
    choice = sent.get("tool_choice")
    if choice is not None and "disable_parallel_tool_use" not in choice and "tools" in known:
        known.add("tool_choice")
    wanted = sent.get("output_config", {}).get("format")
    if wanted is not None:
        known.add("output_config")
    options = {
        name: value
        for name, value in sent.items()
        if name not in {*known, "model", "stream", "cache_control"}
    }
    return Prompt(
        tuple(_messages(sent)),
        tuple(
            Tool(tool["name"], tool.get("description", ""), json.dumps(tool["input_schema"]))
            for tool in tools
        )
        if "tools" in known
        else (),
        ToolChoice(_CHOICES[choice["type"]], choice.get("name", ""))
        if choice is not None and "tool_choice" in known
        else None,
        wanted and ResponseFormat(ResponseFormatKind.JSON_SCHEMA, schema_json=json.dumps(wanted["schema"])),
        GenerationConfig(
            max_output_token_count=sent["max_tokens"],
            temperature=sent.get("temperature"),
            top_p=sent.get("top_p"),
            top_k=sent.get("top_k"),
            stop_sequences=tuple(sent.get("stop_sequences", ())),
            cache_prompt="cache_control" in json.dumps(sent),
        ),
        {"acme": json.dumps(options)} if options else {},
    )


def _said(value: Any) -> Any:
    """`value` in the one form that all ways of writing it have, without what says nothing."""
    if isinstance(value, list):
        return [_said(item) for item in value]
    if not isinstance(value, dict):
        return value
    said = {
        name: _said(_blocks(item) if name in {"content", "system"} else item)
        for name, item in value.items()
        if name not in _UNSAID or "type" not in value or value["type"] == "object"
    }
    if said.get("type") == "tool_result":
        said.setdefault("is_error", False)
    return said


def _compared(sent: Mapping[str, Any]) -> dict[str, Any]:
    left_out = {"stream", "cache_control"} | {name for name in ("system",) if not sent.get(name)}
    said: dict[str, Any] = _said({name: value for name, value in sent.items() if name not in left_out})
    said["tools"] = [
        {name: value for name, value in tool.items() if name != "cache_control"}
        for tool in said.get("tools", [])
    ]
    return said


def _recorded(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for case in index_of(folder):
        if case["endpoint"] in ("messages", "/v1/messages"):
            body = json.loads((folder / case["dir"] / "request.json").read_bytes())["body"]
            yield case["id"], json.loads(body) if isinstance(body, str) else body


def test_the_adapter_sends_what_recorded_clients_have_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """A8: the same prompt is the same request, for every recorded one that the vocabulary has words for."""
    writer = RequestWriter("acme", AnthropicSettings(), lambda _: Profile())
    wordless: dict[str, str] = {}
    count = 0
    for name, recorded in _recorded(required_corpus()):
        try:
            prompt = _prompt(recorded)
        except _NoWordForError as missing:
            wordless[name] = str(missing)
            continue
        request = ProviderRequest(recorded["model"], prompt)
        stream = recorded.get("stream", False)
        sent = json.loads(writer.body(request, stream=stream))
        assert sent.get("stream", False) == stream, name
        assert _compared(sent) == _compared(recorded), name
        _check_marks(name, recorded, sent)
        count += 1
    with capsys.disabled():
        print(f"\n{count} recorded requests; not compared: {wordless}")  # noqa: T201
    assert count >= 46
    assert set(wordless.values()) <= {"container_upload", "search_result"}


def _check_marks(name: str, recorded: Mapping[str, Any], sent: Mapping[str, Any]) -> None:
    # We mark the ends; recorded clients mark some of them.
    ends = [
        (recorded.get("tools") or [{}], sent.get("tools") or [{}]),
        (_blocks(recorded.get("system") or [{}]), _blocks(sent.get("system") or [{}])),
        (_blocks(recorded["messages"][-1]["content"]), _blocks(sent["messages"][-1]["content"])),
    ]
    for theirs, ours in ends:
        if "cache_control" in theirs[-1]:
            assert ours[-1]["cache_control"]["type"] == "ephemeral", name
