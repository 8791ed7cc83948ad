"""The rule `first` (R3)."""

from __future__ import annotations

import pytest

from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.field import Entrant
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.rule import Fail, Select, Wait
from tests.strategies.racing.events import (
    answers,
    fails,
    field_of,
    played,
    race,
    time_is_up,
    writes,
)

FIRST_CONTENT = RaceDecision.FIRST_CONTENT
FIRST_COMPLETION = RaceDecision.FIRST_COMPLETION


def test_content_decides_a_stream_and_a_start_does_not() -> None:
    """R3, a defect of earlier racers: who opens a stream early and then stalls does not win it."""
    course = race(First(), field_of(count=2, streaming=True), (3.0, writes(1)), (3.1, writes(0)))
    assert course.winner == (1, FIRST_CONTENT)
    assert course.at == 3.0


def test_whole_answer_decides_a_unary_race() -> None:
    """R3: in a unary race the first complete answer wins."""
    course = race(First(), field_of(count=2), (2.0, answers(1)), (2.1, answers(0)))
    assert course.winner == (1, FIRST_COMPLETION)


def test_no_grace_costs_nothing() -> None:
    """R3, a defect of earlier racers: without a grace the first wins at once and nobody waits."""
    course = race(First(), field_of(count=3), (0.2, answers(2)))
    assert (course.at, course.winner) == (0.2, (2, FIRST_COMPLETION))


def test_quick_failure_does_not_win_when_time_is_up() -> None:
    """R8, a defect of earlier racers: with one quick error and one slow answer, time up selects nobody."""
    course = race(First(), field_of(count=2), (0.1, fails(0)), (1.0, time_is_up))
    assert course.step == Fail()


def test_all_failed_is_a_failure() -> None:
    """R8, a defect of earlier racers: when all have failed nobody is selected, least of all the first."""
    course = race(First(), field_of(count=2), (0.1, fails(0)), (0.2, fails(1)))
    assert (course.at, course.step) == (0.2, Fail())


def test_survivor_is_told_as_one() -> None:
    """R3: who wins because all others failed is told apart from who was first of several."""
    course = race(First(), field_of(count=2), (0.1, fails(0)), (0.2, answers(1)))
    assert course.winner == (1, RaceDecision.ONLY_SURVIVOR)


def test_sole_candidate_survives_nobody() -> None:
    """R3: a race of one is won by being first."""
    assert race(First(), field_of(count=1), (0.2, answers(0))).winner == (0, FIRST_COMPLETION)


@pytest.mark.parametrize(("priority", "winner"), [(0, 0), (1, 1)])
def test_same_moment_goes_by_priority_then_by_index(priority: int, winner: int) -> None:
    """R3, a defect of earlier racers: priority breaks ties, and the index those of the same priority."""
    field = played(field_of(Entrant(0), Entrant(1, priority=priority)), (1.0, answers(1)), (1.0, answers(0)))
    assert First().decide(field, 1.0) == Select(winner, FIRST_COMPLETION)


def test_all_start_by_priority() -> None:
    """R3, a defect of earlier racers: all start, those of higher priority first, also those on a bench."""
    field = field_of(Entrant(0), Entrant(1, priority=5, ready=False), Entrant(2, priority=5), Entrant(3))
    assert list(First().first_starts(field)) == [1, 2, 0, 3]


def test_answer_within_the_grace_may_overtake() -> None:
    """R3: within the grace the best performance score wins, latency counted from each one's own start."""
    field = field_of(Entrant(0, win_rate=0.2), Entrant(1, win_rate=0.9), streaming=True)
    course = race(First(grace=1.0), field, (1.0, writes(0)), (1.8, writes(1)))
    assert course.winner == (1, RaceDecision.GRACE_SCORE)
    assert course.at == 1.8


def test_answer_after_the_grace_does_not_compete() -> None:
    """R3: the grace ends at its time, even if the rule is asked late."""
    field = field_of(Entrant(0, win_rate=0.2), Entrant(1, win_rate=0.9), Entrant(2))
    played(field, (1.0, answers(0)), (2.01, answers(1)))
    assert First(grace=1.0).decide(field, 2.02) == Select(0, FIRST_COMPLETION)


