"""Settings of the generation, as a candidate of a race may have its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from paceline_server.completion.prompt import GenerationConfig, ReasoningEffort
from paceline_server.settings.section import Section
from paceline_server.settings.values import Count, Flag, Kind, Number, Share, Text

Positive = Annotated[Count, Field(ge=1)]
Penalty = Annotated[
    float,
    Kind("number from -2 to 2", "a number from -2 to 2, as in 0.5"),
    Field(strict=True, ge=-2, le=2, allow_inf_nan=False),
]
Seed = Annotated[
    int, Kind("whole number", "a whole number such as 7"), Strict(), Field(ge=-(2**63), lt=2**63)
]


class GenerationSettings(Section):
    """Sampling and length; what is not set is left to the prompt."""

    max_output_token_count: Positive | None = Field(
        default=None, description="The most tokens of the answer."
    )
    temperature: Annotated[Number, Field(le=2)] | None = Field(
        default=None, description="How freely tokens are drawn."
    )
    top_p: Annotated[Share, Field(gt=0)] | None = Field(
        default=None, description="Draw from the likeliest tokens of this share only."
    )
    top_k: Positive | None = Field(
        default=None, description="Draw from so many of the likeliest tokens only."
    )
    seed: Seed | None = Field(default=None, description="The same seed gives nearly the same answer.")
    frequency_penalty: Penalty | None = Field(default=None, description="Against tokens that come often.")
    presence_penalty: Penalty | None = Field(default=None, description="Against tokens that have come.")
    stop_sequences: Annotated[tuple[Text, ...], Field(max_length=16)] = Field(
        default=(), description="Texts at which the answer ends."
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = Field(
        default=None, description="How long the model may think."
    )
    cache_prompt: Flag = Field(default=False, description="Ask the provider to cache the prompt.")

    def to_generation_config(self) -> GenerationConfig:
        """As prompts have it."""
        effort = None if self.reasoning_effort is None else ReasoningEffort(self.reasoning_effort)
        return GenerationConfig(**self.plain(leave_out={"reasoning_effort"}), reasoning_effort=effort)
