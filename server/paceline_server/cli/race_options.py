"""The options of `paceline race` that say how it is decided and what it may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from paceline_client.messages import RaceLimits, RaceStrategy
from paceline_client.race import EquivalenceName, StrategyName, equivalence_value

_NANO = 10**9
_MAXIMUM_DOLLARS = 9 * 10**9


class DollarsType(click.ParamType[int]):
    """An amount of US dollars, down to 1e-9; read as the contract counts it, in 1e-9 dollars."""

    name = "dollars"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """How help writes it."""
        return "DOLLARS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read one."""
        nano_usd = _exact_nano_usd(str(value).removeprefix("$"))
        if nano_usd is None:
            self.fail(
                f"{value!r} is not an amount in dollars; write one such as 0.02, down to 1e-9", param, ctx
            )
        return nano_usd


def _exact_nano_usd(text: str) -> int | None:
    try:
        nano_usd = Decimal(text) * _NANO
    except InvalidOperation:
        return None
    if not nano_usd.is_finite() or not 0 <= nano_usd <= _MAXIMUM_DOLLARS * _NANO or nano_usd % 1:
        return None
    return int(nano_usd)


@dataclass(frozen=True, slots=True)
class StrategyOptions:
    """What was asked of a strategy; None is what was not asked."""

    grace: timedelta | None
    delay: timedelta | None
    quantile: float | None
    quorum: int | None
    equivalence: EquivalenceName | None
    judge: str | None
    rubric: str | None


OPTIONS_OF: Mapping[StrategyName | None, tuple[str, ...]] = {
    "first": ("grace",),
    "best": ("judge", "rubric"),
    "consensus": ("quorum", "equivalence", "judge"),
    "quality": ("grace",),
    "hedged": ("delay", "quantile"),
}
"""Which options a strategy has."""


def strategy_of(name: StrategyName | None, options: StrategyOptions) -> RaceStrategy | None:
    """The strategy that was asked for; None leaves it to the gateway.

    Raises:
        click.UsageError: An option is for another strategy, or two of them contradict each other.
    """
    _check(name, options)
    if name is None:
        return None
    strategy = RaceStrategy()
    getattr(strategy, name).SetInParent()
    if options.grace is not None:
        getattr(strategy, name).grace.FromTimedelta(options.grace)
    if options.delay is not None:
        strategy.hedged.delay.FromTimedelta(options.delay)
    if options.quantile is not None:
        strategy.hedged.quantile = options.quantile
    if name == "best" and options.judge is not None:
        strategy.best.scorer.judge.model = options.judge
        strategy.best.scorer.judge.rubric = options.rubric or ""
    if name == "consensus":
        _write_consensus(strategy, options)
    return strategy


def check_quorum(quorum: int | None, models: Sequence[str], *, named: bool) -> None:
    """Refuse a quorum that `models` cannot reach; only the gateway knows how many those of a named race are.

    Raises:
        click.UsageError: It is larger than the race.
    """
    if quorum is not None and not named and quorum > len(models):
        raise click.UsageError(
            f"--quorum {quorum} is larger than the race, which has {len(models)} candidates; "
            f"write a number from 1 to {len(models)}, or name more models"
        )


def limits_of(
    max_cost_nano_usd: int | None, max_output_token_count: int | None, decision_timeout: timedelta | None
) -> RaceLimits | None:
    """What a race may take; None, where nothing is said, leaves it to the gateway."""
    if max_cost_nano_usd is None and max_output_token_count is None and decision_timeout is None:
        return None
    limits = RaceLimits(max_cost_nano_usd=max_cost_nano_usd, max_output_token_count=max_output_token_count)
    if decision_timeout is not None:
        limits.decision_timeout.FromTimedelta(decision_timeout)
    return limits


def _write_consensus(strategy: RaceStrategy, options: StrategyOptions) -> None:
    consensus = strategy.consensus
    if options.quorum is not None:
        consensus.quorum = options.quorum
    judged: EquivalenceName | None = None if options.judge is None else "judge"
    equivalence = options.equivalence or judged
    if equivalence is not None:
        consensus.equivalence = equivalence_value(equivalence)
    consensus.judge_model = options.judge or ""


def _check(name: StrategyName | None, options: StrategyOptions) -> None:
    for option in _given(options):
        if option not in OPTIONS_OF.get(name, ()):
            those = " or ".join(f"--strategy {one}" for one, has in OPTIONS_OF.items() if option in has)
            named = "" if name else "; name it here too if the race has it by its configuration"
            raise click.UsageError(f"--{option} is for {those}{named}")
    if options.delay is not None and options.quantile is not None:
        raise click.UsageError("--delay and --quantile are two ways to say the same; give one")
    if options.rubric is not None and options.judge is None:
        raise click.UsageError("--rubric is for a judge; name one with --judge")
    if options.equivalence == "judge" and options.judge is None:
        raise click.UsageError("--equivalence judge needs a judge; name one with --judge")
    if options.equivalence not in (None, "judge") and options.judge is not None:
        raise click.UsageError(f"--equivalence {options.equivalence} asks no judge; leave out --judge")


def _given(options: StrategyOptions) -> Iterator[str]:
    return (field.name for field in fields(options) if getattr(options, field.name) is not None)
