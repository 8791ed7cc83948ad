"""Writing chat-completions requests: a prompt in, the bytes of the body out.

What the format cannot say is UNSUPPORTED, so that another target may be asked; nothing is dropped in
silence but what belongs to another provider (signatures, and thoughts that it signed), thoughts that
this vendor does not want back, settings of the generation that it does not know, and that a tool failed.
Messages are written in `openai_messages`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from paceline_server.completion.prompt import (
    GenerationConfig,
    Prompt,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.openai_messages import is_prefill, wire_messages
from paceline_server.providers.openai_settings import CacheHint, OpenAISettings, PrefillMark
from paceline_server.providers.profile import Profile
from paceline_server.providers.request_body import encode, provider_options, raw_object, shared_body

_CACHE_KEY_BYTES = 16


class RequestWriter:
    """Writes the bodies of one provider's requests; each prompt is encoded once per call and dialect."""

    def __init__(self, provider: str, settings: OpenAISettings, profile_of: Callable[[str], Profile]) -> None:
        """Write for `provider`, of whose models `profile_of` tells what is known."""
        self._provider = provider
        self._settings = settings
        self._profile_of = profile_of
        self._key = f"openai/{settings!r}"

    def body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        """The whole body for `request`.

        Raises:
            AttemptFailure: UNSUPPORTED or INVALID_REQUEST; the provider was not reached.
        """
        start = b'{"model":' + encode(request.model) + b","
        if stream:
            start += b'"stream":true,'
            if self._settings.asks_stream_usage:
                start += b'"stream_options":{"include_usage":true},'
        logprobs = self._asks_logprobs(request)
        key = f"{self._key}/logprobs" if logprobs else self._key
        fields = partial(self._fields, logprobs=logprobs)
        return start + shared_body(request, key, self._provider, fields)[1:]

    def _asks_logprobs(self, request: ProviderRequest) -> bool:
        if self._settings.asks_logprobs:
            return True
        return request.prompt.config.logprobs and self._profile_of(request.model).gives_logprobs

    def _fields(self, prompt: Prompt, *, logprobs: bool) -> dict[str, Any]:
        marks = prompt.config.cache_prompt and self._settings.cache_hint is CacheHint.MARKS
        messages = wire_messages(prompt.messages, self._provider, self._settings, cache_marks=marks)
        fields: dict[str, Any] = {"messages": messages}
        if self._settings.prefill is PrefillMark.CONTINUE_FINAL_MESSAGE and is_prefill(messages[-1]):
            fields |= {"continue_final_message": True, "add_generation_prompt": False}
        if prompt.tools:
            fields["tools"] = [_tool(tool) for tool in prompt.tools]
        if prompt.tool_choice is not None:
            fields["tool_choice"] = _tool_choice(prompt.tool_choice)
        if prompt.response_format is not None:
            fields["response_format"] = _response_format(prompt.response_format)
        self._add_config(fields, prompt.config)
        if prompt.config.cache_prompt and self._settings.cache_hint is CacheHint.KEY:
            fields["prompt_cache_key"] = _cache_key(fields)
        if logprobs:
            fields["logprobs"] = True
        fields.update(provider_options(prompt, self._provider))
        return fields

    def _add_config(self, fields: dict[str, Any], config: GenerationConfig) -> None:
        effort = config.reasoning_effort
        # The contract has a setting that a target does not know left out, unlike a part of the prompt.
        values = {
            "temperature": config.temperature,
            "top_p": config.top_p,
            "top_k": config.top_k if self._settings.accepts_top_k else None,
            "seed": config.seed,
            "frequency_penalty": config.frequency_penalty,
            "presence_penalty": config.presence_penalty,
            "stop": list(config.stop_sequences) or None,
            "reasoning_effort": None if effort is None else effort.value,
        }
        if config.max_output_token_count is not None:
            fields[self._settings.max_tokens_field] = config.max_output_token_count
        for name, value in values.items():
            if value is not None and name not in self._settings.omit:
                fields[self._settings.seed_field if name == "seed" else name] = value


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json_schema:
        function["parameters"] = raw_object(
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
        "schema": raw_object(wanted.schema_json, "the schema of the response format"),
    }
    if wanted.strict:
        schema["strict"] = True
    return {"type": wanted.kind.value, "json_schema": schema}


def _cache_key(fields: Mapping[str, Any]) -> str:
    # Requests with the same beginning share a cache: the tools and the first message, whatever follows.
    beginning = encode([fields.get("tools"), fields["messages"][:1]])
    return hashlib.blake2b(beginning, digest_size=_CACHE_KEY_BYTES).hexdigest()
