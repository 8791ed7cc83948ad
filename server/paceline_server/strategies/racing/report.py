"""What is told of a race: how each candidate fared, how it was decided, what the losers cost (rule R10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paceline_server.completion.attempt import Attempt, FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.race import CandidateOutcome, CandidateReport, RaceSummary
from paceline_server.completion.usage import NOTHING_USED, Usage, total_usage
from paceline_server.strategies.call import Call
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Unanswered
from paceline_server.strategies.racing.allowance import LimitReached
from paceline_server.strategies.racing.contest import Contest
from paceline_server.strategies.record import CallRecord
from paceline_server.strategies.unstarted import held_words

UNSENT = "it was not started: the race was decided before its turn"
NO_HEDGE = "it was not started: no hedge was left (hedge_budget)"
EMPTY = "its answer was empty"


class RaceReport:
    """The report of one race; while that runs, what is known of it.

    Attributes:
        won: The candidate whose answer the caller has, once he has all of it.
        judge: The judge's branch of the record; None if none was asked.
    """

    def __init__(self, contest: Contest, call: Call) -> None:
        """Report on `contest`."""
        self.won: int | None = None
        self.judge: CallRecord | None = None
        self._contest: Contest | None = contest
        self._call_started_at = call.started_at
        self._told: dict[int, CandidateReport] = {}
        self._closed = RaceSummary(())

    def summary(self) -> RaceSummary:
        """All of it so far."""
        contest = self._contest
        if contest is None:
            return self._closed
        selected, decided_at = contest.selected, contest.decided_at
        agreement = contest.rule.agreement(contest.field)
        return RaceSummary(
            # What has been told of a candidate was told at its end, and stands.
            candidates=tuple(
                self._told.get(index) or self.candidate(index) for index in range(len(contest.candidates))
            ),
            selected_index=self.won,
            decision=None if selected is None or self.won is None else selected.decision,
            agreement_score=None if agreement is None else agreement.score,
            groups=() if agreement is None else agreement.groups,
            responder_count=sum(1 for entrant in contest.field.entrants if entrant.finish_rank),
            decision_latency=None if decided_at is None else decided_at - self._call_started_at,
            loser_usage=self._loser_usage(contest),
        )

    def untold(self) -> tuple[CandidateReport, ...]:
        """The candidates whose end has not been told as an event."""
        return tuple(one for one in self.summary().candidates if one.index not in self._told)

    def told(self, index: int) -> CandidateReport | None:
        """The report of a candidate that has ended, to be told now; None if it was told before."""
        if index in self._told:
            return None
        report = self._told[index] = self.candidate(index)
        return report

    def close(self) -> None:
        """Keep what there is to tell, and let go of the race."""
        self._closed = self.summary()
        self._contest = None
        # A branch knows the whole call, whose record has this.
        self.judge = None

    def candidate(self, index: int) -> CandidateReport:
        """How one candidate fared, or fares."""
        contest = self._contest
        if contest is None:
            return self._closed.candidates[index]
        lane, entrant = contest.lanes.get(index), contest.field.entrants[index]
        spec = contest.candidates[index].spec
        if lane is None:
            why = NO_HEDGE if contest.field.hedges_refused else UNSENT
            return CandidateReport(index, spec, CandidateOutcome.SKIPPED, message=why)
        outcome = self._outcome(contest, lane)
        completion = entrant.completion
        if completion is not None:
            confidence = contest.rule.confidence(entrant, contest.field)
            if confidence is not completion.confidence:
                completion = replace(completion, confidence=confidence)
        failure_class, message = _reason(lane, outcome)
        first, ended = entrant.first_content_at, entrant.ended_at
        sent = outcome not in (CandidateOutcome.SKIPPED, CandidateOutcome.REJECTED)
        now = contest.clocks.now()
        return CandidateReport(
            index=index,
            model=spec,
            outcome=outcome,
            completion=completion,
            attempts=tuple(sorted(lane.attempts, key=lambda attempt: attempt.index)),
            first_content_latency=None if first is None else first - lane.started_at,
            latency=(now if ended is None else ended) - lane.started_at if sent else None,
            finish_rank=entrant.finish_rank,
            finished_first=entrant.finish_rank == 1,
            usage=_usage_of(lane.attempts),
            failure_class=failure_class,
            message=message,
            skipped_until=_returns_at(lane.unanswered) if outcome is CandidateOutcome.SKIPPED else None,
        )

    def _outcome(self, contest: Contest, lane: Lane) -> CandidateOutcome:
        if self.won == lane.index:
            return CandidateOutcome.WON
        if lane.index in contest.out_of_time:
            return CandidateOutcome.TIMED_OUT if lane.was_sent else CandidateOutcome.SKIPPED
        if lane.unanswered is not None:
            return _failed(lane)
        if lane.completion is not None:
            answered = contest.field.entrants[lane.index].finish_rank > 0
            return CandidateOutcome.LOST if answered else CandidateOutcome.FAILED
        if not lane.was_sent:
            return CandidateOutcome.SKIPPED
        return CandidateOutcome.TIMED_OUT if contest.field.time_is_up else CandidateOutcome.CANCELLED

    def _loser_usage(self, contest: Contest) -> Usage:
        lost = [one for lane in contest.lanes.values() if lane.index != self.won for one in lane.attempts]
        judged = [] if self.judge is None else self.judge.attempts
        return _usage_of([*lost, *judged]) or NOTHING_USED


def _usage_of(attempts: Iterable[Attempt]) -> Usage | None:
    usages = [attempt.usage for attempt in attempts if attempt.usage is not None]
    if len(usages) == 1:
        return usages[0]  # mostly a candidate makes one attempt
    return total_usage(usages) if usages else None


def _failed(lane: Lane) -> CandidateOutcome:
    """What a candidate's own end without an answer is called."""
    unanswered = lane.unanswered
    assert unanswered is not None  # noqa: S101 - the caller has looked
    failures = [setback for setback in unanswered.setbacks if isinstance(setback, AttemptFailure)]
    if unanswered.nothing_sent and not lane.was_sent:
        used_up = any(isinstance(one, LimitReached) and not one.of_target for one in unanswered.setbacks)
        return CandidateOutcome.SKIPPED if unanswered.held or used_up else CandidateOutcome.REJECTED
    if not failures:
        return CandidateOutcome.FAILED if lane.was_sent else CandidateOutcome.SKIPPED
    timed_out = all(failure.failure_class is FailureClass.TIMEOUT for failure in failures)
    if timed_out:
        # The time may have been up before it called anyone.
        return CandidateOutcome.TIMED_OUT if lane.was_sent else CandidateOutcome.SKIPPED
    return CandidateOutcome.FAILED


def _reason(lane: Lane, outcome: CandidateOutcome) -> tuple[FailureClass | None, str]:
    if outcome in (CandidateOutcome.WON, CandidateOutcome.LOST, CandidateOutcome.CANCELLED):
        return None, ""
    if lane.unanswered is None and outcome is CandidateOutcome.SKIPPED:
        return None, UNSENT
    if lane.unanswered is None:
        empty = lane.completion is not None and outcome is not CandidateOutcome.TIMED_OUT
        return None, EMPTY if empty else "its time was up"
    for setback in lane.unanswered.setbacks:
        if isinstance(setback, AttemptFailure):
            return setback.failure_class, setback.message
        if isinstance(setback, LimitReached):
            return None, setback.message
        return setback.cause, f"{setback.target}: {held_words(setback)}"
    return None, "no attempt could be made: the budget of additional attempts is spent"


def _returns_at(unanswered: Unanswered | None) -> float | None:
    held = () if unanswered is None else unanswered.held
    return min((one.until for one in held), default=None)
