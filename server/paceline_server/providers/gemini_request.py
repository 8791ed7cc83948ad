"""Writing generateContent requests: a prompt in, the bytes of the body out.

What the format cannot say is UNSUPPORTED, so that another target may be asked; nothing is dropped in
silence but what belongs to another provider (signatures, and thoughts that it signed), thoughts without a
signature, and a choice of effort for models that have none. Prompts are cached by the provider itself,
so a wish for it sends nothing. Contents are written in `gemini_messages`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

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
from paceline_server.providers.gemini_messages import ContentsWriter
from paceline_server.providers.gemini_models import ModelTraits, traits_of
from paceline_server.providers.gemini_settings import GeminiSettings
from paceline_server.providers.json_faults import NOT_JSON
from paceline_server.providers.profile import Profile
from paceline_server.providers.request_body import (
    invalid,
    json_object,
    provider_options,
    raw_object,
    shared_body,
    unsupported,
)

_JSON = "application/json"
_CONFIG = "generationConfig"
_TOOLS = "tools"
_MERGED_MEMBERS = frozenset({_CONFIG, "toolConfig"})
_OWN_MEMBERS = frozenset({"contents", "systemInstruction", "candidateCount"})
"""Besides `OWN_MEMBERS`: what would replace the prompt, or ask for answers that nobody reads."""

_MODES: Mapping[ToolChoiceMode, str] = {
    ToolChoiceMode.AUTO: "AUTO",
    ToolChoiceMode.NONE: "NONE",
    ToolChoiceMode.REQUIRED: "ANY",
    ToolChoiceMode.NAMED: "ANY",
}


class RequestWriter:
    """Writes the bodies of one provider's requests; each is encoded once per call and kind of model."""

    def __init__(self, provider: str, settings: GeminiSettings, profile_of: Callable[[str], Profile]) -> None:
        """Write for `provider`, of whose models `profile_of` tells what is known."""
        self._provider = provider
        self._settings = settings
        self._profile_of = profile_of
        self._dialect = f"gemini/{settings!r}"

    def body(self, request: ProviderRequest) -> bytes:
        """The whole body for `request`, the same for streamed and for whole answers.

        Raises:
            AttemptFailure: UNSUPPORTED or INVALID_REQUEST; the provider was not reached.
        """
        traits = traits_of(request.model)
        logprobs = self._asks_logprobs(request)
        fields = partial(self._fields, traits=traits, logprobs=logprobs)
        return shared_body(request, f"{self._dialect}/{traits!r}/{logprobs}", self._provider, fields)

    def _asks_logprobs(self, request: ProviderRequest) -> bool:
        if self._settings.asks_logprobs:
            return True
        return request.prompt.config.logprobs and self._profile_of(request.model).gives_logprobs

    def _fields(self, prompt: Prompt, *, traits: ModelTraits, logprobs: bool) -> dict[str, Any]:
        writer = ContentsWriter(self._provider, self._settings, traits)
        for message in prompt.messages:
            writer.add(message)
        if not writer.contents:
            raise unsupported("this provider needs a message besides the system's")
        fields: dict[str, Any] = {"contents": writer.contents}
        if writer.instructions:
            fields["systemInstruction"] = {"parts": writer.instructions}
        if prompt.tools:
            fields[_TOOLS] = [{"functionDeclarations": [_tool(tool) for tool in prompt.tools]}]
        if prompt.tool_choice is not None:
            fields["toolConfig"] = {"functionCallingConfig": _tool_choice(prompt.tool_choice)}
        config = _config(prompt.config, traits, logprobs=logprobs)
        if prompt.response_format is not None:
            config.update(_response_format(prompt.response_format))
        if config:
            fields[_CONFIG] = config
        self._lay_options(fields, provider_options(prompt, self._provider))
        return fields

    def _lay_options(self, fields: dict[str, Any], options: Mapping[str, msgspec.Raw]) -> None:
        # Most options stand one level deep, beside the caller's own settings and tools, and replace none.
        for given, value in options.items():
            name = self._checked(given)
            if name in _MERGED_MEMBERS:
                members = json_object(bytes(value).decode(), f"the options {given!r} for {self._provider!r}")
                laid = {self._checked(member): inner for member, inner in members.items()}
                fields[name] = {**fields.get(name, {}), **laid}
            elif name == _TOOLS:
                fields[name] = [*fields.get(name, ()), *self._tools(value)]
            else:
                fields[name] = value

    def _checked(self, given: str) -> str:
        # The API takes the names of members in either form.
        head, *rest = given.split("_")
        name = head + "".join(word[:1].upper() + word[1:] for word in rest)
        if name in _OWN_MEMBERS:
            raise invalid(f"the options for {self._provider!r} may not set {given!r}")
        return name

    def _tools(self, value: msgspec.Raw) -> list[msgspec.Raw]:
        try:
            return msgspec.json.decode(value, type=list[msgspec.Raw])
        except NOT_JSON as error:
            raise invalid(f"the tools in the options for {self._provider!r} are no array") from error


def _config(config: GenerationConfig, traits: ModelTraits, *, logprobs: bool) -> dict[str, Any]:
    values = {
        "maxOutputTokens": config.max_output_token_count,
        "temperature": config.temperature,
        "topP": config.top_p,
        "topK": config.top_k,
        "seed": config.seed,
        "frequencyPenalty": config.frequency_penalty,
        "presencePenalty": config.presence_penalty,
        "stopSequences": list(config.stop_sequences) or None,
        "thinkingConfig": traits.thinking(config.reasoning_effort, config.max_output_token_count) or None,
        "responseLogprobs": logprobs or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json_schema:
        function["parametersJsonSchema"] = raw_object(
            tool.parameters_json_schema, f"the parameters of tool {tool.name!r}"
        )
    return function


def _tool_choice(choice: ToolChoice) -> dict[str, Any]:
    config: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode is ToolChoiceMode.NAMED:
        config["allowedFunctionNames"] = [choice.name]
    return config


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind is ResponseFormatKind.TEXT:
        return {}
    config: dict[str, Any] = {"responseMimeType": _JSON}
    if wanted.kind is ResponseFormatKind.JSON_SCHEMA:
        config["responseJsonSchema"] = raw_object(wanted.schema_json, "the schema of the response format")
    return config
