"""Settings of a race's strategy: how its winner is chosen (rules R3 to R7).

The defaults are those of the rules' own classes, which these forms turn into.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_serializer, model_validator

from paceline_server.settings.problem import SettingPath
from paceline_server.settings.secret import refusal
from paceline_server.settings.section import Choice, Section, from_word
from paceline_server.settings.values import Count, Duration, Kind, PositiveDuration, Share, Spec, Text
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import MAXIMUM_CANDIDATE_COUNT
from paceline_server.strategies.racing.weighted import Weighted

_CONSENSUS = Consensus()
_HEDGED = Hedged()


class FirstSettings(Section):
    """The first answer wins: in a stream the first content, else the first that is complete."""

    grace: Duration = Field(
        default=timedelta(0),
        description="Who arrives within this time after the first competes with it, by past performance.",
    )
    minimum_confidence: Share | None = Field(
        default=None, description="Answers of a lower or unknown confidence do not win."
    )

    def to_rule(self) -> First:
        """For the race."""
        return First(**self.plain())


class NoScorerSettings(Section):
    """It has none."""


class JudgeScorerSettings(Section):
    """A model scores the answers; it sees them shuffled and without names."""

    model: Spec = Field(description="The judge.")
    rubric: Text | None = Field(
        default=None, description="What makes an answer good; unset is correctness, completeness and clarity."
    )


class ScorerForms(Choice):
    """Where the confidence of answers comes from: one of these forms."""

    logprobs: NoScorerSettings | None = Field(default=None, description="From the tokens' probabilities.")
    judge: JudgeScorerSettings | None = Field(default=None, description="From a judge model.")
    agreement: NoScorerSettings | None = Field(default=None, description="From the agreement of the others.")

    @model_serializer
    def _written(self) -> Any:
        return {self.kind: self.form} if self.judge else self.kind


ScorerChoice = Annotated[
    ScorerForms,
    Kind("scorer", "logprobs, agreement or {judge: {model: openai/gpt-4o-mini}}"),
    from_word(ScorerForms, "scorer"),
]


class BestSettings(Section):
    """The answer of the highest confidence wins, once all have ended."""

    scorer: ScorerChoice = Field(
        default=ScorerForms(logprobs=NoScorerSettings()),
        description="Where the confidence comes from: `logprobs`, `agreement` or `judge`.",
    )

    def to_rule(self) -> Best:
        """For the race."""
        judge = self.scorer.judge
        if judge is None:
            return Best(Scorer(self.scorer.kind))
        return Best(Scorer.JUDGE, judge.model, judge.rubric or "")


class ConsensusSettings(Section):
    """The answer that most give wins."""

    equivalence: Literal["normalized_text", "json", "number", "tool_call", "judge"] = Field(
        default=_CONSENSUS.equivalence.value, description="When two answers are the same."
    )
    quorum: Annotated[Count, Field(ge=1, le=MAXIMUM_CANDIDATE_COUNT)] | None = Field(
        default=None, description="The least size of the winning group; unset is more than half."
    )
    minimum_agreement: Share = Field(
        default=_CONSENSUS.minimum_agreement,
        description="The least share that the winning group has of the candidates.",
    )
    judge_model: Spec | None = Field(
        default=None, description="Who says which answers mean the same, where `equivalence` is judge."
    )

    @model_validator(mode="after")
    def _has_a_judge(self) -> Self:
        if self.equivalence == "judge" and self.judge_model is None:
            raise refusal("nobody is named who judges", "add judge_model, a spec such as openai/gpt-4o-mini")
        return self

    def to_rule(self) -> Consensus:
        """For the race."""
        return Consensus(
            Equivalence(self.equivalence), self.quorum, self.minimum_agreement, self.judge_model or ""
        )


class WeightedSettings(Section):
    """The best performer of all that finish in time wins."""

    def to_rule(self) -> Weighted:
        """For the race."""
        return Weighted()


class QualitySettings(Section):
    """The best learned quality for the task type wins."""

    grace: Duration | None = Field(
        default=None,
        description="How long better ones are waited for after the first answer; unset is until all ended.",
    )

    def to_rule(self) -> Quality:
        """For the race."""
        return Quality(**self.plain())


class HedgedSettings(Section):
    """The next candidate starts when the last one is slow."""

    delay: PositiveDuration | None = Field(
        default=None, description="The next one starts after so long without content; unset: the quantile."
    )
    quantile: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="The next one starts after this quantile of the target's observed time to first content; "
        f"unset, without `delay`: {_HEDGED.quantile:g}.",
    )
    minimum_delay: Duration = Field(
        default=timedelta(seconds=_HEDGED.minimum_delay), description="The least that the quantile may give."
    )
    maximum_delay: PositiveDuration = Field(
        default=timedelta(seconds=_HEDGED.maximum_delay),
        description="The most that the quantile may give, and the delay until 20 attempts were observed.",
    )
    max_hedge_count: Annotated[Count, Field(lt=MAXIMUM_CANDIDATE_COUNT)] = Field(
        default=_HEDGED.max_hedge_count,
        description="How many may start beyond the first; `max_hedges` means the same.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_name(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "max_hedges" not in given:
            return given
        if "max_hedge_count" in given:
            raise refusal("max_hedges and max_hedge_count mean the same", "keep one of the two")
        count = given["max_hedges"]
        return {
            **{key: value for key, value in given.items() if key != "max_hedges"},
            "max_hedge_count": count,
        }

    @model_validator(mode="after")
    def _one_trigger(self) -> Self:
        if self.delay is not None and self.quantile is not None:
            raise refusal("delay and quantile both say when the next one starts", "keep one of the two")
        if self.minimum_delay > self.maximum_delay:
            raise refusal(
                "minimum_delay is longer than maximum_delay", "lower minimum_delay or raise maximum_delay"
            )
        return self

    def to_rule(self) -> Hedged:
        """For the race."""
        return Hedged(**{name: value for name, value in self.plain().items() if value is not None})


class StrategyForms(Choice):
    """How the winner is chosen: one of these forms."""

    first: FirstSettings | None = Field(default=None, description="The first answer wins.")
    best: BestSettings | None = Field(default=None, description="The highest confidence wins.")
    consensus: ConsensusSettings | None = Field(default=None, description="What most answer wins.")
    weighted: WeightedSettings | None = Field(default=None, description="The best performer wins.")
    quality: QualitySettings | None = Field(default=None, description="The best learned quality wins.")
    hedged: HedgedSettings | None = Field(default=None, description="The next starts when one is slow.")

    def to_rule(self) -> Rule:
        """For the race."""
        forms = (self.first, self.best, self.consensus, self.weighted, self.quality, self.hedged)
        return next(form.to_rule() for form in forms if form is not None)

    @property
    def judge(self) -> tuple[SettingPath, str] | None:
        """The spec of the judge with its path below the strategy; None if nobody judges."""
        if self.best and self.best.scorer.judge:
            return ("best", "scorer", "judge", "model"), self.best.scorer.judge.model
        if self.consensus and self.consensus.judge_model:
            return ("consensus", "judge_model"), self.consensus.judge_model
        return None


Strategy = Annotated[
    StrategyForms,
    Kind("strategy", "a strategy such as first or {hedged: {quantile: 0.95}}"),
    from_word(StrategyForms, "strategy"),
]
