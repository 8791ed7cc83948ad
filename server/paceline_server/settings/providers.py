"""Settings of providers and their targets, as plain values; making the adapters is the composition root's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, Strict, model_validator

from paceline_server.providers.profile import NOTHING_KNOWN, Profile
from paceline_server.providers.vendors.known import VENDORS
from paceline_server.providers.vendors.media import SENDABLE, is_sendable
from paceline_server.providers.vendors.record import Vendor
from paceline_server.settings.base_urls import ChatUrl, MessagesUrl, ModelsUrl, without_version
from paceline_server.settings.headers import Headers
from paceline_server.settings.secret import HOW_TO_GIVE, Secret, refusal
from paceline_server.settings.section import Section
from paceline_server.settings.simulated import SimulatedTargetSettings
from paceline_server.settings.targets import ModelFacts, TokenLimit
from paceline_server.settings.values import (
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
from paceline_server.settings.vendors import with_vendor

Reference = Annotated[Secret, Kind("secret", HOW_TO_GIVE)]
ModelId = Annotated[Text, Field(max_length=512)]
VendorName = Annotated[Text, Kind("vendor", f"one of {', '.join(sorted(VENDORS))}")]
ApiVersion = Annotated[
    str, Kind("text", "a version such as v1beta, or '' for none"), Strict(), Field(pattern="^[a-z0-9]{0,20}$")
]
RequestField = Literal[
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "reasoning_effort",
]


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


class HttpSettings(Section):
    """A provider that is called over HTTP, whatever its wire format."""

    format: str
    vendor: VendorName | None = Field(
        default=None, description="Whose server it is, which sets the other defaults; see the vendors."
    )
    base_url: Url
    key: Reference | None = Field(
        default=None, description="Unset: the vendor's variable, where it has one; else none is sent."
    )
    headers: Headers = Field(
        default_factory=dict, description="Sent with every request; a secret only by reference."
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
    targets: Mapping[ModelId, ModelFacts] = Field(
        default_factory=dict, description="What is known of models; others can be called too."
    )

    @model_validator(mode="after")
    def _can_send_what_targets_take(self) -> Self:
        for model, facts in self.targets.items():
            for index, media_type in enumerate(facts.media.types if facts.media else ()):
                if not is_sendable(media_type, self.format):
                    raise refusal(
                        f"requests of the format {self.format} have no place for media of this type",
                        f"leave it out, or write one of {', '.join(SENDABLE[self.format])}",
                        below=("targets", model, "media", "types", index),
                    )
        return self

    @property
    def known_vendor(self) -> Vendor | None:
        """What is known of the vendor; None where none is named."""
        return VENDORS[self.vendor] if self.vendor else None

    def profile(self, model: str, known: Profile = NOTHING_KNOWN) -> Profile:
        """The facts about one of its models; what is written here wins over what else is `known`."""
        facts = self.targets.get(model, _NO_FACTS)
        return facts.over(replace(known, quota_identity=self.quota_identity or ""))


_NO_FACTS = ModelFacts()
_ASKS_LOGPROBS = (
    "Ask for token probabilities, from which the confidence is taken, in every call; else races that need "
    "them ask the targets that give them."
)
_KEY_HEADER = "The header of the key, which is a bearer token in `authorization` and bare in others."


class OpenAISettings(HttpSettings):
    """A provider that speaks the OpenAI chat completions format."""

    format: Literal["openai"] = Field(description="The wire format.")
    base_url: ChatUrl = Field(
        default="https://api.openai.com/v1", description="What precedes `/chat/completions`; a query is kept."
    )
    key_header: HeaderName = Field(default="authorization", description=_KEY_HEADER)
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
    reasoning_field: Literal["reasoning_content", "reasoning", "content"] | None = Field(
        default=None,
        description="Where thoughts go back to the vendor, in `content` as items of it; unset where it wants "
        "none back.",
    )
    prefill: Literal["as_is", "prefix", "continue_final_message"] = Field(
        default="as_is",
        description="How an answer that is to be continued is marked: not at all, by `prefix` in its "
        "message, or by `continue_final_message` in the request.",
    )
    prompt_cache: Literal["key", "marks", "nothing"] = Field(
        default="key",
        description="What `cache_prompt` sends: `prompt_cache_key`, `cache_control` marks, or nothing.",
    )
    accepts_top_k: Flag = Field(default=False, description="Send `top_k`, which OpenAI itself does not know.")
    omit: tuple[RequestField, ...] = Field(
        default=(), description="Settings of the generation that the server refuses, and is not sent."
    )
    asks_logprobs: Flag = Field(default=False, description=_ASKS_LOGPROBS)
    asks_stream_usage: Flag = Field(
        default=True, description="Ask for the usage of streams; some servers refuse the question."
    )


class AnthropicSettings(HttpSettings):
    """A provider that speaks the Anthropic Messages format."""

    format: Literal["anthropic"] = Field(description="The wire format.")
    base_url: MessagesUrl = Field(
        default="https://api.anthropic.com", description="What precedes `/v1/messages`."
    )
    key_header: HeaderName = Field(default="x-api-key", description=_KEY_HEADER)
    version: Text = Field(default="2023-06-01", description="The header `anthropic-version`.")
    beta: tuple[Text, ...] = Field(
        default=(), description="Features in trial that every request asks for, in `anthropic-beta`."
    )
    default_max_output_token_count: TokenLimit = Field(
        default=8192,
        description="Sent where neither the caller nor `max_output_token_count` bounds the answer.",
    )
    thinking_control: Literal["none", "budget", "effort", "always"] | None = Field(
        default=None,
        description="How models are told how long to think: not at all, by tokens, by an effort, or by an "
        "effort that cannot turn it off; unset goes by the model's name.",
    )


class GeminiSettings(HttpSettings):
    """A provider that speaks the Gemini generateContent format."""

    format: Literal["gemini"] = Field(description="The wire format.")
    base_url: ModelsUrl = Field(
        default="https://generativelanguage.googleapis.com",
        description="What precedes `/v1beta/models/...`; the key goes into `x-goog-api-key`.",
    )
    api_version: ApiVersion = Field(
        default="v1beta",
        description="The version in the path; `''` where the base URL ends in what precedes `/models`.",
    )
    sends_call_ids: Flag = Field(
        default=True, description="Send calls and results of tools with their ids, which Vertex AI refuses."
    )
    asks_logprobs: Flag = Field(default=False, description=_ASKS_LOGPROBS)

    @model_validator(mode="after")
    def _has_one_version(self) -> Self:
        without_version(self.base_url, self.api_version)
        return self


class SimulatedSettings(Section):
    """A provider inside the process: answers without cost, with the pace and the faults it is told."""

    format: Literal["simulated"] = Field(description="The wire format.")
    seed: Count = Field(default=7, description="The same seed gives the same pace and faults.")
    targets: Mapping[ModelId, SimulatedTargetSettings] | None = Field(
        default=None,
        description="Its models; without them the built-in ones: steady, slow, flaky, broken, tiring.",
    )


AnySettings = Annotated[
    OpenAISettings | AnthropicSettings | GeminiSettings | SimulatedSettings, Field(discriminator="format")
]
ProviderSettings = Annotated[AnySettings, BeforeValidator(with_vendor)]
