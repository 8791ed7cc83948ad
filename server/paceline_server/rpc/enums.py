"""The enums of the contract beside those of the vocabulary: the same names, two spellings.

Built once from the descriptors, so that a value of the vocabulary that the contract does not name fails at
import. The contract may name more, which this version never sends.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from paceline.v1 import completion_pb2, race_pb2, targets_pb2
from paceline_server.completion.answer import ConfidenceSource, FinishReason
from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.content import Role
from paceline_server.completion.prompt import ReasoningEffort
from paceline_server.completion.race import CandidateOutcome, RaceDecision
from paceline_server.completion.usage import UsageState
from paceline_server.routing.catalog import ModelKind
from paceline_server.routing.directory import TargetState
from paceline_server.strategies.call import Recovery
from paceline_server.strategies.racing.equivalence import Equivalence

E = TypeVar("E", bound=Enum)


def _to_wire(kind: type[E], wire: Any, prefix: str) -> dict[E, Any]:
    return {value: wire.Value(prefix + value.name) for value in kind}


FINISH_REASON = _to_wire(FinishReason, completion_pb2.FinishReason, "FINISH_REASON_")
USAGE_STATE = _to_wire(UsageState, completion_pb2.UsageState, "USAGE_STATE_")
CONFIDENCE_SOURCE = _to_wire(ConfidenceSource, completion_pb2.ConfidenceSource, "CONFIDENCE_SOURCE_")
ATTEMPT_OUTCOME = _to_wire(AttemptOutcome, completion_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_")
FAILURE_CLASS = _to_wire(FailureClass, completion_pb2.FailureClass, "FAILURE_CLASS_")
CANDIDATE_OUTCOME = _to_wire(CandidateOutcome, race_pb2.CandidateOutcome, "CANDIDATE_OUTCOME_")
RACE_DECISION = _to_wire(RaceDecision, race_pb2.RaceDecision, "RACE_DECISION_")
TARGET_STATE = _to_wire(TargetState, targets_pb2.TargetState, "TARGET_STATE_")
MODEL_KIND = _to_wire(ModelKind, targets_pb2.ModelKind, "MODEL_KIND_")

ROLE = {wire: value for value, wire in _to_wire(Role, completion_pb2.Role, "ROLE_").items()}
REASONING_EFFORT = {
    wire: value
    for value, wire in _to_wire(ReasoningEffort, completion_pb2.ReasoningEffort, "REASONING_EFFORT_").items()
}
EQUIVALENCE = {
    wire: value for value, wire in _to_wire(Equivalence, race_pb2.Equivalence, "EQUIVALENCE_").items()
}
RECOVERY = {wire: value for value, wire in _to_wire(Recovery, completion_pb2.Recovery, "RECOVERY_").items()}
