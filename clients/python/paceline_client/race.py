"""Calls of RaceService: a prompt in, and the answer of one of several models out, whole or as it is written.

Raises the typed errors of `errors`; leaves the folding of streams to `fold`, whose `Fold` holds the winner's
answer and nobody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, get_args

from paceline.v1.completion_pb2 import RECOVERY_UNSPECIFIED
from paceline.v1.race_pb2 import (
    Equivalence,
    RaceCandidate,
    RaceLimits,
    RaceRequest,
    RaceResponse,
    RaceStrategy,
    StreamRaceResponse,
)
from paceline.v1.race_pb2_grpc import RaceServiceStub
from paceline_client.choices import checked
from paceline_client.connect import Channel
from paceline_client.errors import typed_errors
from paceline_client.prompt import RecoveryName, recovery_value, text_prompt
from paceline_client.stream import AnswerStream, seconds

StrategyName = Literal["first", "best", "consensus", "weighted", "quality", "hedged"]
EquivalenceName = Literal["normalized_text", "json", "number", "tool_call", "judge"]


def race_request(
    models: str | Sequence[str | RaceCandidate],
    text: str,
    *,
    strategy: StrategyName | RaceStrategy | None = None,
    limits: RaceLimits | None = None,
    system: str = "",
    recovery: RecoveryName | None = None,
    max_output_token_count: int | None = None,
    stream_all_candidates: bool = False,
) -> RaceRequest:
    """A request for the common case: one question, perhaps with an instruction before it.

    Args:
        models: The candidates, each a spec or a message with settings of its own; or, as one text, the name
            of a virtual model that is a race.
        strategy: How the winner is chosen: by name, with its defaults, or as a message. None leaves it to
            the virtual model, or to the gateway's default.
        limits: What the race may take; None leaves it to the virtual model, or to the deadline.
        stream_all_candidates: Let a stream tell what the others write, too.

    Raises:
        ValueError: `strategy` or `recovery` names none that there is.
    """
    name, candidates = (models, ()) if isinstance(models, str) else ("", models)
    return RaceRequest(
        model=name,
        candidates=map(_candidate, candidates),
        prompt=text_prompt(text, system=system, max_output_token_count=max_output_token_count),
        strategy=_strategy(strategy) if isinstance(strategy, str) else strategy,
        limits=limits,
        recovery=RECOVERY_UNSPECIFIED if recovery is None else recovery_value(recovery),
        stream_all_candidates=stream_all_candidates,
    )


async def race(
    channel: Channel, request: RaceRequest, *, time_limit: timedelta | None = None
) -> RaceResponse:
    """Ask for the winner's whole answer.

    Args:
        time_limit: For the whole call; None leaves it to the gateway's maximum. The race is decided a little
            before it ends.

    Raises:
        CallFailed: There is no answer.
    """
    with typed_errors():
        return await RaceServiceStub(channel).Race(request, timeout=seconds(time_limit))


def stream_race(
    channel: Channel, request: RaceRequest, *, time_limit: timedelta | None = None
) -> AnswerStream[StreamRaceResponse]:
    """Ask for the answer as the winner writes, and for how the race goes.

    Args:
        time_limit: For the whole call; None leaves it to the gateway's maximum. The race is decided a little
            before it ends.
    """
    return AnswerStream(RaceServiceStub(channel).StreamRace(request, timeout=seconds(time_limit)))


def equivalence_value(name: EquivalenceName) -> Equivalence.ValueType:
    """An equivalence of answers by its name.

    Raises:
        ValueError: There is none of that name.
    """
    return Equivalence.Value(f"EQUIVALENCE_{checked(name, 'equivalence', get_args(EquivalenceName)).upper()}")


def _candidate(model: str | RaceCandidate) -> RaceCandidate:
    return RaceCandidate(model=model) if isinstance(model, str) else model


def _strategy(name: StrategyName) -> RaceStrategy:
    strategy = RaceStrategy()
    getattr(strategy, checked(name, "strategy", get_args(StrategyName))).SetInParent()
    return strategy
