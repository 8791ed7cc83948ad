"""From a RaceRequest to what the engines take: the candidates or their name, the rule, the prompt.

Strategies and limits are read in `race_strategies`.
"""

from __future__ import annotations

from paceline.v1 import completion_pb2, race_pb2
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import GenerationConfig, Prompt
from paceline_server.rpc import enums
from paceline_server.rpc.bounds import MAXIMUM_STOP_SEQUENCE_COUNT, check_count
from paceline_server.rpc.call_context import check_context
from paceline_server.rpc.prompts import decode_config, decode_prompt
from paceline_server.rpc.race_strategies import decode_limits, decode_strategy
from paceline_server.rpc.violations import Violations
from paceline_server.strategies.call import ChainOptions, Recovery
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import MAXIMUM_CANDIDATE_COUNT, CandidateSpec


@immutable(frozen=True, slots=True)
class RaceCall:
    """A decoded request.

    Attributes:
        name: Of a virtual model that is a race; empty if `candidates` are the race.
        rule: None leaves it to the virtual model, or to the default.
        limits: None leaves them to the virtual model.
        tells_all: What the others write is wanted, too.
    """

    name: str
    candidates: tuple[CandidateSpec, ...]
    rule: Rule | None
    limits: RaceLimits | None
    prompt: Prompt
    options: ChainOptions
    tells_all: bool


def decode_race_request(wire: race_pb2.RaceRequest) -> RaceCall:
    """Decode and check a request.

    Raises:
        InvalidRequest: Fields are wrong; all of them are told.
        InvalidSpec: Nothing is wrong but specs; all of them are told.
        Refused: The caller counts on something that this version does not do.
    """
    violations = Violations()
    prompt = decode_prompt(wire.prompt, "prompt", violations)
    candidates = _candidates(wire, violations)
    rule = None
    if wire.HasField("strategy"):
        rule = decode_strategy(
            wire.strategy, "strategy", violations, len(candidates) or MAXIMUM_CANDIDATE_COUNT
        )
    limits = decode_limits(wire.limits, "limits", violations) if wire.HasField("limits") else None
    recovery = violations.choice(wire.recovery, enums.RECOVERY, "recovery") or Recovery.RESTART
    check_context(wire, violations)
    options = ChainOptions(recovery=recovery)
    return RaceCall(wire.model, candidates, rule, limits, prompt, options, wire.stream_all_candidates)


def _candidates(wire: race_pb2.RaceRequest, violations: Violations) -> tuple[CandidateSpec, ...]:
    if not wire.candidates and not wire.model:
        violations.add("candidates", "is empty, and so is model; list the models, or name a race by model")
    if wire.candidates and wire.model:
        violations.add(
            "model", "is set, and so are candidates; a race has its candidates or a name, not both"
        )
    if not check_count(wire.candidates, MAXIMUM_CANDIDATE_COUNT, "candidates", violations):
        return ()
    return tuple(
        _candidate(candidate, f"candidates[{index}]", violations)
        for index, candidate in enumerate(wire.candidates)
    )


def _candidate(wire: race_pb2.RaceCandidate, path: str, violations: Violations) -> CandidateSpec:
    config = _config(wire.config, f"{path}.config", violations) if wire.HasField("config") else None
    return CandidateSpec(violations.spec(wire.model, f"{path}.model"), config, wire.priority)


def _config(
    wire: completion_pb2.GenerationConfig, path: str, violations: Violations
) -> GenerationConfig | None:
    few = check_count(wire.stop_sequences, MAXIMUM_STOP_SEQUENCE_COUNT, f"{path}.stop_sequences", violations)
    return decode_config(wire, path, violations) if few else None
