"""What recorded clients have sent as chat completions, and what the adapter sends for the same prompt.

A recorded request is read back into a prompt, which is written in the dialect of the vendor that it went
to. What the vocabulary has no word for goes as an option of the provider, or is named below.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from paceline_server.adapters import openai_dialect
from paceline_server.completion.content import (
    Media,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.prompt import (
    OWN_MEMBERS,
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
from paceline_server.providers.openai_request import RequestWriter
from paceline_server.providers.openai_settings import OpenAISettings as Dialect
from paceline_server.providers.profile import NOTHING_KNOWN
from paceline_server.providers.vendors.known import VENDORS
from paceline_server.settings.providers import OpenAISettings
from tests.providers.recordings_reader import index_of, print_counts, required_corpus

_ENDPOINTS = ("chat.completions", "/v1/chat/completions")
_CONFIG = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "random_seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "max_tokens": "max_output_token_count",
    "max_completion_tokens": "max_output_token_count",
}
_WORDLESS = {
    "a vendor that is not known": {"zai"},
    "a native field of Ollama in a message": {"ollama"},
}
"""Why recorded requests are not compared, and of whom they are."""

_OTHER_SPELLINGS = {
    "the name of a speaker": {"openai"},
    "an image's URL without an object around it": {"openai"},
    "`max_tokens`, the older name of `max_completion_tokens`": {"openai", "azure"},
    "`max_completion_tokens`, where the documents have `max_tokens`": {"openrouter"},
    "the role `developer`": {"openai", "azure", "ollama", "openrouter"},
    "one choice of several, asked for as one": {"openai", "groq", "mistral", "deepseek", "azure"},
    "thoughts under a second name": {"deepseek", "ollama"},
    "a required choice of tools called `any`": {"mistral"},
}
"""What recorded requests say in other words than the adapter, and of whom they are."""


class _WordlessError(Exception):
    """The request holds what no prompt can say."""


class _Reader:
    """Reads one recorded request back; `spellings` are those in which it differs from ours."""

    def __init__(self, sent: Mapping[str, Any], dialect: Dialect) -> None:
        # A member without a value says nothing.
        self.sent = {name: value for name, value in sent.items() if value is not None}
        self.dialect = dialect
        self.spellings: set[str] = set()

    def prompt(self) -> Prompt:
        """The prompt that says the same."""
        sent, options = self.sent, self._options()
        wanted, choice = sent.get("response_format"), sent.get("tool_choice")
        return Prompt(
            tuple(map(self._message, sent["messages"])),
            () if "tools" in options else tuple(map(_tool, sent.get("tools", ()))),
            None if choice is None or "tool_choice" in options else self._choice(choice),
            wanted and _response_format(wanted),
            self._config(),
            {"acme": json.dumps(options)} if options else {},
        )

    def said(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a body says, in the one form that all ways of writing it have."""
        said = {name: value for name, value in body.items() if value is not None}
        said["messages"] = [_said_message(message) for message in said["messages"]]
        if tools := said.pop("tools", None):
            said["tools"] = [_said_tool(tool) for tool in tools]
        said.setdefault("stream", False)
        for name in ("n", "stream_options"):
            said.pop(name, None)
        if "max_tokens" in said:
            said["max_completion_tokens"] = said.pop("max_tokens")
        if said.get("tool_choice") == "any":
            said["tool_choice"] = "required"
        if "prompt_cache_key" in said:
            said["prompt_cache_key"] = "asked for"
        if isinstance(said.get("stop"), str):
            said["stop"] = [said["stop"]]
        return said

    def _options(self) -> dict[str, Any]:
        sent = self.sent
        known = {*_CONFIG, *OWN_MEMBERS, "stop", "reasoning_effort", "prompt_cache_key", "response_format"}
        if all(_is_plain(tool) for tool in sent.get("tools", ())):
            known |= {"tools", "tool_choice"}
        if sent.get("logprobs") is True:
            known.add("logprobs")
        if sent.get("n", 1) != 1:
            raise _WordlessError("several choices")
        if "n" in sent:
            self.spellings.add("one choice of several, asked for as one")
        if "max_tokens" in sent and self.dialect.max_tokens_field != "max_tokens":
            self.spellings.add("`max_tokens`, the older name of `max_completion_tokens`")
        if "max_completion_tokens" in sent and self.dialect.max_tokens_field == "max_tokens":
            self.spellings.add("`max_completion_tokens`, where the documents have `max_tokens`")
        return {name: value for name, value in sent.items() if name not in known}

    def _config(self) -> GenerationConfig:
        sent = self.sent
        stop, effort = sent.get("stop", ()), sent.get("reasoning_effort")
        values: dict[str, Any] = {word: sent[name] for name, word in _CONFIG.items() if name in sent}
        return GenerationConfig(
            **values,
            stop_sequences=(stop,) if isinstance(stop, str) else tuple(stop),
            reasoning_effort=effort and ReasoningEffort(effort),
            cache_prompt="prompt_cache_key" in sent,
        )

    def _choice(self, choice: Any) -> ToolChoice:
        if isinstance(choice, dict):
            return ToolChoice(ToolChoiceMode.NAMED, choice["function"]["name"])
        if choice == "any":
            self.spellings.add("a required choice of tools called `any`")
            return ToolChoice(ToolChoiceMode.REQUIRED)
        return ToolChoice(ToolChoiceMode(choice))

    def _message(self, message: Mapping[str, Any]) -> Message:
        if "images" in message:
            raise _WordlessError("a native field of Ollama in a message")
        if "name" in message:
            self.spellings.add("the name of a speaker")
        role = message["role"]
        if role == "developer":
            self.spellings.add("the role `developer`")
            role = "system"
        parts = tuple(map(self._part, _items(message.get("content"))))
        if role == "tool":
            parts = (Part(ToolResult(message["tool_call_id"], parts)),)
        thoughts = [message[name] for name in ("reasoning", "reasoning_content") if message.get(name)]
        if len(thoughts) > 1:
            self.spellings.add("thoughts under a second name")
        calls = [
            ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or ()
        ]
        return Message(
            Role(role),
            (*(Part(Reasoning(text)) for text in thoughts[:1]), *parts, *(Part(call) for call in calls)),
        )

    def _part(self, item: Mapping[str, Any]) -> Part:
        match item["type"]:
            case "text":
                return Part(Text(item["text"]))
            case "image_url":
                url = item["image_url"]
                if isinstance(url, str):
                    self.spellings.add("an image's URL without an object around it")
                return Part(_media("image/png", url if isinstance(url, str) else url["url"]))
            case "input_audio":
                audio = item["input_audio"]
                return Part(
                    Media(
                        {"wav": "audio/wav", "mp3": "audio/mpeg"}[audio["format"]], b64decode(audio["data"])
                    )
                )
            case "file":
                return Part(_media("application/pdf", item["file"]["file_data"]))
            case "thinking":
                return Part(Reasoning("".join(each["text"] for each in item["thinking"])))
            case other:
                raise AssertionError(other)


