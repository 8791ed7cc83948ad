"""Writing Anthropic requests: a prompt in, the bytes of the body out.

What the format cannot say is UNSUPPORTED, so that another target may be asked; a JSON object of any
shape is such a thing, because the API enforces whole schemas only. Nothing is dropped in silence but
settings that the format or the model does not know (seed, penalties, how tokens are drawn), an effort that
the model cannot set (see `anthropic_thinking`), a choice among no tools, the name and laxness of a schema,
and what `anthropic_messages` says. What the caller's options set replaces what stands here, member by member.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

from paceline_server.completion.estimate import prompt_character_count
from paceline_server.completion.prompt import (
    GenerationConfig,
    Prompt,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.completion.usage import estimate_token_count
from paceline_server.providers.anthropic_messages import plain, wire_messages, wire_system
from paceline_server.providers.anthropic_settings import AnthropicSettings, ThinkingControl
from paceline_server.providers.anthropic_thinking import (
    hides_thoughts,
    thinking_control,
    thinking_members,
    thinks_before_forced_tools,
)
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.profile import KEPT_MODEL_COUNT, Profile
from paceline_server.providers.request_body import (
    encode,
    provider_options,
    raw_object,
    shared_body,
    unsupported,
)

_CACHE_MARK = {"type": "ephemeral"}
_LEAST_ANSWER = 1024
"""Tokens that an answer may have in any case, for what a prompt takes is only an estimate."""

_NO_PARAMETERS = {"type": "object"}
_UNTOLD = {"type": "disabled"}
_LEAST_TOP_P = 0.95
"""A model that thinks takes no smaller one."""

_TOOL_CHOICES = {
    ToolChoiceMode.AUTO: "auto",
    ToolChoiceMode.NONE: "none",
    ToolChoiceMode.REQUIRED: "any",
    ToolChoiceMode.NAMED: "tool",
}


class _Habits(NamedTuple):
    """What of a model decides how its requests are written."""

    max_tokens: int
    context: int | None
    thinking: ThinkingControl
    hides_thoughts: bool
    thinks_before_forced_tools: bool

    def max_tokens_beside(self, prompt: Prompt) -> int:
        """The most tokens of an answer of which nobody has said how long it may be.

        Prompt and answer share the context, and models since 3.7 refuse what may exceed it.
        """
        if self.context is None:
            return self.max_tokens
        left = self.context - estimate_token_count(prompt_character_count(prompt))
        return min(self.max_tokens, max(left, _LEAST_ANSWER))


class RequestWriter:
    """Writes the bodies of one provider's requests; each prompt is encoded once per call and dialect."""

    def __init__(
        self, provider: str, settings: AnthropicSettings, profile_of: Callable[[str], Profile]
    ) -> None:
        """Write for `provider`, of whose models `profile_of` tells what is known."""
        self._provider = provider
        self._settings = settings
        self._profile_of = profile_of
        self._habits = lru_cache(KEPT_MODEL_COUNT)(self._habits_of)

    def body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        """The whole body for `request`.

        Raises:
            AttemptFailure: UNSUPPORTED or INVALID_REQUEST; the provider was not reached.
        """
        start = b'{"model":' + encode(request.model) + (b',"stream":true,' if stream else b",")
        habits = self._habits(request.model)
        dialect = "/".join(("anthropic", *map(str, habits)))
        return start + shared_body(request, dialect, self._provider, partial(self._fields, habits))[1:]

    def _habits_of(self, model: str) -> _Habits:
        profile = self._profile_of(model)
        return _Habits(
            profile.max_output_token_count or self._settings.default_max_token_count,
            profile.context_token_count,
            self._settings.thinking_control or thinking_control(model),
            hides_thoughts(model),
            thinks_before_forced_tools(model),
        )

    def _fields(self, habits: _Habits, prompt: Prompt) -> dict[str, Any]:
        config = prompt.config
        max_tokens = config.max_output_token_count or habits.max_tokens_beside(prompt)
        messages = wire_messages(prompt.messages, self._provider)
        system = wire_system(prompt.messages)
        tools = [_tool(tool) for tool in prompt.tools]
        fields: dict[str, Any] = {"max_tokens": max_tokens}
        fields.update(
            thinking_members(
                habits.thinking,
                prompt,
                messages,
                max_tokens,
                hidden=habits.hides_thoughts,
                before_forced=habits.thinks_before_forced_tools,
            )
        )
        if config.cache_prompt:
            _mark(tools, system, messages[-1]["content"])
        if system:
            fields["system"] = plain(system)
        fields["messages"] = [{**message, "content": plain(message["content"])} for message in messages]
        if tools:
            fields["tools"] = tools
            if prompt.tool_choice is not None:
                fields["tool_choice"] = _tool_choice(prompt.tool_choice)
        if prompt.response_format is not None:
            _add_format(fields, prompt.response_format)
        _add_config(fields, config)
        if habits.hides_thoughts or fields.get("thinking", _UNTOLD) != _UNTOLD:
            _drop_sampling(fields, keeps_top_p=not habits.hides_thoughts)
        fields.update(provider_options(prompt, self._provider))
        return fields


def _add_config(fields: dict[str, Any], config: GenerationConfig) -> None:
    values = {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "stop_sequences": list(config.stop_sequences) or None,
    }
    fields.update((name, value) for name, value in values.items() if value is not None)


def _drop_sampling(fields: dict[str, Any], *, keeps_top_p: bool) -> None:
    # Models since 4.7 refuse to be told how tokens are drawn, and those before it while they think.
    fields.pop("temperature", None)
    fields.pop("top_k", None)
    if not keeps_top_p or fields.get("top_p", 0) < _LEAST_TOP_P:
        fields.pop("top_p", None)


def _add_format(fields: dict[str, Any], wanted: ResponseFormat) -> None:
    if wanted.kind is ResponseFormatKind.JSON_OBJECT:
        raise unsupported("this provider gives JSON by a schema only; ask for a json_schema")
    if wanted.kind is ResponseFormatKind.JSON_SCHEMA:
        schema = raw_object(wanted.schema_json, "the schema of the response format")
        fields.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    schema = tool.parameters_json_schema
    what = f"the parameters of tool {tool.name!r}"
    written["input_schema"] = raw_object(schema, what) if schema else _NO_PARAMETERS
    return written


def _tool_choice(choice: ToolChoice) -> dict[str, str]:
    written = {"type": _TOOL_CHOICES[choice.mode]}
    if choice.mode is ToolChoiceMode.NAMED:
        written["name"] = choice.name
    return written


def _mark(*marked: list[dict[str, Any]]) -> None:
    # The cache holds tools, system and messages in this order: each is found again while it is the same.
    for blocks in marked:
        if blocks:
            blocks[-1]["cache_control"] = _CACHE_MARK
