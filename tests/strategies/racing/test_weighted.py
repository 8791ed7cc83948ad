"""The rule `weighted`, and how rules that need whole answers end (R7, R2)."""

from __future__ import annotations

import math

import pytest

from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.field import Entrant
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Fail, Rule, Select
from paceline_server.strategies.racing.weighted import Weighted
from tests.strategies.racing.events import answers, fails, field_of, played, race, starts, time_is_up, writes

WEIGHTED_SCORE = RaceDecision.WEIGHTED_SCORE
DEADLINE = RaceDecision.DEADLINE

WHOLE_ANSWERS: list[Rule] = [Weighted(), Quality(), Best(), Best(Scorer.AGREEMENT), Best(Scorer.JUDGE)]

whole_answers = pytest.mark.parametrize("rule", WHOLE_ANSWERS, ids=lambda rule: repr(rule)[:22])


def test_the_best_past_wins_when_all_have_ended() -> None:
    """R7: win rate over one plus latency, among all that finish."""
    field = field_of(Entrant(0, win_rate=0.2), Entrant(1, win_rate=0.9), Entrant(2, win_rate=1.0))
    course = race(Weighted(), field, (0.1, answers(0)), (1.0, answers(1)), (3.0, answers(2)))
    assert (course.at, course.winner) == (3.0, (1, WEIGHTED_SCORE))


def test_latency_counts_from_ones_own_start() -> None:
    """R7: who started late is not slower for it."""
    late = played(field_of(count=2), (5.0, starts(1)), (6.0, answers(1)), (6.0, answers(0)), started=[0])
    assert Weighted().decide(late, 6.0) == Select(1, WEIGHTED_SCORE)


def test_no_latency_is_the_best_latency() -> None:
    """R7, a defect of earlier racers: an answer that took no time at all is the fastest, not the slowest."""
    course = race(Weighted(), field_of(count=2), (0.0, answers(1)), (0.009, answers(0)))
    assert course.winner == (1, WEIGHTED_SCORE)


def test_unknown_past_ranks_last() -> None:
    """R7, a defect of earlier racers: a win rate that is no number breaks no comparison and wins nothing."""
    field = field_of(Entrant(0, win_rate=math.nan), Entrant(1, win_rate=0.01))
    assert race(Weighted(), field, (0.1, answers(0)), (9.0, answers(1))).winner == (1, WEIGHTED_SCORE)


@pytest.mark.parametrize("priority", [0, 1])
def test_equal_scores_go_by_priority_then_by_index(priority: int) -> None:
    """R7, a defect of earlier racers: ties are broken by rule and not by the order of the input."""
    field = field_of(Entrant(0), Entrant(1, priority=priority))
    course = race(Weighted(), field, (1.0, answers(1)), (1.0, answers(0)))
    assert course.winner == (priority, WEIGHTED_SCORE)


@whole_answers
def test_nobody_wins_who_failed(rule: Rule) -> None:
    """R8, a defect of earlier racers: when all fail nobody is selected, least of all the first."""
    course = race(rule, field_of(count=2), (0.1, fails(0)), (0.2, fails(1)))
    assert course.step == Fail()


@whole_answers
def test_survivor_is_told_as_one(rule: Rule) -> None:
    """R8, a defect of earlier racers: a failed first candidate does not count, however quick it was."""
    course = race(rule, field_of(count=3), (0.01, fails(0)), (1.0, answers(2)), (1.1, fails(1)))
    assert course.winner == (2, RaceDecision.ONLY_SURVIVOR)


@whole_answers
def test_time_up_selects_among_the_answers(rule: Rule) -> None:
    """R2, a defect of earlier racers: time up is told as such, and never selects who failed or still runs."""
    field = field_of(count=3)
    course = race(rule, field, (0.1, fails(0)), (1.0, answers(2)), (1.5, time_is_up))
    assert (course.at, course.winner) == (1.5, (2, DEADLINE))


@whole_answers
def test_time_up_without_answers_lets_the_best_writer_go_on(rule: Rule) -> None:
    """R2: in a stream the writer that performed best goes on when time is up before any answer."""
    entrants = [Entrant(0), Entrant(1, win_rate=0.2), Entrant(2, win_rate=0.9), Entrant(3)]
    field = field_of(*entrants, streaming=True)
    course = race(rule, field, (0.1, fails(3)), (1.0, writes(1)), (1.1, writes(2)), (2.0, time_is_up))
    assert course.winner == (2, DEADLINE)


@whole_answers
def test_sole_writer_when_time_is_up(rule: Rule) -> None:
    """R2: a writer that goes on because time is up is told so, also if all others have failed."""
    field = field_of(count=2, streaming=True)
    course = race(rule, field, (0.1, fails(1)), (1.0, writes(0)), (2.0, time_is_up))
    assert course.winner == (0, DEADLINE)


@whole_answers
def test_time_up_without_anything_fails(rule: Rule) -> None:
    """R2, R8: without an answer or content nobody is selected when time is up."""
    assert race(rule, field_of(count=2), (0.1, fails(0)), (2.0, time_is_up)).step == Fail()


@whole_answers
def test_time_up_after_the_end_changes_nothing(rule: Rule) -> None:
    """R2: time is said to have decided only where the rule would have waited."""
    field = field_of(count=1)
    course = race(rule, field, (1.0, answers(0)))
    field.time_is_up = True
    assert rule.decide(field, 1.0) == course.step
    assert course.winner[1] is not DEADLINE
