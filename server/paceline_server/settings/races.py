"""Settings of races but for their strategy: who runs, and what a race may take (rules R1, R2, R9)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from paceline_server.settings.generation import GenerationSettings
from paceline_server.settings.section import Section
from paceline_server.settings.values import Count, Kind, Number, PositiveDuration, Spec, WholeNumber
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.spec import MAXIMUM_CANDIDATE_COUNT, CandidateSpec

_NANO = 1_000_000_000

AtLeastOne = Annotated[Count, Field(ge=1)]


class CandidateSettings(Section):
    """One entrant of a race; a spec alone is one, too."""

    model: Spec = Field(description="Its spec; a text alone means this.")
    config: GenerationSettings | None = Field(
        default=None, description="Laid over the settings of the prompt, for this candidate alone."
    )
    priority: WholeNumber = Field(
        default=0, description="Higher ones start first where not all start at once, and win ties."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_spec(cls, given: Any) -> Any:
        return {"model": given} if isinstance(given, str) else given

    def to_candidate(self) -> CandidateSpec:
        """For the assembly of the race."""
        config = None if self.config is None else self.config.to_generation_config()
        return CandidateSpec(self.model, config, self.priority)


Candidate = Annotated[
    CandidateSettings,
    Kind("candidate", "a spec such as openai/gpt-4o-mini, or {model: openai/gpt-4o-mini, priority: 1}"),
]
Candidates = Annotated[
    tuple[Candidate, ...],
    Kind("list of candidates", "a list such as [openai/gpt-4o-mini, anthropic/claude-haiku-4-5]"),
    Field(min_length=1, max_length=MAXIMUM_CANDIDATE_COUNT),
]


class RaceLimitSettings(Section):
    """What a race may take, over all of its candidates; unset is no limit."""

    max_cost_usd: Number | None = Field(
        default=None, description="The most money, in USD; a candidate without a price is then rejected."
    )
    max_output_token_count: AtLeastOne | None = Field(default=None, description="The most output tokens.")
    max_started_count: AtLeastOne | None = Field(
        default=None, description="The most calls of providers: starts, retries, hedges and judges together."
    )
    decision_timeout: PositiveDuration | None = Field(
        default=None, description="The race decides then, with what is there; no winner that writes is cut."
    )
    first_content_timeout: PositiveDuration | None = Field(
        default=None, description="For an attempt's first content, in place of that below `attempts`."
    )
    candidate_timeout: PositiveDuration | None = Field(
        default=None, description="For one candidate over all of its attempts, from its own start."
    )

    def to_limits(self) -> RaceLimits:
        """For the race."""
        cost = None if self.max_cost_usd is None else round(self.max_cost_usd * _NANO)
        return RaceLimits(max_cost_nano_usd=cost, **self.plain(leave_out={"max_cost_usd"}))
