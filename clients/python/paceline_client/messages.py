"""The messages that callers meet, by name, so that their code need not know the stubs' modules."""

from __future__ import annotations

from paceline.v1.chain_pb2 import ChainRequest, ChainResponse, StreamChainResponse
from paceline.v1.completion_pb2 import Attempt, Completion, Delta, Part, Target, Usage
from paceline.v1.errors_pb2 import CallFailure
from paceline.v1.race_pb2 import (
    AnswerGroup,
    Candidate,
    RaceCandidate,
    RaceLimits,
    RaceRequest,
    RaceResponse,
    RaceStrategy,
    RaceSummary,
    StreamRaceResponse,
    WinnerSelected,
)
from paceline.v1.targets_pb2 import (
    ListModelsResponse,
    ListTargetsResponse,
    ModelEntry,
    TargetChange,
    TargetPrice,
    TargetStatus,
    WatchTargetsResponse,
)

__all__ = [
    "AnswerGroup",
    "Attempt",
    "CallFailure",
    "Candidate",
    "ChainRequest",
    "ChainResponse",
    "Completion",
    "Delta",
    "ListModelsResponse",
    "ListTargetsResponse",
    "ModelEntry",
    "Part",
    "RaceCandidate",
    "RaceLimits",
    "RaceRequest",
    "RaceResponse",
    "RaceStrategy",
    "RaceSummary",
    "StreamChainResponse",
    "StreamRaceResponse",
    "Target",
    "TargetChange",
    "TargetPrice",
    "TargetStatus",
    "Usage",
    "WatchTargetsResponse",
    "WinnerSelected",
]
