"""What holds of a race that is over, whatever was played in it (R1 to R10, A4 to A7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import Attempt, AttemptOutcome
from paceline_server.completion.errors import ErrorReason
from paceline_server.completion.race import CandidateOutcome, CandidateReport, RaceSummary
from paceline_server.completion.usage import Usage, total_usage
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.delivery import NEVER_SENT
from paceline_server.strategies.heat import DRAIN_SECONDS
from paceline_server.strategies.race import Race
from paceline_server.strategies.racing.candidate import is_empty
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.rule import Rule
from tests.strategies.cancelling import PROVIDER_FAULTS
from tests.strategies.race_world import RaceOutcome, RaceWorld, candidate_of

NOT_STARTED = (CandidateOutcome.SKIPPED, CandidateOutcome.REJECTED)
MOST_ADDITIONAL = 8
TICK = 1e-6
DEADLINE = ErrorReason.DEADLINE_EXCEEDED


def check(world: RaceWorld, outcome: RaceOutcome) -> None:
    """Hold a race that is over to its rules."""
    race = outcome.race
    if not isinstance(race, Race):
        check_chain(outcome)
        return
    summary = outcome.summary
    assert len(summary.candidates) == len(race.candidates)
    check_told(outcome, summary)
    check_end(outcome, summary, race.plan.rule)
    check_books(world, outcome, summary)
    check_candidates(outcome, summary)
    check_budgets(world, outcome, race.plan.rule)
    check_time(outcome, summary, race.plan.limits)
    check_limits(outcome, race.plan.limits)
    check_statistics(world, outcome)


def check_chain(outcome: RaceOutcome) -> None:
    """Hold a chain of which a race is one to what is told of chains (C5, the stream)."""
    attempts, client, completion = outcome.attempts, outcome.client, outcome.completion
    assert len({attempt.index for attempt in attempts}) == len(attempts), "an attempt was booked twice"
    sent = [attempt for attempt in attempts if attempt.outcome not in NEVER_SENT]
    assert len(sent) == outcome.call.record.started_count, "a start was not booked exactly once"
    assert outcome.at <= outcome.call.deadline + DRAIN_SECONDS + TICK, "the deadline passed"
    if not outcome.streaming:
        return
    if not outcome.cancelled and (outcome.error is None or outcome.error.reason is not DEADLINE):
        assert not client.running, "the end came before an attempt's end"
        assert client.indices == {attempt.index for attempt in attempts}
    if completion is not None:
        assert client.fold.parts() == completion.parts, "fold(deltas) is not the answer"


def check_told(outcome: RaceOutcome, summary: RaceSummary) -> None:
    """Everything that was started has ended, as an event or in what is left to tell (the stream)."""
    client, record = outcome.client, outcome.call.record
    if not outcome.streaming:
        assert not client.events
        return
    left = [attempt.index for attempt in record.untold]
    assert record.race is not None
    candidates_left = [report.index for report in record.race.untold()]
    assert set(client.running) <= set(left), "an attempt's end is never told"
    assert len(set(left)) == len(left), "an attempt's end is told twice"
    everyone = list(range(len(summary.candidates)))
    assert sorted([*client.ended, *candidates_left]) == everyone, "a candidate's end is told twice or never"
    assert client.indices | set(left) == {attempt.index for attempt in outcome.attempts}
    by_clock = outcome.error is not None and outcome.error.reason is DEADLINE
    if not (outcome.cancelled or by_clock):
        assert not left, "the end came before an attempt's end"
        assert not candidates_left, "the end came before a candidate's end"
        assert [client.ended[index] for index in everyone] == list(summary.candidates)
    for report in summary.candidates:
        if report.outcome not in NOT_STARTED and not (outcome.cancelled or by_clock):
            assert report.index in client.started, "a candidate's start was not told"
    fold = client.folds
    for index, written in fold.items():
        completion = summary.candidates[index].completion
        cut_off = outcome.cancelled or by_clock or index == client.selected
        if completion is not None and not cut_off:
            assert written.parts() == completion.parts, "what a loser wrote is not its answer"


def check_end(outcome: RaceOutcome, summary: RaceSummary, rule: Rule) -> None:
    """Exactly one winner or a typed error; never a failed or an empty one (R3, R8)."""
    won = [one.index for one in summary.candidates if one.outcome is CandidateOutcome.WON]
    if outcome.completion is None:
        if not outcome.cancelled:
            assert outcome.error is not None
            assert won == [], "a race failed and was won"
            assert summary.selected_index is None
            assert summary.decision is None
        return
    assert won == [summary.selected_index], "not exactly one winner"
    winner = summary.candidates[won[0]]
    assert winner.completion is not None
    if not outcome.client.continuing:
        assert winner.completion.parts == outcome.completion.parts, "the answer is not the winner's"
    assert winner.attempts[-1].outcome is AttemptOutcome.SUCCEEDED or any(
        attempt.outcome is AttemptOutcome.SUCCEEDED for attempt in winner.attempts
    )
    assert summary.decision is not None
    if outcome.streaming:
        assert outcome.client.fold.parts() == outcome.completion.parts, "fold(deltas) is not the answer"
        (last, wrote) = outcome.client.selections[-1]
        assert (last.index, last.decision) == (won[0], summary.decision)
    else:
        wrote = False
    assert wrote or not is_empty(outcome.completion), "an empty answer won"
    _check_rule(rule, summary, winner.completion)


def _check_rule(rule: Rule, summary: RaceSummary, answer: Completion) -> None:
    """The winner is one that the rule may choose."""
    count = len(summary.candidates)
    if isinstance(rule, First) and rule.minimum_confidence is not None:
        assert answer.confidence is not None, "an answer of unknown confidence won"
        assert answer.confidence.value >= rule.minimum_confidence, "an answer below the minimum won"
    if isinstance(rule, Consensus):
        (group,) = [one for one in summary.groups if summary.selected_index in one.candidate_indices]
        size = len(group.candidate_indices)
        assert size == len(summary.groups[0].candidate_indices), "a smaller group won"
        assert size >= (count // 2 + 1 if rule.quorum is None else rule.quorum), "below the quorum"
        assert size / count >= rule.minimum_agreement, "below the minimum agreement"
        assert summary.agreement_score == size / count


def check_books(world: RaceWorld, outcome: RaceOutcome, summary: RaceSummary) -> None:
    """Totals are the sums of their children, and what was sent is booked once (R10, K4, A6)."""
    attempts = outcome.attempts
    assert len({attempt.index for attempt in attempts}) == len(attempts), "an attempt was booked twice"
    assert all(attempt.outcome is not None for attempt in attempts)
    for report in summary.candidates:
        own = [attempt for attempt in attempts if candidate_of(attempt) == report.index]
        assert list(report.attempts) == sorted(own, key=lambda one: one.index), "an attempt is not its own"
        assert (report.usage or Usage(cost_nano_usd=0)) == _sum(own)
    losers = [
        attempt
        for attempt in attempts
        if summary.selected_index is None or candidate_of(attempt) != summary.selected_index
    ]
    assert summary.loser_usage == _sum(losers), "what the losers cost is not what they cost"
    assert outcome.call.record.total_usage() == _sum(attempts)
    sent = [attempt for attempt in attempts if attempt.outcome not in NEVER_SENT]
    assert len(sent) == outcome.call.record.started_count, "a start was not booked exactly once"
    reached = sum(call.reached for call in world.calls)
    unsent = [one for one in sent if one.outcome is AttemptOutcome.CANCELLED and one.usage is None]
    assert len(sent) - len(unsent) == reached, "what was sent is booked, and nothing else"


def _sum(attempts: Sequence[Attempt]) -> Usage:
    return total_usage(attempt.usage for attempt in attempts if attempt.usage is not None)


def check_candidates(outcome: RaceOutcome, summary: RaceSummary) -> None:
    """Each candidate's outcome says what happened to it, also when it happened (R10)."""
    ranked = sorted((one for one in summary.candidates if one.finish_rank), key=lambda one: one.finish_rank)
    assert [one.finish_rank for one in ranked] == list(range(1, len(ranked) + 1))
    assert summary.responder_count == len(ranked)
    ends = [_finished_at(one) for one in ranked]
    assert all(before <= after + TICK for before, after in pairwise(ends)), ends
    for report in summary.candidates:
        assert report.outcome is not None, "a candidate runs on"
        assert report.finished_first == (report.finish_rank == 1)
        sent = [attempt for attempt in report.attempts if attempt.outcome not in NEVER_SENT]
        assert bool(sent) == (report.outcome not in NOT_STARTED), f"was it started? {report}"
        assert (report.latency is not None) == bool(sent)
        _check_outcome(report, outcome)