def _items(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []


def _media(media_type: str, url: str) -> Media:
    if not url.startswith("data:"):
        return Media(media_type, uri=url)
    told, _, data = url.removeprefix("data:").partition(";base64,")
    return Media(told, b64decode(data))


def _is_plain(tool: Mapping[str, Any]) -> bool:
    worded = {"name", "description", "parameters"}
    return tool["type"] == "function" and worded.issuperset(tool["function"])


def _tool(tool: Mapping[str, Any]) -> Tool:
    function = tool["function"]
    return Tool(function["name"], function.get("description", ""), json.dumps(function["parameters"]))


def _response_format(wanted: Mapping[str, Any]) -> ResponseFormat:
    kind = ResponseFormatKind(wanted["type"])
    if kind is not ResponseFormatKind.JSON_SCHEMA:
        return ResponseFormat(kind)
    told = wanted["json_schema"]
    return ResponseFormat(kind, told["name"], json.dumps(told["schema"]), strict=told["strict"])


def _said_message(message: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "system" if message["role"] == "developer" else message["role"]}
    said["content"] = [_said_item(item) for item in _items(message.get("content"))]
    for name in ("tool_calls", "tool_call_id"):
        if message.get(name):
            said[name] = message[name]
    if thought := message.get("reasoning") or message.get("reasoning_content"):
        said["thought"] = thought
    return said


def _said_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if "function" not in tool:
        return dict(tool)
    return {**tool, "function": {name: value for name, value in tool["function"].items() if value != ""}}


def _said_item(item: Mapping[str, Any]) -> dict[str, Any]:
    if item["type"] == "image_url" and isinstance(item["image_url"], str):
        return {"type": "image_url", "image_url": {"url": item["image_url"]}}
    if item["type"] == "file":
        # A document is called by its content, not by its name.
        return {"type": "file", "file": item["file"]["file_data"]}
    return dict(item)


def _dialect(provider: str, sent: Mapping[str, Any]) -> Dialect:
    if provider not in VENDORS:
        raise _WordlessError("a vendor that is not known")
    asked = {"asks_logprobs": True} if sent.get("logprobs") else {}
    told = {"base_url": "http://h", **VENDORS[provider].settings, **asked}
    return openai_dialect(OpenAISettings.model_validate({"format": "openai", **told}))


def _recorded(folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for case in index_of(folder):
        if case["endpoint"] in _ENDPOINTS and case["origin"] == "recorded":
            told = json.loads((folder / case["dir"] / "request.json").read_bytes())
            yield case["id"], case["provider"], told["body"]


def _compare(name: str, provider: str, recorded: Mapping[str, Any]) -> set[str]:
    """In which spellings a recorded request differs from the adapter's, which says the same."""
    dialect = _dialect(provider, recorded)
    reader = _Reader(recorded, dialect)
    request = ProviderRequest(recorded["model"], reader.prompt())
    sent = json.loads(
        RequestWriter("acme", dialect, lambda _: NOTHING_KNOWN).body(
            request, stream=reader.sent.get("stream", False)
        )
    )
    assert reader.said(sent) == reader.said(recorded), name
    assert dialect.max_tokens_field in sent or not sent.keys() & {"max_tokens", "max_completion_tokens"}, name
    if "stream_options" in reader.sent:
        assert sent["stream_options"] == reader.sent["stream_options"], name
    return reader.spellings


def test_the_adapter_sends_what_recorded_clients_have_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """A8: the same prompt is the same request in every vendor's dialect, for all that there are words for."""
    compared: Counter[str] = Counter()
    wordless: dict[str, set[str]] = {}
    spellings: dict[str, set[str]] = {}
    for name, provider, recorded in _recorded(required_corpus()):
        try:
            found = _compare(name, provider, recorded)
        except _WordlessError as missing:
            wordless.setdefault(str(missing), set()).add(provider)
            continue
        compared[provider] += 1
        for spelling in found:
            spellings.setdefault(spelling, set()).add(provider)
    print_counts("recorded requests are sent as they were", compared, capsys)
    assert wordless == _WORDLESS
    assert spellings == _OTHER_SPELLINGS
    assert compared.total() >= 144
