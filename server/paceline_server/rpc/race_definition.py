"""A race of the configuration in the words of the contract: its candidates, its strategy and its limits."""

from __future__ import annotations

from paceline.v1 import completion_pb2, race_pb2, targets_pb2
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.rpc import enums
from paceline_server.rpc.encoding import write_duration
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import RaceSpec
from paceline_server.strategies.racing.weighted import Weighted


def write_race_definition(wire: targets_pb2.RaceDefinition, race: RaceSpec) -> None:
    """What a name that is a race stands for."""
    for candidate in race.candidates:
        entrant = wire.candidates.add(model=candidate.model, priority=candidate.priority)
        if candidate.config is not None:
            _write_config(entrant.config, candidate.config)
    _write_strategy(wire.strategy, race.rule)
    _write_limits(wire.limits, race.limits)


def _write_config(wire: completion_pb2.GenerationConfig, config: GenerationConfig) -> None:
    for name in _PLAIN:
        value = getattr(config, name)
        if value is not None:
            setattr(wire, name, value)
    wire.stop_sequences.extend(config.stop_sequences)
    if config.reasoning_effort is not None:
        wire.reasoning_effort = _REASONING_EFFORT[config.reasoning_effort]
    wire.cache_prompt = config.cache_prompt


_PLAIN = (
    "max_output_token_count",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
)
_REASONING_EFFORT = {effort: wire for wire, effort in enums.REASONING_EFFORT.items()}
_EQUIVALENCE = {equivalence: wire for wire, equivalence in enums.EQUIVALENCE.items()}


def _write_strategy(wire: race_pb2.RaceStrategy, rule: Rule) -> None:
    match rule:
        case First():
            write_duration(wire.first.grace, rule.grace)
            if rule.minimum_confidence is not None:
                wire.first.minimum_confidence = rule.minimum_confidence
        case Best():
            _write_scorer(wire.best.scorer, rule)
        case Consensus():
            wire.consensus.equivalence = _EQUIVALENCE[rule.equivalence]
            wire.consensus.minimum_agreement = rule.minimum_agreement
            wire.consensus.judge_model = rule.judge
            if rule.quorum is not None:
                wire.consensus.quorum = rule.quorum
        case Weighted():
            wire.weighted.SetInParent()
        case Quality():
            wire.quality.SetInParent()
            if rule.grace is not None:
                write_duration(wire.quality.grace, rule.grace)
        case Hedged():
            _write_hedged(wire.hedged, rule)


def _write_scorer(wire: race_pb2.Scorer, rule: Best) -> None:
    if rule.scorer is Scorer.JUDGE:
        wire.judge.model, wire.judge.rubric = rule.judge, rule.rubric
    else:
        getattr(wire, rule.scorer.value).SetInParent()


def _write_hedged(wire: race_pb2.Hedged, rule: Hedged) -> None:
    if rule.delay is None:
        wire.quantile = rule.quantile
    else:
        write_duration(wire.delay, rule.delay)
    write_duration(wire.minimum_delay, rule.minimum_delay)
    write_duration(wire.maximum_delay, rule.maximum_delay)
    wire.max_hedge_count = rule.max_hedge_count


def _write_limits(wire: race_pb2.RaceLimits, limits: RaceLimits) -> None:
    for name in ("max_cost_nano_usd", "max_output_token_count", "max_started_count"):
        if (count := getattr(limits, name)) is not None:
            setattr(wire, name, count)
    for name in ("decision_timeout", "first_content_timeout", "candidate_timeout"):
        if (seconds := getattr(limits, name)) is not None:
            write_duration(getattr(wire, name), seconds)
