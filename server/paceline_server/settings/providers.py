"""Settings of providers and their targets, as plain values; making the adapters is the composition root's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from paceline_server.providers.profile import Profile
from paceline_server.settings.secret import HOW_TO_GIVE, Secret, refusal
from paceline_server.settings.section import Section
from paceline_server.settings.simulated import SimulatedTargetSettings
from paceline_server.settings.targets import TargetFacts
from paceline_server.settings.values import (
    CREDENTIAL_WORDS,
    Count,
    FailureClassName,
    Flag,
    HeaderName,
    Kind,
    Name,
    Pattern,
    Size,
    Text,
    Url,
)

NOT_BUILT_FORMATS = ("anthropic", "gemini")
"""Known wire formats that this version cannot speak."""


class _Misplaced:
    """Stands for a literal under a header that carries credentials, so that its own place is blamed."""


def _header_value(given: object) -> object:
    """A header may be written out: it is a secret only if its name says so, and masked in any case."""
    if isinstance(given, _Misplaced):
        raise refusal("the secret of this header must not stand in the configuration itself", HOW_TO_GIVE)
    if not isinstance(given, str):
        return given
    if not given.strip() or not given.isascii() or not given.isprintable():
        raise refusal("this is not the value of a header", "write one line of plain characters")
    return Secret(given)


def _headers(given: object) -> object:
    if not isinstance(given, dict):
        return given
    return {
        name: _Misplaced() if isinstance(value, str) and _carries_credentials(name) else value
        for name, value in given.items()
    }


def _carries_credentials(name: str) -> bool:
    return any(word in name.lower() for word in CREDENTIAL_WORDS)


Reference = Annotated[Secret, Kind("secret", HOW_TO_GIVE)]
HeaderValue = Annotated[
    Secret, Kind("text or secret", "a text, or {env: NAME}"), BeforeValidator(_header_value)
]
ModelId = Annotated[Text, Field(max_length=512)]


class ClassifyRule(Section):
    """Gives an error another class; all that is given must match, and the first match wins (rule A3)."""

    status: Annotated[Count, Field(ge=100, le=599)] | None = Field(
        default=None, description="The HTTP status."
    )
    code: Text | None = Field(default=None, description="The provider's own code or type of the error.")
    pattern: Pattern | None = Field(default=None, description="Found anywhere in the error's message.")
    failure_class: FailureClassName = Field(alias="class", description="What the error then is.")

    @model_validator(mode="after")
    def _matches_something(self) -> Self:
        if self.status is None and self.code is None and self.pattern is None:
            raise refusal("the rule matches every error", "give status, code or pattern")
        return self


class OpenAITargetSettings(TargetFacts):
    """Facts about one model of the provider."""


class OpenAISettings(Section):
    """A provider that speaks the OpenAI chat completions format."""

    format: Literal["openai"] = Field(description="The wire format.")
    base_url: Url = Field(description="What precedes `/chat/completions`.")
    key: Reference | None = Field(default=None, description="Sent as bearer token; without it none is sent.")
    headers: Annotated[Mapping[HeaderName, HeaderValue], BeforeValidator(_headers)] = Field(
        default_factory=dict, description="Sent with every request; a secret only by reference."
    )
    max_output_field: Literal["max_completion_tokens", "max_tokens"] = Field(
        default="max_completion_tokens",
        description="The request's field for the most output tokens; many servers know `max_tokens` only.",
    )
    seed_field: Literal["seed", "random_seed"] = Field(
        default="seed", description="The request's field for the seed; Mistral's is `random_seed`."
    )
    system_role: Literal["system", "developer"] = Field(
        default="system", description="The role of system messages; some models accept `developer` only."
    )
    reasoning_field: Literal["reasoning_content", "reasoning"] | None = Field(
        default=None, description="Where thoughts go back to the vendor; unset where it wants none back."
    )
    prompt_cache: Literal["key", "marks", "nothing"] = Field(
        default="key",
        description="What `cache_prompt` sends: `prompt_cache_key`, `cache_control` marks, or nothing.",
    )
    accepts_top_k: Flag = Field(default=False, description="Send `top_k`, which OpenAI itself does not know.")
    asks_logprobs: Flag = Field(
        default=False, description="Ask for token probabilities, from which the confidence is taken."
    )
    asks_stream_usage: Flag = Field(
        default=True, description="Ask for the usage of streams; some servers refuse the question."
    )
    quota_identity: Name | None = Field(
        default=None, description="Providers with the same one share a quota, so they are benched together."
    )
    max_answer_size: Size = Field(
        default=16 * 2**20,
        description="A larger answer is a failed attempt; a stream is measured by its content.",
    )
    classify: tuple[ClassifyRule, ...] = Field(
        default=(), description="Tried before the built-in classification."
    )
    targets: Mapping[ModelId, OpenAITargetSettings] = Field(
        default_factory=dict, description="What is known of models; others can be called too."
    )

    def profile(self, model: str) -> Profile:
        """What is known of one of its models."""
        target = self.targets.get(model)
        return (target or OpenAITargetSettings()).to_profile(self.quota_identity or "")


class SimulatedSettings(Section):
    """A provider inside the process: answers without cost, with the pace and the faults it is told."""

    format: Literal["simulated"] = Field(description="The wire format.")
    seed: Count = Field(default=7, description="The same seed gives the same pace and faults.")
    targets: Mapping[ModelId, SimulatedTargetSettings] | None = Field(
        default=None,
        description="Its models; without them the built-in ones: steady, slow, flaky, broken, tiring.",
    )


ProviderSettings = Annotated[OpenAISettings | SimulatedSettings, Field(discriminator="format")]
