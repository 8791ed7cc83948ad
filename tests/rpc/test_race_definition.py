"""A configured race is told whole: it can be asked again from what was told (RaceDefinition)."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from paceline.v1 import targets_pb2
from paceline_server.completion.prompt import GenerationConfig, ReasoningEffort
from paceline_server.rpc.race_definition import write_race_definition
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from paceline_server.strategies.racing.weighted import Weighted

BOUNDS = "minimum_delay {nanos: 50000000} maximum_delay {seconds: 2}"


def told(race: RaceSpec) -> targets_pb2.RaceDefinition:
    """A race as it travels."""
    wire = targets_pb2.RaceDefinition()
    write_race_definition(wire, race)
    return wire


@pytest.mark.parametrize(
    ("rule", "strategy"),
    [
        (First(), "first {grace {}}"),
        (First(0.2, 0.0), "first {grace {nanos: 200000000} minimum_confidence: 0}"),
        (Best(), "best {scorer {logprobs {}}}"),
        (Best(Scorer.AGREEMENT), "best {scorer {agreement {}}}"),
        (
            Best(Scorer.JUDGE, "p/j", "Short."),
            "best {scorer {judge {model: 'p/j' rubric: 'Short.'}}}",
        ),
        (Consensus(), "consensus {equivalence: EQUIVALENCE_NORMALIZED_TEXT minimum_agreement: 0}"),
        (
            Consensus(Equivalence.JUDGE, 2, 0.5, "p/j"),
            "consensus {equivalence: EQUIVALENCE_JUDGE quorum: 2 minimum_agreement: 0.5 judge_model: 'p/j'}",
        ),
        (Weighted(), "weighted {}"),
        (Quality(), "quality {}"),
        (Quality(0.0), "quality {grace {}}"),
        (
            Hedged(),
            f"hedged {{quantile: 0.95 {BOUNDS} max_hedge_count: 1}}",
        ),
        (
            Hedged(delay=1.5, max_hedge_count=0),
            f"hedged {{delay {{seconds: 1 nanos: 500000000}} {BOUNDS} max_hedge_count: 0}}",
        ),
    ],
)
def test_every_strategy_is_told_with_its_settings(rule: Rule, strategy: str) -> None:
    """RaceDefinition.strategy: what applies where a request does not say, defaults included."""
    wire = told(RaceSpec((CandidateSpec("p/1"),), rule))
    expected = f"candidates {{model: 'p/1'}} limits {{}} strategy {{{strategy}}}"
    assert wire.strategy == text_format.Parse(expected, targets_pb2.RaceDefinition()).strategy


def test_candidates_and_limits_are_told() -> None:
    """RaceDefinition.candidates, limits: only what is set, zero included."""
    config = GenerationConfig(
        max_output_token_count=9,
        temperature=0.0,
        stop_sequences=("END",),
        reasoning_effort=ReasoningEffort.LOW,
    )
    wire = told(
        RaceSpec(
            (CandidateSpec("p/1"), CandidateSpec("p/2,q/1", config, -3)),
            Weighted(),
            RaceLimits(max_cost_nano_usd=0, max_started_count=2, candidate_timeout=1.5),
        )
    )
    expected = """
        candidates {model: 'p/1'}
        candidates {
            model: 'p/2,q/1' priority: -3
            config {
                max_output_token_count: 9 temperature: 0 stop_sequences: 'END'
                reasoning_effort: REASONING_EFFORT_LOW
            }
        }
        strategy {weighted {}}
        limits {max_cost_nano_usd: 0 max_started_count: 2 candidate_timeout {seconds: 1 nanos: 500000000}}
    """
    assert wire == text_format.Parse(expected, targets_pb2.RaceDefinition())
