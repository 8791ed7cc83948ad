"""What recorded clients have sent to Gemini, and what the adapter sends for the same prompt.

A recorded request is read back into a prompt; what the vocabulary has no word for goes as an option of
the provider. Both requests are then compared in one form, as the API reads them.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
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
    ReasoningEffort,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.gemini_parts import GENERATED_CALL
from paceline_server.providers.gemini_request import RequestWriter
from paceline_server.providers.gemini_settings import GeminiSettings
from paceline_server.providers.profile import NOTHING_KNOWN
from tests.providers.recordings_reader import index_of, required_corpus

_SETTINGS = {
    "maxOutputTokens": "max_output_token_count",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "seed": "seed",
}
_LOW_EFFORT = {"includeThoughts": True, "thinkingLevel": "low"}
_VERBATIM = {"args", "response", "parametersJsonSchema", "responseJsonSchema"}
"""Members whose own members are the caller's."""

_MEANT_EMPTY = {"args", "response", "text"}


def _canonical(value: Any, member: str = "") -> Any:
    """`value` with the API's own names, and without what is not set."""
    if isinstance(value, dict):
        named = {_camel(name) if member not in _VERBATIM else name: inner for name, inner in value.items()}
        if "parameters" in named:  # the older form of the same schema
            named["parametersJsonSchema"] = named.pop("parameters")
        return {
            name: _canonical(inner, member if member in _VERBATIM else name)
            for name, inner in named.items()
            if inner not in (None, "", {}, []) or name in _MEANT_EMPTY or member in {"tools", *_VERBATIM}
        }
    if isinstance(value, list):
        return [_canonical(inner, member) for inner in value]
    if member == "parametersJsonSchema" and isinstance(value, str) and value.isupper():
        return value.lower()
    return b64decode(value.replace("-", "+").replace("_", "/")) if member == "data" else value


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _as_the_api_reads(body: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = _canonical(body)
    turns: list[dict[str, Any]] = []
    for content in read["contents"]:
        if turns and turns[-1]["role"] == content["role"]:
            turns[-1]["parts"] += content["parts"]
        else:
            turns.append(content)
    read["contents"] = turns
    if "systemInstruction" in read:
        parts = read["systemInstruction"]["parts"]
        read["systemInstruction"] = parts if isinstance(parts, list) else [parts]
    return read


class _PromptReader:
    """Reads one recorded request back into a prompt."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body
        self._calls: list[tuple[str, str]] = []
        self._options: dict[str, Any] = {}

    def prompt(self) -> Prompt:
        """The prompt."""
        body = self._body
        messages = [message for content in body.pop("contents") for message in self._messages(content)]
        for instruction in reversed(body.pop("systemInstruction", [])):
            messages.insert(0, Message(Role.SYSTEM, (Part(Text(instruction["text"])),)))
        tools = self._tools(body.pop("tools", []))
        config, response_format = self._config(body.pop("generationConfig", {}))
        choice = _choice(body.pop("toolConfig", None))
        self._options |= body
        return Prompt(
            tuple(messages),
            tuple(tools),
            choice,
            response_format,
            config,
            {"acme": json.dumps(self._options)} if self._options else {},
        )

    def _messages(self, content: Mapping[str, Any]) -> Iterator[Message]:
        parts = tuple(self._part(part) for part in content["parts"])
        if content["role"] == "model":
            yield Message(Role.ASSISTANT, parts)
            return
        for role, answers in ((Role.TOOL, True), (Role.USER, False)):
            some = tuple(part for part in parts if isinstance(part.kind, ToolResult) is answers)
            if some:
                yield Message(role, some)

    def _part(self, part: Mapping[str, Any]) -> Part:
        signature = None
        if "thoughtSignature" in part:
            signature = ProviderSignature("acme", part["thoughtSignature"].encode())
        return Part(self._kind(part), signature)

    def _kind(self, part: Mapping[str, Any]) -> Kind:
        if "text" in part:
            return Reasoning(part["text"]) if part.get("thought") else Text(part["text"])
        if media := part.get("inlineData"):
            return Media(media["mimeType"], media["data"])
        if media := part.get("fileData"):
            return Media(media["mimeType"], uri=media["fileUri"])
        if call := part.get("functionCall"):
            call_id = call.get("id") or f"{GENERATED_CALL}{len(self._calls)}"
            self._calls.append((call["name"], call_id))
            return ToolCall(call_id, call["name"], json.dumps(call["args"]))
        result = part["functionResponse"]
        call_id = next(call_id for name, call_id in reversed(self._calls) if name == result["name"])
        return ToolResult(call_id, (Part(Text(json.dumps(result["response"]))),))

    def _tools(self, told: list[dict[str, Any]]) -> list[Tool]:
        tools: list[Tool] = []
        for tool in told:
            if "functionDeclarations" not in tool:
                self._options.setdefault("tools", []).append(tool)
            for function in tool.get("functionDeclarations", []):
                schema = function.get("parametersJsonSchema")
                described = function.get("description", "")
                tools.append(Tool(function["name"], described, json.dumps(schema) if schema else ""))
        return tools

    def _config(self, told: dict[str, Any]) -> tuple[GenerationConfig, ResponseFormat | None]:
        values: dict[str, Any] = {_SETTINGS[name]: told.pop(name) for name in _SETTINGS if name in told}
        if told.get("thinkingConfig") == _LOW_EFFORT:
            values["reasoning_effort"] = ReasoningEffort.LOW
            del told["thinkingConfig"]
        response_format = None
        if "responseMimeType" in told:
            del told["responseMimeType"]
            response_format = ResponseFormat(ResponseFormatKind.JSON_OBJECT)
        if schema := told.pop("responseJsonSchema", None):
            response_format = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, schema_json=json.dumps(schema))
        if told:
            self._options["generationConfig"] = told
        return GenerationConfig(**values), response_format


def _choice(told: Mapping[str, Any] | None) -> ToolChoice | None:
    if told is None:
        return None
    config = told["functionCallingConfig"]
    assert config["mode"] == "ANY"
    (name,) = config["allowedFunctionNames"]
    return ToolChoice(ToolChoiceMode.NAMED, name)


def _recorded() -> list[tuple[str, str, dict[str, Any]]]:
    folder = required_corpus()
    found = []
    for case in index_of(folder):
        place = folder / case["dir"] / "request.json"
        if case["endpoint"] in ("generateContent", "streamGenerateContent") and case["origin"] == "recorded":
            found.append((case["id"], case["model"], json.loads(place.read_bytes())["body"]))
    return found


def test_prompts_are_sent_as_recorded_clients_send_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A8: what the adapter sends is, to the API, what Google's and others' clients send for it."""
    compared = 0
    for name, model, body in _recorded():
        read = _as_the_api_reads(body)
        if any(turn["role"] not in ("user", "model") for turn in read["contents"]):
            assert "invalid-role" in name
            continue
        expected = json.dumps(read, sort_keys=True, default=repr)
        prompt = _PromptReader(read).prompt()
        writer = RequestWriter("acme", GeminiSettings(), lambda _: NOTHING_KNOWN)
        sent = json.loads(writer.body(ProviderRequest(model, prompt)))
        assert json.dumps(_as_the_api_reads(sent), sort_keys=True, default=repr) == expected, name
        compared += 1
    with capsys.disabled():
        print(f"\n{compared} recorded Gemini requests compared")  # noqa: T201
    assert compared >= 46
