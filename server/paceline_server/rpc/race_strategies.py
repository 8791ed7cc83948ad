"""From the contract's strategies and limits of a race to the engines' rules, with every violation told."""

from __future__ import annotations

import math

from paceline.v1 import race_pb2
from paceline_server.rpc import enums
from paceline_server.rpc.requests import LONGEST_TIMEOUT, SHORTEST_TIMEOUT
from paceline_server.rpc.violations import Violations
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import MAXIMUM_CANDIDATE_COUNT
from paceline_server.strategies.racing.weighted import Weighted

MAXIMUM_RUBRIC_BYTES = 8192


def decode_strategy(
    wire: race_pb2.RaceStrategy, path: str, violations: Violations, candidate_count: int
) -> Rule:
    """The rule of a race of at most `candidate_count` candidates; without a kind it is `first`."""
    match violations.arm(wire, "kind", path):
        case "best":
            return _best(wire.best, f"{path}.best", violations)
        case "consensus":
            return _consensus(wire.consensus, f"{path}.consensus", violations, candidate_count)
        case "weighted":
            return Weighted()
        case "quality":
            return Quality(
                grace=violations.seconds(wire.quality, "grace", f"{path}.quality", 0, LONGEST_TIMEOUT)
            )
        case "hedged":
            return _hedged(wire.hedged, f"{path}.hedged", violations)
        case _:
            return _first(wire.first, f"{path}.first", violations)


def decode_limits(wire: race_pb2.RaceLimits, path: str, violations: Violations) -> RaceLimits:
    """What a race may take."""

    def seconds(name: str) -> float | None:
        return violations.seconds(wire, name, path, SHORTEST_TIMEOUT, LONGEST_TIMEOUT)

    return RaceLimits(
        max_cost_nano_usd=violations.number(wire, "max_cost_nano_usd", path, 0, math.inf),
        max_output_token_count=violations.number(wire, "max_output_token_count", path, 1, math.inf),
        max_started_count=violations.number(wire, "max_started_count", path, 1, math.inf),
        decision_timeout=seconds("decision_timeout"),
        first_content_timeout=seconds("first_content_timeout"),
        candidate_timeout=seconds("candidate_timeout"),
    )


def above_the_race(quorum: int, candidate_count: int) -> str:
    """What is wrong with a quorum that so many candidates cannot reach, and what to do."""
    return (
        f"is {quorum}, which is more than may agree; "
        f"write a number from 1 to {candidate_count}, or add candidates"
    )


def _first(wire: race_pb2.First, path: str, violations: Violations) -> First:
    return First(
        grace=violations.seconds(wire, "grace", path, 0, LONGEST_TIMEOUT) or 0.0,
        minimum_confidence=violations.number(wire, "minimum_confidence", path, 0, 1),
    )


def _best(wire: race_pb2.Best, path: str, violations: Violations) -> Best:
    path = f"{path}.scorer"
    match violations.arm(wire.scorer, "kind", path):
        case "judge":
            judge = wire.scorer.judge
            return Best(
                scorer=Scorer.JUDGE,
                judge=violations.spec(judge.model, f"{path}.judge.model"),
                rubric=violations.at_most_bytes(judge.rubric, MAXIMUM_RUBRIC_BYTES, f"{path}.judge.rubric"),
            )
        case "agreement":
            return Best(scorer=Scorer.AGREEMENT)
        case _:
            return Best(scorer=Scorer.LOGPROBS)


def _consensus(
    wire: race_pb2.Consensus, path: str, violations: Violations, candidate_count: int
) -> Consensus:
    equivalence = violations.choice(wire.equivalence, enums.EQUIVALENCE, f"{path}.equivalence")
    judge = ""
    if equivalence is Equivalence.JUDGE:
        judge = violations.spec(wire.judge_model, f"{path}.judge_model")
    quorum = violations.number(wire, "quorum", path, 1, math.inf)
    if quorum is not None and quorum > candidate_count:
        violations.add(f"{path}.quorum", above_the_race(quorum, candidate_count))
    return Consensus(
        equivalence=equivalence or Equivalence.NORMALIZED_TEXT,
        quorum=quorum,
        minimum_agreement=violations.number(wire, "minimum_agreement", path, 0, 1) or 0.0,
        judge=judge,
    )


def _hedged(wire: race_pb2.Hedged, path: str, violations: Violations) -> Hedged:
    plain = Hedged()
    violations.arm(wire, "trigger", path)
    quantile = violations.number(wire, "quantile", path, 0, 1, above_low=True, below_high=True)
    low = violations.seconds(wire, "minimum_delay", path, 0, LONGEST_TIMEOUT)
    high = violations.seconds(wire, "maximum_delay", path, SHORTEST_TIMEOUT, LONGEST_TIMEOUT)
    low, high = (
        plain.minimum_delay if low is None else low,
        plain.maximum_delay if high is None else high,
    )
    if low > high:
        violations.add(
            f"{path}.minimum_delay",
            f"is {low:g} s, above the maximum delay of {high:g} s; lower it, or raise maximum_delay",
        )
    count = violations.number(wire, "max_hedge_count", path, 0, MAXIMUM_CANDIDATE_COUNT - 1)
    return Hedged(
        delay=violations.seconds(wire, "delay", path, SHORTEST_TIMEOUT, LONGEST_TIMEOUT),
        quantile=quantile or plain.quantile,
        minimum_delay=low,
        maximum_delay=high,
        max_hedge_count=plain.max_hedge_count if count is None else count,
    )
