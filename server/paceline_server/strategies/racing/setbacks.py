"""Why a race came to no answer: what each candidate failed of, and what its caller is told (rule R8)."""

from __future__ import annotations

from functools import partial

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure, CallFailed, ErrorReason
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Setback, Telling, Unanswered
from paceline_server.strategies.racing.allowance import LimitReached
from paceline_server.strategies.racing.contest import Contest
from paceline_server.strategies.verdict import deadline_exceeded

EMPTY = FailureClass.MALFORMED_RESPONSE, "its answer was empty"
SLOW = FailureClass.TIMEOUT, "it had no answer when its time was up"


def setbacks(contest: Contest) -> list[Setback]:
    """Why candidates gave no answer, the first cause first."""
    lanes = sorted(contest.lanes.values(), key=lambda lane: lane.ended_at or 0.0)
    return [setback for lane in lanes for setback in _setbacks_of(lane, contest)]


def setback_of(lane: Lane, why: tuple[FailureClass, str]) -> AttemptFailure:
    """What a candidate failed of, where none of its attempts did."""
    failure = AttemptFailure(*why)
    attempts = lane.attempts
    failure.target = attempts[-1].target if attempts else None
    return failure


def race_unanswered(contest: Contest) -> Unanswered:
    """Why nobody has won."""
    ended = [lane.unanswered for lane in contest.lanes.values() if lane.unanswered is not None]
    # What this race may not take, another model of the call may.
    final = bool(ended) and all(one.final and not _limited(one) for one in ended)
    return Unanswered(setbacks(contest), final=final, told=_told(contest))


def _setbacks_of(lane: Lane, contest: Contest) -> list[Setback]:
    if lane.unanswered is not None:
        return list(lane.unanswered.setbacks)
    if lane.completion is not None:
        answered = contest.field.entrants[lane.index].has_answered
        return [] if answered else [setback_of(lane, EMPTY)]
    by_clock = contest.field.time_is_up or lane.index in contest.out_of_time
    return [setback_of(lane, SLOW)] if by_clock else []


def _limited(unanswered: Unanswered) -> bool:
    return any(isinstance(setback, LimitReached) for setback in unanswered.setbacks)


def _told(contest: Contest) -> Telling | None:
    """What the caller is told, where that is not what the candidates failed of."""
    if contest.failed is not None and contest.failed.no_consensus:
        agreement = contest.rule.agreement(contest.field)
        largest = len(agreement.groups[0].candidate_indices) if agreement and agreement.groups else 0
        return partial(_no_consensus, largest, len(contest.candidates))
    if contest.field.answered:
        return _unsure
    lanes = contest.lanes.values()
    if contest.field.time_is_up:
        return partial(_limit, "decision_timeout") if contest.clocks.cut_by_limit else deadline_exceeded
    if lanes and all(lane.index in contest.out_of_time for lane in lanes):
        return partial(_limit, "candidate_timeout")
    told = [None if lane.unanswered is None else lane.unanswered.told for lane in lanes]
    return told[0] if told and all(told) else None


def _unsure() -> CallFailed:
    return CallFailed(
        ErrorReason.ALL_ATTEMPTS_FAILED,
        "no answer may win: its confidence is below strategy.first.minimum_confidence, or not known",
    )


def _no_consensus(largest: int, candidate_count: int) -> CallFailed:
    return CallFailed(
        ErrorReason.NO_CONSENSUS,
        f"at most {largest} of {candidate_count} candidates agree, which is too few; "
        "the groups of answers are in the details",
    )


def _limit(field: str) -> CallFailed:
    if field == "decision_timeout":
        message = "no candidate had an answer when the race had to decide; raise limits.decision_timeout"
    else:
        message = "no candidate had an answer within its time; raise limits.candidate_timeout"
    return CallFailed(ErrorReason.LIMIT_REACHED, message, metadata={"limit": field})
