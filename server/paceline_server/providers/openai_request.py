"""Writing chat-completions requests: a prompt in, the bytes of the body out.

What the format cannot say is UNSUPPORTED, so that another target may be asked; nothing is dropped in
silence but what belongs to another provider (signatures, and thoughts that it signed), thoughts that
this vendor does not want back, settings of the generation that it does not know, and that a tool failed.
Messages are written in `openai_messages`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import (
    OWN_MEMBERS,
    GenerationConfig,
    Prompt,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.openai_messages import wire_messages
from paceline_server.providers.openai_settings import CacheHint, OpenAISettings

_ENCODER = msgspec.json.Encoder()
_CACHE_KEY_BYTES = 16


class RequestWriter:
    """Writes the bodies of one provider's requests; each prompt is encoded once per call and dialect."""

    def __init__(self, provider: str, settings: OpenAISettings) -> None:
        self._provider = provider
        self._settings = settings
        self._key = f"openai/{settings!r}"

    def body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        """The whole body for `request`.

        Raises:
            AttemptFailure: UNSUPPORTED or INVALID_REQUEST; the provider was not reached.
        """
        start = b'{"model":' + _ENCODER.encode(request.model) + b","
        if stream:
            start += b'"stream":true,'
            if self._settings.asks_stream_usage:
                start += b'"stream_options":{"include_usage":true},'
        return start + self._shared(request)[1:]

    def _shared(self, request: ProviderRequest) -> bytes:
        key = self._key_for(request.prompt)
        encoded = request.bodies.get(key)
        if encoded is None:
            encoded = request.bodies[key] = _ENCODER.encode(self._fields(request.prompt))
        return encoded

    def _key_for(self, prompt: Prompt) -> str:
        # Options and signatures are one provider's own; without them all of one dialect share the body.
        own = self._provider in prompt.provider_options_json or any(
            part.signature is not None for message in prompt.messages for part in message.parts
        )
        return f"{self._key}/{self._provider}" if own else self._key

    def _fields(self, prompt: Prompt) -> dict[str, Any]:
        marks = prompt.config.cache_prompt and self._settings.cache_hint is CacheHint.MARKS
        messages = wire_messages(prompt.messages, self._provider, self._settings, cache_marks=marks)
        fields: dict[str, Any] = {"messages": messages}
        if prompt.tools:
            fields["tools"] = [_tool(tool) for tool in prompt.tools]
        if prompt.tool_choice is not None:
            fields["tool_choice"] = _tool_choice(prompt.tool_choice)
        if prompt.response_format is not None:
            fields["response_format"] = _response_format(prompt.response_format)
        self._add_config(fields, prompt.config)
        if prompt.config.cache_prompt and self._settings.cache_hint is CacheHint.KEY:
            fields["prompt_cache_key"] = _cache_key(fields)
        if self._settings.asks_logprobs:
            fields["logprobs"] = True
        fields.update(self._options(prompt.provider_options_json))
        return fields

    def _add_config(self, fields: dict[str, Any], config: GenerationConfig) -> None:
        effort = config.reasoning_effort
        values = {
            self._settings.max_tokens_field: config.max_output_token_count,
            "temperature": config.temperature,
            "top_p": config.top_p,
            # The contract has a setting that a target does not know left out, unlike a part of the prompt.
            "top_k": config.top_k if self._settings.accepts_top_k else None,
            self._settings.seed_field: config.seed,
            "frequency_penalty": config.frequency_penalty,
            "presence_penalty": config.presence_penalty,
            "stop": list(config.stop_sequences) or None,
            "reasoning_effort": None if effort is None else effort.value,
        }
        fields.update((name, value) for name, value in values.items() if value is not None)

    def _options(self, options_json: Mapping[str, str]) -> dict[str, msgspec.Raw]:
        text = options_json.get(self._provider)
        if not text:
            return {}
        options = _json_object(text, f"the options for {self._provider!r}")
        reserved = [name for name in OWN_MEMBERS if name in options]
        if reserved:
            raise _invalid(f"the options for {self._provider!r} may not set {reserved[0]!r}")
        return options


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json_schema:
        function["parameters"] = _raw_object(
            tool.parameters_json_schema, f"the parameters of tool {tool.name!r}"
        )
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode is ToolChoiceMode.NAMED:
        return {"type": "function", "function": {"name": choice.name}}
    mode: str = choice.mode.value
    return mode


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind is not ResponseFormatKind.JSON_SCHEMA:
        return {"type": wanted.kind.value}
    schema: dict[str, Any] = {
        "name": wanted.name,
        "schema": _raw_object(wanted.schema_json, "the schema of the response format"),
    }
    if wanted.strict:
        schema["strict"] = True
    return {"type": wanted.kind.value, "json_schema": schema}


def _cache_key(fields: Mapping[str, Any]) -> str:
    # Requests with the same beginning share a cache: the tools and the first message, whatever follows.
    beginning = _ENCODER.encode([fields.get("tools"), fields["messages"][:1]])
    return hashlib.blake2b(beginning, digest_size=_CACHE_KEY_BYTES).hexdigest()


def _raw_object(text: str, what: str) -> msgspec.Raw:
    _json_object(text, what)
    return msgspec.Raw(text.encode())


def _json_object(text: str, what: str) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _invalid(f"{what} are no JSON object") from error


def _invalid(message: str) -> AttemptFailure:
    return AttemptFailure(FailureClass.INVALID_REQUEST, message, reached_provider=False)
