"""What a race's settings become: candidates, rules with the rules' own defaults, and limits (R1 to R9)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import yaml

from paceline_server.completion.prompt import GenerationConfig, ReasoningEffort
from paceline_server.settings.generation import GenerationSettings
from paceline_server.settings.models import ModelSettings
from paceline_server.settings.races import RaceLimitSettings
from paceline_server.settings.schema import Settings, redacted
from paceline_server.settings.strategies import StrategyForms
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import CandidateSpec
from paceline_server.strategies.racing.weighted import Weighted


def race_of(text: str) -> ModelSettings:
    """A model as a file has it."""
    return ModelSettings.model_validate(yaml.safe_load(text))


def rule_of(strategy: str) -> Rule:
    """The rule of a strategy as a file has it."""
    return race_of(f"{{race: [p/1, p/2], strategy: {strategy}}}").to_race().rule


@pytest.mark.parametrize(
    ("strategy", "rule"),
    [
        ("first", First()),
        ("{first: {grace: 200ms, minimum_confidence: 0.5}}", First(0.2, 0.5)),
        ("best", Best()),
        ("{best: {scorer: logprobs}}", Best(Scorer.LOGPROBS)),
        ("{best: {scorer: agreement}}", Best(Scorer.AGREEMENT)),
        ("{best: {scorer: {judge: {model: p/j}}}}", Best(Scorer.JUDGE, "p/j")),
        ("{best: {scorer: {judge: {model: p/j, rubric: Short.}}}}", Best(Scorer.JUDGE, "p/j", "Short.")),
        ("consensus", Consensus()),
        (
            "{consensus: {quorum: 2, equivalence: json, minimum_agreement: 0.5}}",
            Consensus(Equivalence.JSON, 2, 0.5),
        ),
        (
            "{consensus: {equivalence: judge, judge_model: p/j}}",
            Consensus(Equivalence.JUDGE, None, 0.0, "p/j"),
        ),
        ("weighted", Weighted()),
        ("{weighted: {}}", Weighted()),
        ("quality", Quality()),
        ("{quality: {grace: 1s}}", Quality(1.0)),
        ("hedged", Hedged()),
        ("{hedged: {quantile: 0.9, max_hedges: 2}}", Hedged(quantile=0.9, max_hedge_count=2)),
        ("{hedged: {max_hedge_count: 0}}", Hedged(max_hedge_count=0)),
        ("{hedged: {delay: 300ms}}", Hedged(delay=0.3)),
        (
            "{hedged: {minimum_delay: 1s, maximum_delay: 3s}}",
            Hedged(minimum_delay=1.0, maximum_delay=3.0),
        ),
    ],
)
def test_every_strategy_becomes_its_rule(strategy: str, rule: Rule) -> None:
    """R3 to R7: a bare word, or a mapping with one key; what is not set is the rule's own default."""
    assert rule_of(strategy) == rule


def test_without_a_strategy_the_first_wins() -> None:
    """RaceDefinition.strategy: unset is `first`, and without limits there are none."""
    race = race_of("{race: [p/1]}").to_race()
    assert (race.rule, race.limits) == (First(), NO_LIMITS)


RULES = {
    "first": First,
    "best": Best,
    "consensus": Consensus,
    "weighted": Weighted,
    "quality": Quality,
    "hedged": Hedged,
}
WRITTEN_OTHERWISE = {"best": {"judge", "rubric"}, "consensus": {"judge"}}
"""Numbers of the rules that have another name as settings."""


def test_every_number_of_the_rules_is_a_setting() -> None:
    """A new strategy, or a new number of one, cannot be forgotten here."""
    assert set(StrategyForms.model_fields) == set(RULES)
    for name, rule in RULES.items():
        form: Any = getattr(StrategyForms.model_validate({name: {}}), name)
        needed = {field.name for field in fields(rule)} - WRITTEN_OTHERWISE.get(name, set())
        assert needed <= set(type(form).model_fields), name


def test_candidates_have_settings_and_a_priority_of_their_own() -> None:
    """R1: a spec alone or a mapping, the same one twice; the order is that of the indices."""
    race = race_of(
        "{race: [p/1, {model: 'q/2,p/1', priority: -2, config: "
        "{temperature: 0, reasoning_effort: none, seed: -7, stop_sequences: [END]}}, p/1]}"
    )
    config = GenerationConfig(
        temperature=0.0, seed=-7, stop_sequences=("END",), reasoning_effort=ReasoningEffort.NONE
    )
    assert race.to_race().candidates == (
        CandidateSpec("p/1"),
        CandidateSpec("q/2,p/1", config, -2),
        CandidateSpec("p/1"),
    )
    assert race.specs == ("p/1", "q/2,p/1", "p/1")


def test_every_setting_of_the_generation_can_be_a_candidates_own() -> None:
    """RaceCandidate.config: what a prompt can set, and the same defaults; what the race asks is its own."""
    every = {field.name for field in fields(GenerationConfig)}
    assert set(GenerationSettings.model_fields) == every - {"logprobs"}
    assert GenerationSettings().to_generation_config() == GenerationConfig()


def test_limits_become_nano_usd_and_seconds() -> None:
    """R9: money is exact to 1e-9 USD; durations are seconds; every limit is a setting."""
    limits = race_of(
        "{race: [p/1], limits: {max_cost_usd: 0.15, max_output_token_count: 10, max_started_count: 3,"
        " decision_timeout: 1m, first_content_timeout: 250ms, candidate_timeout: 2s}}"
    )
    assert limits.to_race().limits == RaceLimits(150_000_000, 10, 3, 60.0, 0.25, 2.0)
    assert race_of("{race: [p/1], limits: {max_cost_usd: 0}}").to_race().limits == RaceLimits(0)
    engines, settings = {field.name for field in fields(RaceLimits)}, set(RaceLimitSettings.model_fields)
    assert engines ^ settings == {"max_cost_nano_usd", "max_cost_usd"}


@pytest.mark.parametrize(
    ("strategy", "judge", "asked"),
    [
        ("first", None, ""),
        ("{best: {scorer: {judge: {model: p/j}}}}", ("best", "scorer", "judge", "model"), "p/j"),
        ("{consensus: {equivalence: judge, judge_model: p/j}}", ("consensus", "judge_model"), "p/j"),
        ("{consensus: {judge_model: p/j}}", ("consensus", "judge_model"), ""),
    ],
)
def test_the_judge_is_known_with_its_place(strategy: str, judge: tuple[str, ...] | None, asked: str) -> None:
    """R5, R6: its spec is checked where it is written, also where the equivalence asks for no judge."""
    race = race_of(f"{{race: [p/1], strategy: {strategy}}}")
    specs = [(("race", 0), "p/1")]
    assert list(race.placed_specs()) == specs + ([(("strategy", *judge), "p/j")] if judge else [])
    assert race.judge == asked


def test_a_race_is_written_as_it_is_read() -> None:
    """What `config check --json` prints is a configuration again."""
    strategies = ["best", "{best: {scorer: {judge: {model: p/j}}}}", "{hedged: {delay: 1s}}", "weighted"]
    models = {
        f"m{index}": yaml.safe_load(f"{{race: [p/1, {{model: p/2, priority: 1}}], strategy: {strategy}}}")
        for index, strategy in enumerate(strategies)
    }
    once = redacted(Settings.model_validate({"models": models}))
    again = Settings.model_validate(once)
    assert redacted(again) == once
    first = Settings.model_validate({"models": models})
    assert [model.to_race() for model in again.models.values()] == [
        model.to_race() for model in first.models.values()
    ]
