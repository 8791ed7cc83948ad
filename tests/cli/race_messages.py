"""Messages of races that several tests of the command line send."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.rpc.status_pb2 import Status

from paceline.v1.completion_pb2 import (
    ATTEMPT_OUTCOME_CANCELLED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_CLASS_TRANSIENT,
    FINISH_REASON_STOP,
    USAGE_STATE_REPORTED,
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Completion,
    Delta,
    OutputDiscarded,
    Part,
    Started,
    Target,
    Text,
    TextDelta,
    Usage,
)
from paceline.v1.race_pb2 import (
    CANDIDATE_OUTCOME_CANCELLED,
    CANDIDATE_OUTCOME_FAILED,
    CANDIDATE_OUTCOME_WON,
    RACE_DECISION_FIRST_CONTENT,
    RACE_DECISION_ONLY_SURVIVOR,
    Candidate,
    CandidateDelta,
    CandidateEnded,
    CandidateOutcome,
    CandidateOutputDiscarded,
    CandidateStarted,
    RaceDecision,
    RaceResponse,
    RaceSummary,
    StreamRaceResponse,
    WinnerSelected,
)

QUICK, SURE = Target(provider="p", model="quick"), Target(provider="p", model="sure")
STARTED = StreamRaceResponse(started=Started(call_id="c1"))


def used(output_token_count: int, cost_nano_usd: int) -> Usage:
    """What a candidate consumed, whose prompt had 3 tokens."""
    return Usage(
        input_token_count=3,
        output_token_count=output_token_count,
        cost_nano_usd=cost_nano_usd,
        state=USAGE_STATE_REPORTED,
    )


def entered(index: int, model: str) -> StreamRaceResponse:
    """A candidate starts."""
    return StreamRaceResponse(candidate_started=CandidateStarted(index=index, model=model))


def called(index: int, target: Target, path: str) -> StreamRaceResponse:
    """An attempt starts."""
    attempt = Attempt(index=index, target=target, path=path, try_number=1)
    return StreamRaceResponse(attempt_started=AttemptStarted(attempt=attempt))


def attempt_over(index: int, target: Target, path: str, **rest: Any) -> StreamRaceResponse:
    """An attempt ends."""
    attempt = Attempt(index=index, target=target, path=path, try_number=1, **rest)
    return StreamRaceResponse(attempt_ended=AttemptEnded(attempt=attempt))


def broken(index: int, target: Target, path: str) -> StreamRaceResponse:
    """An attempt fails."""
    return attempt_over(
        index,
        target,
        path,
        outcome=ATTEMPT_OUTCOME_FAILED,
        failure_class=FAILURE_CLASS_TRANSIENT,
        status=Status(message="the stream broke"),
    )


def selected(
    index: int, decision: RaceDecision.ValueType = RACE_DECISION_FIRST_CONTENT
) -> StreamRaceResponse:
    """The race is decided, after 0.3 s."""
    winner = WinnerSelected(index=index, decision=decision)
    winner.decision_latency.FromTimedelta(timedelta(seconds=0.3))
    return StreamRaceResponse(winner_selected=winner)


def written(text: str) -> StreamRaceResponse:
    """The winner's answer grows."""
    return StreamRaceResponse(delta=Delta(text=TextDelta(text=text)))


def written_by(index: int, text: str) -> StreamRaceResponse:
    """The answer of another grows."""
    delta = Delta(text=TextDelta(text=text))
    return StreamRaceResponse(candidate_delta=CandidateDelta(index=index, delta=delta))


def taken_back_by(index: int) -> StreamRaceResponse:
    """What another wrote is void."""
    return StreamRaceResponse(candidate_output_discarded=CandidateOutputDiscarded(index=index))


def candidate(
    index: int, model: str, outcome: CandidateOutcome.ValueType, usage: Usage | None = None, **rest: Any
) -> Candidate:
    """How a candidate fared, after 1.5 s."""
    fared = Candidate(index=index, model=model, outcome=outcome, usage=usage, **rest)
    fared.latency.FromTimedelta(timedelta(seconds=1.5))
    return fared


def fared(one: Candidate) -> StreamRaceResponse:
    """The end of a candidate is told."""
    return StreamRaceResponse(candidate_ended=CandidateEnded(candidate=one))


WINNER = candidate(1, "p/sure", CANDIDATE_OUTCOME_WON, used(4, 50_000))
WINNER.first_content_latency.FromTimedelta(timedelta(seconds=0.3))
LOSER = candidate(0, "p/quick", CANDIDATE_OUTCOME_CANCELLED, used(1, 20_000))


def response(text: str = "right", **summary: Any) -> RaceResponse:
    """The answer of candidate 1 of 2."""
    fields: dict[str, Any] = {
        "selected_index": 1,
        "candidates": [LOSER, WINNER],
        "decision": RACE_DECISION_FIRST_CONTENT,
        "candidate_count": 2,
        "loser_usage": used(1, 20_000),
    }
    told = RaceSummary(**{**fields, **summary})
    told.decision_latency.FromTimedelta(timedelta(seconds=0.3))
    completion = Completion(
        parts=[Part(text=Text(text=text))],
        finish_reason=FINISH_REASON_STOP,
        target=SURE,
        usage=used(4, 50_000),
    )
    return RaceResponse(call_id="c1", completion=completion, summary=told, total_usage=used(5, 70_000))


def race_stream() -> list[StreamRaceResponse]:
    """A race of two that the second wins."""
    return [
        STARTED,
        entered(0, "p/quick"),
        called(0, QUICK, "race[0]"),
        entered(1, "p/sure"),
        called(1, SURE, "race[1]"),
        selected(1),
        attempt_over(0, QUICK, "race[0]", outcome=ATTEMPT_OUTCOME_CANCELLED, usage=used(1, 20_000)),
        written("ri"),
        StreamRaceResponse(),
        written("ght"),
        attempt_over(1, SURE, "race[1]", outcome=ATTEMPT_OUTCOME_SUCCEEDED, usage=used(4, 50_000)),
        fared(LOSER),
        fared(WINNER),
        StreamRaceResponse(finished=response()),
    ]


def recovered_race() -> list[StreamRaceResponse]:
    """A race whose first winner broke after some text, and whose second answered."""
    failed = candidate(0, "p/quick", CANDIDATE_OUTCOME_FAILED, used(2, 20_000), attempts=[Attempt()])
    failed.status.message = "the stream broke"
    return [
        STARTED,
        entered(0, "p/quick"),
        entered(1, "p/sure"),
        selected(0),
        written("wro"),
        written("ng"),
        broken(0, QUICK, "race[0]"),
        StreamRaceResponse(output_discarded=OutputDiscarded(attempt_index=0)),
        called(2, SURE, "race[1]"),
        selected(1, RACE_DECISION_ONLY_SURVIVOR),
        written("right"),
        fared(failed),
        fared(WINNER),
        StreamRaceResponse(
            finished=response(candidates=[failed, WINNER], decision=RACE_DECISION_ONLY_SURVIVOR)
        ),
    ]