def _finished_at(report: CandidateReport) -> float:
    last = max(report.attempts, key=lambda one: one.start_offset + (one.latency or 0.0))
    return last.start_offset + (last.latency or 0.0)


def _check_outcome(report: CandidateReport, outcome: RaceOutcome) -> None:
    answered = report.outcome in (CandidateOutcome.WON, CandidateOutcome.LOST)
    if not outcome.cancelled and report.outcome is not CandidateOutcome.TIMED_OUT:
        assert answered == (report.finish_rank > 0), report
    if report.outcome is CandidateOutcome.LOST:
        assert report.completion is not None
        chosen = outcome.cancelled or report.index in [event.index for event, _ in outcome.client.selections]
        assert chosen or not is_empty(report.completion), "an empty answer is none"
    if report.outcome is CandidateOutcome.FAILED:
        assert report.message, "a failure without a reason"
    if answered or report.outcome is CandidateOutcome.CANCELLED:
        assert report.failure_class is None
        assert not report.message


def check_budgets(world: RaceWorld, outcome: RaceOutcome, rule: Rule) -> None:
    """Beyond first starts, each attempt was paid for, and hedges besides (A7, C6, R4)."""
    record = outcome.call.record
    assert world.taken == record.additional_count <= MOST_ADDITIONAL
    runners = {re.sub(r"(race\[\d+\])(?!.*race).*", r"\1", attempt.path) for attempt in outcome.attempts}
    assert record.started_count - record.additional_count <= len(runners), "more than first starts were free"
    if isinstance(rule, Hedged):
        candidates, started = outcome.summary.candidates, outcome.client.started_first
        sent = [index for index in started if candidates[index].outcome not in NOT_STARTED]
        # Who is turned to when nobody else is left, or takes the place of one that broke, is none (C3, R3).
        turned_to = any(
            attempt.outcome in NEVER_SENT or attempt.first_content_latency is not None
            for attempt in outcome.attempts
            if attempt.outcome is not AttemptOutcome.SUCCEEDED
        )
        assert turned_to or len(sent) - 1 <= world.hedged, "a hedge was not paid for"


