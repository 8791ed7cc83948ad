"""What a caller asks of a model: the messages, the tools, and how the answer should be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields, replace
from enum import Enum

from paceline_server.completion.content import Message
from paceline_server.completion.immutable import immutable

OWN_MEMBERS = ("model", "messages", "stream", "stream_options", "n")
"""Members of a provider's request that Paceline sets itself: other values would make answers unreadable."""

DEFAULT_SCHEMA_NAME = "response"
"""The name of a schema to which the caller gave none."""


@immutable(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for; `parameters_json_schema` is a JSON object as text."""

    name: str
    description: str = ""
    parameters_json_schema: str = ""


class ToolChoiceMode(Enum):
    """Whether the model may, must or must not call a tool."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


@immutable(frozen=True, slots=True)
class ToolChoice:
    """The mode and, for NAMED, the one tool to call."""

    mode: ToolChoiceMode
    name: str = ""


class ResponseFormatKind(Enum):
    """The form that an answer must have."""

    TEXT = "text"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"


@immutable(frozen=True, slots=True)
class ResponseFormat:
    """The form and, for JSON_SCHEMA, the schema (a JSON object as text), its name, how strictly it binds."""

    kind: ResponseFormatKind
    name: str = DEFAULT_SCHEMA_NAME
    schema_json: str = ""
    strict: bool = False


class ReasoningEffort(Enum):
    """How long a model may think."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@immutable(frozen=True, slots=True)
class GenerationConfig:
    """Sampling and length; None leaves the choice to the provider.

    Attributes:
        logprobs: Ask for the log probabilities of the answer, from which its confidence is taken, where the
            target is known to give them. No caller says so, but races that are decided by them.
    """

    max_output_token_count: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop_sequences: tuple[str, ...] = ()
    reasoning_effort: ReasoningEffort | None = None
    cache_prompt: bool = False
    logprobs: bool = False


def overlaid(base: GenerationConfig, over: GenerationConfig) -> GenerationConfig:
    """`base` with what is set in `over` in its place."""
    every = {field.name: getattr(over, field.name) for field in fields(GenerationConfig)}
    # Zero is a value like any other.
    return replace(base, **{name: value for name, value in every.items() if value or _is_zero(value)})


def _is_zero(value: object) -> bool:
    return value == 0 and value is not False


@immutable(frozen=True, slots=True)
class Prompt:
    """A whole request to a model.

    Attributes:
        provider_options_json: By provider name, a JSON object as text that is laid over that
            provider's request body, and over no other's; it has none of `OWN_MEMBERS`.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None
    config: GenerationConfig = GenerationConfig()
    provider_options_json: Mapping[str, str] = field(default_factory=dict)
