"""Settings of the engines: the clocks and tries of attempts, health, and the budgets of additional attempts.

The defaults are those of the engines' own configurations, which these sections turn into.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from paceline_server.health.budget import HEDGES, BudgetConfig
from paceline_server.health.machine import HealthConfig
from paceline_server.settings.secret import refusal
from paceline_server.settings.section import Section
from paceline_server.settings.values import Count, Duration, Number, PositiveDuration, Share
from paceline_server.strategies.call import AttemptConfig

_ATTEMPTS = AttemptConfig()
_HEALTH = HealthConfig()
_BUDGET = BudgetConfig()


def _duration(seconds: float, description: str) -> Any:
    return Field(default=timedelta(seconds=seconds), description=description)


class AttemptSettings(Section):
    """Clocks and tries of an attempt, which is one call to one target (rules A1, A7, C1, C5)."""

    connect_timeout: PositiveDuration = _duration(5, "For the name, the connection and TLS together.")
    first_content_timeout: PositiveDuration = _duration(
        _ATTEMPTS.first_content_timeout,
        "Streams: until the first content. The last target that is left is exempt.",
    )
    reasoning_first_content_timeout: PositiveDuration = _duration(
        _ATTEMPTS.reasoning_first_content_timeout, "The same for targets with `reasons_unseen`."
    )
    gap_timeout: PositiveDuration = _duration(_ATTEMPTS.gap_timeout, "Streams: from one content to the next.")
    reasoning_gap_timeout: PositiveDuration = _duration(
        _ATTEMPTS.reasoning_gap_timeout, "The same for targets with `reasons_unseen`."
    )
    attempt_timeout: PositiveDuration = _duration(
        _ATTEMPTS.attempt_timeout, "Unary calls: until the whole answer."
    )
    reasoning_attempt_timeout: PositiveDuration = _duration(
        _ATTEMPTS.reasoning_attempt_timeout, "The same for targets with `reasons_unseen`."
    )
    overtake_after: Duration = _duration(
        _ATTEMPTS.overtake_after,
        "Streams: the next target starts beside one without content for so long; 0 for never.",
    )
    reasoning_overtake_after: Duration = _duration(
        _ATTEMPTS.reasoning_overtake_after,
        "The same for targets with `reasons_unseen`, unary calls included.",
    )
    unary_overtake_after: Duration = _duration(
        _ATTEMPTS.unary_overtake_after, "Unary calls: the same for one without its answer."
    )
    overtake_quantile: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="As in 0.99: the next target starts after this quantile of what the slow one usually "
        "takes, once enough calls were observed; unset: as above.",
    )
    transient_retry_count: Annotated[Count, Field(le=100)] = Field(
        default=_ATTEMPTS.transient_retry_count,
        description="Further tries on the same target before the next one.",
    )
    longest_retry_wait: Duration = _duration(
        _ATTEMPTS.longest_retry_wait, "A provider that asks to wait longer is not retried in this call."
    )
    retry_backoff: Duration = _duration(
        _ATTEMPTS.retry_backoff, "The wait before a first retry; it doubles, with jitter."
    )
    additional_attempts: Annotated[Count, Field(le=1000)] = Field(
        default=_ATTEMPTS.additional_attempts,
        description="What one call may start beyond its first attempt: retries and failovers together.",
    )
    hold_token_count: Count = Field(
        default=_ATTEMPTS.hold_token_count,
        description="Recovery HOLD: how many tokens are buffered before the caller gets any.",
    )

    def to_attempt_config(self) -> AttemptConfig:
        """For the engine; `connect_timeout` is the providers'."""
        return AttemptConfig(**self.plain(leave_out={"connect_timeout"}))


class HealthSettings(Section):
    """When targets and providers are benched, and how they return (rules H1, H2)."""

    failure_threshold: Annotated[Count, Field(ge=1)] = Field(
        default=_HEALTH.failure_threshold, description="Consecutive failed calls before a target is benched."
    )
    base: PositiveDuration = _duration(_HEALTH.base, "The first bench; each round doubles it.")
    maximum: PositiveDuration = _duration(_HEALTH.maximum, "The longest bench.")
    jitter: Share = Field(
        default=_HEALTH.jitter, description="Each bench is longer or shorter by up to this share of itself."
    )
    provider_bench: PositiveDuration = _duration(
        _HEALTH.provider_bench,
        "The bench of a provider whose quota or credentials failed, unless it says until when; "
        "less than `base` counts as not said.",
    )
    ramp: Duration = _duration(_HEALTH.ramp, "How long traffic takes to come back after a good probe.")
    ramp_shares: tuple[Share, ...] = Field(
        default=_HEALTH.ramp_shares, description="Shares of traffic in equal slices of `ramp`, ascending."
    )
    probe_lease: PositiveDuration = _duration(
        _HEALTH.probe_lease, "A probe that never reports is forgotten then."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.base > self.maximum:
            raise refusal("base is longer than maximum", "raise maximum or lower base")
        if list(self.ramp_shares) != sorted(self.ramp_shares):
            raise refusal("ramp_shares do not ascend", "sort them, as in [0.1, 0.25, 0.5]")
        return self

    def to_health_config(self) -> HealthConfig:
        """For the registry of health."""
        return HealthConfig(**self.plain())


class RetryBudgetSettings(Section):
    """What all calls together may start in addition: retries, failovers, hedges, judges (rule C6)."""

    share_of_calls: Share = Field(
        default=_BUDGET.share_of_calls, description="Additional attempts that each offered call grants."
    )
    per_second: Number = Field(
        default=_BUDGET.per_second, description="Additional attempts that each second grants."
    )
    burst: Annotated[Number, Field(ge=1)] = Field(
        default=_BUDGET.burst, description="The most that can be saved up."
    )

    def to_budget_config(self) -> BudgetConfig:
        """For the budget."""
        return BudgetConfig(**self.plain())


class HedgeBudgetSettings(Section):
    """What all calls together may start beside slow attempts (rules C7, R4); starts with one hedge."""

    share_of_calls: Share = Field(
        default=HEDGES.share_of_calls, description="Hedges that each offered call grants."
    )
    per_second: Number = Field(default=HEDGES.per_second, description="Hedges that each second grants.")
    burst: Annotated[Number, Field(ge=1)] = Field(
        default=HEDGES.burst, description="The most that can be saved up."
    )

    def to_budget_config(self) -> BudgetConfig:
        """For the bucket of hedges."""
        return BudgetConfig(**self.plain(), start=HEDGES.start)