def check_limits(outcome: RaceOutcome, limits: RaceLimits) -> None:
    """What a race may take is never exceeded (R9)."""
    used = outcome.call.record.total_usage()
    if limits.max_cost_nano_usd is not None:
        assert used.cost_nano_usd is not None, "an unpriced target was called"
        assert used.cost_nano_usd <= limits.max_cost_nano_usd, "it cost too much"
    if limits.max_output_token_count is not None:
        assert used.output_token_count <= limits.max_output_token_count, "it wrote too much"
    if limits.max_started_count is not None:
        assert outcome.call.record.started_count <= limits.max_started_count, "too many were called"


def check_time(outcome: RaceOutcome, summary: RaceSummary, limits: RaceLimits) -> None:
    """Nothing is waited for beyond its clock, and nobody holds the race by ignoring its end (R2)."""
    call = outcome.call
    assert outcome.at <= call.deadline + DRAIN_SECONDS + TICK, "the deadline passed"
    decides_in = call.deadline - call.started_at
    decides_in -= max(0.1, 0.02 * decides_in)
    if limits.decision_timeout is not None:
        decides_in = min(decides_in, limits.decision_timeout)
    selections = outcome.client.selections
    if selections:
        assert selections[0][0].decision_latency <= decides_in + TICK, "decided too late"
    elif not outcome.cancelled:
        took = outcome.at - call.started_at
        assert took <= decides_in + 2 * DRAIN_SECONDS + TICK, f"nothing was decided in time: {took}"
    if limits.candidate_timeout is not None:
        winners = {event.index for event, _ in selections}
        losers = [one for one in summary.candidates if one.index not in winners]
        decided_at = selections[0][0].decision_latency if selections else NEVER
        for report in losers:
            if any(abs(one.start_offset - decided_at) < TICK for one in report.attempts):
                continue  # before the decision or after it: the time does not tell
            for later in (False, True):
                runs = [one for one in report.attempts if (one.start_offset > decided_at) == later]
                assert _duration(runs) <= limits.candidate_timeout + DRAIN_SECONDS + TICK, "outlived its time"


def _duration(attempts: Sequence[Attempt]) -> float:
    """From the first start to the last end."""
    if not attempts:
        return 0.0
    ends = [one.start_offset + (one.latency or 0.0) for one in attempts]
    return max(ends) - min(one.start_offset for one in attempts)


def check_statistics(world: RaceWorld, outcome: RaceOutcome) -> None:
    """Who is blamed, and what a race leaves in the statistics (A4, R3, R10)."""
    if outcome.completion is not None:
        assert sum(winner is not None for winner, _ in world.scores.races) >= 1
    elif outcome.error is not None:
        assert len(world.scores.races) <= len(outcome.summary.candidates), "a race that failed was counted"
    attempts = outcome.attempts
    nested = any(attempt.path.count("race[") > 1 for attempt in attempts)
    if outcome.cancelled and outcome.summary.selected_index is None and not nested:
        assert world.scores.races == [], "a race that its caller left was counted"
    blamed = {str(attempt.target) for attempt in attempts if attempt.failure_class is not None}
    blamed |= {attempt.target.provider for attempt in attempts if attempt.failure_class in PROVIDER_FAULTS}
    blamed |= {str(one.target) for one in attempts if one.outcome is AttemptOutcome.SUCCEEDED}
    if world.open_count == 0:
        assert world.penalised - world.benched <= blamed, "somebody was blamed for what others did"


def check_left_behind(world: RaceWorld, outcome: RaceOutcome) -> None:
    """After all who ignored their end have ended, too, nothing is left or was begun (A6, H2, R2)."""
    assert world.open_count == 0, "a connection was left open"
    assert world.probes_out == [], "a probe was left out"
    assert all(call.at <= outcome.at for call in world.calls), "a call was made after the end"
