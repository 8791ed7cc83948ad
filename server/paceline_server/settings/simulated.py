"""Settings of simulated models: their answer, pace, faults and script, as plain values.

The fields, their defaults and ranges are those of the simulated provider's own model, which the
composition root makes of them: a form's `kind` is its name there, and `plain()` its arguments.
"""

from __future__ import annotations

from datetime import timedelta
from math import fsum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, Strict, model_serializer, model_validator

from paceline_server.completion.attempt import FailureClass
from paceline_server.settings.durations import write_duration
from paceline_server.settings.secret import refusal
from paceline_server.settings.section import Choice, Section, from_word
from paceline_server.settings.targets import TargetFacts
from paceline_server.settings.values import (
    Count,
    Duration,
    FailureClassName,
    Flag,
    Kind,
    Number,
    PositiveDuration,
    Share,
    Text,
)

LongText = Annotated[str, Kind("text", "a text, in quotes if it looks like a number"), Strict()]


class FixedPace(Section):
    """Always the same."""

    seconds: Duration = Field(description="How long.")


class UniformPace(Section):
    """Evenly between two durations."""

    minimum: Duration = Field(description="The shortest.")
    maximum: Duration = Field(description="The longest.")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.minimum > self.maximum:
            raise refusal("minimum is longer than maximum", "exchange them")
        return self


class LogNormalPace(Section):
    """Around a median, with a long tail."""

    median: PositiveDuration = Field(description="Half of the calls take longer.")
    sigma: Annotated[Number, Field(le=10)] = Field(description="The width in log space.")


class ExponentialPace(Section):
    """Memoryless."""

    mean: Duration = Field(description="The average.")


class PaceForms(Choice):
    """How long something takes: one of these forms."""

    fixed: FixedPace | None = Field(default=None, description="Always the same; a duration alone means this.")
    uniform: UniformPace | None = Field(default=None, description="Evenly between two durations.")
    lognormal: LogNormalPace | None = Field(default=None, description="Around a median, with a long tail.")
    exponential: ExponentialPace | None = Field(default=None, description="Memoryless.")

    @model_serializer
    def _written(self) -> Any:
        return write_duration(self.fixed.seconds) if self.fixed else {self.kind: self.form}


class OkStep(Section):
    """The answer comes whole."""


class FailStep(Section):
    """The call fails without content."""

    failure_class: FailureClassName = Field(
        default=FailureClass.TRANSIENT, description="The class of the failure."
    )
    retry_after: Duration | None = Field(default=None, description="How long the provider asks to wait.")
    before_headers: Flag = Field(
        default=True, description="A stream is refused at once, or fails at its first read."
    )
    after_seconds: Duration = Field(default=timedelta(0), description="From the call's start to the failure.")


class TokensStep(Section):
    """Something happens after so many tokens."""

    after_tokens: Count = Field(default=0, description="How many tokens come before.")


class CutStep(Section):
    """The stream breaks after so many tokens."""

    after_tokens: Count = Field(description="How many tokens come before.")


class StallStep(TokensStep):
    """The answer falls silent for ever after so many tokens."""

    before_headers: Flag = Field(
        default=False, description="The stream is not even accepted; only with 0 tokens."
    )

    @model_validator(mode="after")
    def _headers_before_tokens(self) -> Self:
        if self.before_headers and self.after_tokens:
            raise refusal("tokens cannot come before the headers", "leave out after_tokens or before_headers")
        return self


class SlowStep(Section):
    """A whole answer that begins late."""

    first_content: Duration = Field(description="From the call's start to the first content.")


class StepForms(Choice):
    """What one call does: one of these forms."""

    ok: OkStep | None = Field(default=None, description="The answer comes whole.")
    fail: FailStep | None = Field(default=None, description="The call fails without content.")
    cut: CutStep | None = Field(default=None, description="The stream breaks after so many tokens.")
    stall: StallStep | None = Field(
        default=None, description="It falls silent for ever after so many tokens."
    )
    slow: SlowStep | None = Field(default=None, description="A whole answer that begins late.")
    malformed: TokensStep | None = Field(
        default=None, description="After so many tokens comes what is no answer."
    )
    filtered: TokensStep | None = Field(
        default=None, description="The content filter ends it after so many tokens."
    )


def _pace(given: object) -> object:
    return given if isinstance(given, dict | PaceForms) else {"fixed": {"seconds": given}}


Pace = Annotated[
    PaceForms,
    Kind(
        "duration or distribution",
        "a duration, or a distribution as in {lognormal: {median: 150ms, sigma: 0.2}}",
    ),
    BeforeValidator(_pace),
]
Step = Annotated[
    StepForms,
    Kind("step", "a step such as ok, fail or {cut: {after_tokens: 12}}"),
    from_word(StepForms, "step"),
]
AT_ONCE = PaceForms(fixed=FixedPace(seconds=timedelta(0)))


class ToolCallSettings(Section):
    """One tool call of an answer."""

    name: Text = Field(description="The tool.")
    arguments: LongText = Field(default="{}", description="The arguments as JSON text.")


class SimulatedTargetSettings(TargetFacts):
    """One simulated model."""

    answer: LongText | None = Field(
        default=None, description="`{prompt}` in it stands for the last user message; unset is a paragraph."
    )
    reasoning: LongText = Field(default="", description="Thought that comes before the answer.")
    tool_calls: tuple[ToolCallSettings, ...] = Field(default=(), description="They follow the text.")
    first_content: Pace = Field(default=AT_ONCE, description="From the call's start to the first token.")
    token_interval: Pace = Field(default=AT_ONCE, description="From one token to the next.")
    merge: Flag = Field(default=True, description="Tokens that are due come in one read, as from a socket.")
    confidence: Share | None = Field(default=None, description="What the model reports of itself.")
    failure_rate: Share = Field(
        default=0.0, description="Calls that fail before content, with `failure_class`."
    )
    failure_class: FailureClassName = Field(
        default=FailureClass.TRANSIENT, description="The class of those failures."
    )
    cut_rate: Share = Field(default=0.0, description="Calls whose stream breaks after a random token.")
    stall_rate: Share = Field(
        default=0.0, description="Calls that fall silent for ever after a random token."
    )
    rate_limit_rate: Share = Field(default=0.0, description="Calls that are RATE_LIMITED.")
    retry_after: Duration | None = Field(default=None, description="How long those ask to wait.")
    max_calls_per_second: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description="Calls above this rate are RATE_LIMITED."
    )
    script: tuple[Step, ...] = Field(
        default=(), description="One step a call, in order; while it lasts it takes the place of the rates."
    )
    after_script: Literal["repeat", "last", "plan"] = Field(
        default="plan", description="Afterwards: from its start again, its last step again, or the rates."
    )

    @model_validator(mode="after")
    def _rates_leave_room(self) -> Self:
        if fsum((self.failure_rate, self.cut_rate, self.stall_rate, self.rate_limit_rate)) > 1:
            raise refusal("the rates add up to more than 1", "lower one; what is left are whole answers")
        return self
