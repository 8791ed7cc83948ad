"""The options of a race become its strategy and its limits, or are refused with a remedy."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any, get_args

import click
import pytest

from paceline.v1.race_pb2 import EQUIVALENCE_JSON, EQUIVALENCE_JUDGE, Equivalence, RaceStrategy
from paceline_client.race import EquivalenceName, StrategyName, equivalence_value
from paceline_server.cli.race_options import (
    OPTIONS_OF,
    DollarsType,
    StrategyOptions,
    check_quorum,
    limits_of,
    strategy_of,
)

GIVEN: dict[str, Any] = {
    "grace": timedelta(seconds=1),
    "delay": timedelta(seconds=2),
    "quantile": 0.5,
    "quorum": 2,
    "equivalence": "json",
    "judge": "p/judge",
    "rubric": "Short is good.",
}


def asked(**options: Any) -> StrategyOptions:
    """What was given, and nothing else."""
    return StrategyOptions(**{**dict.fromkeys(field.name for field in fields(StrategyOptions)), **options})


@pytest.mark.parametrize("name", get_args(StrategyName))
def test_a_strategy_needs_no_options(name: StrategyName) -> None:
    """A name alone is the strategy with its defaults."""
    strategy = strategy_of(name, asked())
    expected = RaceStrategy()
    getattr(expected, name).SetInParent()
    assert strategy == expected


def test_no_strategy_is_left_to_the_gateway() -> None:
    """Nothing is sent that would outrank the named race."""
    assert strategy_of(None, asked()) is None
    assert limits_of(None, None, None) is None


def test_options_are_those_of_the_contract() -> None:
    """Each option reaches its field."""
    quality = strategy_of("quality", asked(grace=timedelta(seconds=1)))
    first = strategy_of("first", asked(grace=timedelta(seconds=1)))
    best = strategy_of("best", asked(judge="p/j", rubric="Be strict."))
    consensus = strategy_of("consensus", asked(quorum=2, equivalence="json"))
    judged = strategy_of("consensus", asked(judge="p/j"))
    delayed = strategy_of("hedged", asked(delay=timedelta(seconds=2)))
    quantile = strategy_of("hedged", asked(quantile=0.5))
    assert quality is not None
    assert quality.quality.grace.ToTimedelta() == timedelta(seconds=1)
    assert first is not None
    assert first.first.grace.ToTimedelta() == timedelta(seconds=1)
    assert best is not None
    assert (best.best.scorer.judge.model, best.best.scorer.judge.rubric) == ("p/j", "Be strict.")
    assert consensus is not None
    assert (consensus.consensus.quorum, consensus.consensus.equivalence) == (2, EQUIVALENCE_JSON)
    assert judged is not None
    assert (judged.consensus.judge_model, judged.consensus.equivalence) == ("p/j", EQUIVALENCE_JUDGE)
    assert delayed is not None
    assert delayed.hedged.delay.ToTimedelta() == timedelta(seconds=2)
    assert quantile is not None
    assert quantile.hedged.quantile == 0.5


@pytest.mark.parametrize("option", GIVEN)
@pytest.mark.parametrize("name", [*get_args(StrategyName), None])
def test_an_option_of_another_strategy_is_refused(name: StrategyName | None, option: str) -> None:
    """What would have no effect is not passed over, and the message says where it belongs."""
    if option in OPTIONS_OF.get(name, ()):
        return
    with pytest.raises(click.UsageError, match=f"--{option} is for --strategy"):
        strategy_of(name, asked(**{option: GIVEN[option]}))


def test_an_option_without_its_strategy_says_that_a_named_race_is_no_exception() -> None:
    """What the configuration says of a race is not known here."""
    with pytest.raises(click.UsageError, match="--strategy consensus; name it here too if the race has it"):
        strategy_of(None, asked(quorum=3))
    with pytest.raises(click.UsageError, match=r"--strategy consensus$"):
        strategy_of("best", asked(quorum=3))


def test_a_quorum_above_the_race_is_refused() -> None:
    """As by a check of a configuration, with the numbers that are possible; names are for the gateway."""
    with pytest.raises(click.UsageError, match="write a number from 1 to 2, or name more models"):
        check_quorum(3, ["a/b", "a/c"], named=False)
    check_quorum(2, ["a/b", "a/c"], named=False)
    check_quorum(None, ["a/b"], named=False)
    check_quorum(3, ["panel"], named=True)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("hedged", {"delay": timedelta(seconds=1), "quantile": 0.5}, "give one"),
        ("best", {"rubric": "Be strict."}, "name one with --judge"),
        ("consensus", {"equivalence": "judge"}, "name one with --judge"),
        ("consensus", {"equivalence": "json", "judge": "p/j"}, "leave out --judge"),
    ],
)
def test_a_contradiction_is_refused(name: StrategyName, options: dict[str, Any], said: str) -> None:
    """Options that do not go together are told with what to do."""
    with pytest.raises(click.UsageError, match=said):
        strategy_of(name, asked(**options))


def test_each_equivalence_has_a_name() -> None:
    """None of the contract's equivalences is forgotten."""
    named = {equivalence_value(name) for name in get_args(EquivalenceName)}
    assert named == set(Equivalence.values()) - {0}


def test_limits_are_those_of_the_contract() -> None:
    """Each limit reaches its field; what is not given stays unset."""
    limits = limits_of(20_000_000, None, timedelta(seconds=3))
    assert limits is not None
    assert limits.max_cost_nano_usd == 20_000_000
    assert not limits.HasField("max_output_token_count")
    assert limits.decision_timeout.ToTimedelta() == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("text", "nano_usd"), [("0.02", 20_000_000), ("$1", 10**9), ("0", 0), ("1e-9", 1), ("0.000000001", 1)]
)
def test_money_is_read_exactly(text: str, nano_usd: int) -> None:
    """Dollars become the contract's unit without rounding."""
    assert DollarsType().convert(text, None, None) == nano_usd


@pytest.mark.parametrize("text", ["", "free", "-1", "1e-10", "nan", "inf", "1e12", "0.02 EUR"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Nothing is guessed or rounded, and the remedy shows an amount."""
    with pytest.raises(click.BadParameter, match="write one such as"):
        DollarsType().convert(text, None, None)