def test_grace_without_rivals_is_no_contest() -> None:
    """R3: a grace in which nobody else arrives ends on its own, with the first."""
    course = race(First(grace=1.0), field_of(count=2), (1.0, answers(1)))
    assert (course.at, course.winner) == (2.0, (1, FIRST_COMPLETION))


def test_grace_ends_when_nobody_else_can_arrive() -> None:
    """R3, a defect of earlier racers: the grace is not waited for when all others have ended."""
    course = race(First(grace=9.0), field_of(count=3), (1.0, answers(1)), (1.1, fails(0)), (1.2, fails(2)))
    assert (course.at, course.winner) == (1.2, (1, RaceDecision.ONLY_SURVIVOR))


def test_who_broke_within_the_grace_is_out() -> None:
    """R8, a defect of earlier racers: who wrote and then failed does not win, however good its past."""
    field = field_of(Entrant(0, win_rate=1.0), Entrant(1, win_rate=0.1), Entrant(2), streaming=True)
    course = race(First(grace=1.0), field, (1.0, writes(0)), (1.5, fails(0)), (1.8, writes(1)))
    assert (course.at, course.winner) == (2.8, (1, FIRST_CONTENT))


def test_newcomer_is_not_locked_out() -> None:
    """R3, a defect of earlier racers: of equal win rates the faster wins the grace, not the lower index."""
    course = race(First(grace=5.0), field_of(count=2), (0.2, answers(1)), (1.3, answers(0)))
    assert course.winner == (1, RaceDecision.GRACE_SCORE)


def test_time_up_within_the_grace() -> None:
    """R2: time up ends the grace with the best of those there, and says that time decided."""
    field = field_of(Entrant(0, win_rate=0.2), Entrant(1, win_rate=0.9), Entrant(2))
    course = race(First(grace=9.0), field, (1.0, answers(0)), (1.1, answers(1)), (1.2, time_is_up))
    assert course.winner == (1, RaceDecision.DEADLINE)


@pytest.mark.parametrize("confidence", [None, float("nan"), 0.69])
def test_low_or_unknown_confidence_does_not_win(confidence: float | None) -> None:
    """R3, a defect of earlier racers: below the minimum confidence, or without any, no answer wins."""
    rule = First(minimum_confidence=0.7)
    course = race(
        rule, field_of(count=2), (1.0, answers(0, confidence=confidence)), (2.0, answers(1, confidence=0.7))
    )
    assert (course.at, course.winner) == (2.0, (1, FIRST_COMPLETION))


def test_confidence_is_waited_for_in_a_stream() -> None:
    """R3: with a minimum confidence a stream is decided by complete answers, for it is known only then."""
    rule = First(minimum_confidence=0.7)
    field = field_of(count=2, streaming=True)
    course = race(rule, field, (1.0, writes(0)), (1.5, writes(1)), (2.0, answers(1, confidence=0.8)))
    assert (course.at, course.winner) == (2.0, (1, FIRST_COMPLETION))


def test_unsure_answers_alone_win_nothing() -> None:
    """R3: when all answers are below the minimum confidence the race fails, also when time is up."""
    rule = First(minimum_confidence=0.7)
    ended = race(rule, field_of(count=2), (1.0, answers(0, confidence=0.1)), (1.2, fails(1)))
    late = race(rule, field_of(count=2, streaming=True), (1.0, writes(0)), (2.0, time_is_up))
    assert (ended.step, late.step) == (Fail(), Fail())


def test_nobody_is_waited_for_longer_than_the_grace() -> None:
    """R3: the rule asks to be woken when the grace ends."""
    field = played(field_of(count=2), (1.0, answers(0)))
    assert First(grace=0.5).decide(field, 1.0) == Wait(1.5)


@pytest.mark.parametrize(("minimum", "asks"), [(None, False), (0.0, True)])
def test_log_probabilities_are_asked_for_where_confidence_counts(
    minimum: float | None, *, asks: bool
) -> None:
    """R3: log probabilities are asked for only with a minimum confidence."""
    assert First(minimum_confidence=minimum).asks_logprobs is asks
