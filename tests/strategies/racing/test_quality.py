"""The rule `quality` (R7)."""

from __future__ import annotations

import math

import pytest

from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.field import Entrant
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Select
from tests.strategies.racing.events import answers, field_of, played, race, time_is_up

QUALITY = RaceDecision.QUALITY


def test_quality_wins_over_speed() -> None:
    """R7, a defect of earlier racers: the learned quality decides, and not who came first."""
    field = field_of(Entrant(0, quality=0.4), Entrant(1, quality=0.9))
    course = race(Quality(), field, (0.1, answers(0)), (5.0, answers(1)))
    assert (course.at, course.winner) == (5.0, (1, QUALITY))


def test_nobody_is_waited_for_who_could_not_be_better() -> None:
    """R7: the wait closes when nobody who still runs has as good a quality as the best answer."""
    field = field_of(Entrant(0, quality=0.4), Entrant(1, quality=0.9), Entrant(2, quality=0.8))
    course = race(Quality(grace=60.0), field, (0.1, answers(0)), (1.0, answers(1)))
    assert (course.at, course.winner) == (1.0, (1, QUALITY))


def test_an_equal_could_still_win() -> None:
    """R7: who runs with the same quality is waited for, and wins by a higher confidence."""
    field = field_of(Entrant(0, quality=0.9), Entrant(1, quality=0.9))
    course = race(Quality(), field, (1.0, answers(0, confidence=0.6)), (2.0, answers(1, confidence=0.7)))
    assert (course.at, course.winner) == (2.0, (1, QUALITY))


def test_the_grace_counts_from_the_first_answer() -> None:
    """R7: better candidates are waited for so long after the first answer, however many come."""
    entrants = [Entrant(i, quality=quality) for i, quality in enumerate((0.2, 0.3, 0.9))]
    course = race(Quality(grace=1.0), field_of(*entrants), (1.0, answers(0)), (1.9, answers(1)))
    assert (course.at, course.winner) == (2.0, (1, QUALITY))


def test_answers_after_the_grace_do_not_compete() -> None:
    """R7: an answer that came too late does not win because the rule was asked late."""
    field = field_of(*(Entrant(i, quality=quality) for i, quality in enumerate((0.2, 0.9, 0.9))))
    played(field, (1.0, answers(0)), (2.1, answers(1)))
    assert Quality(grace=1.0).decide(field, 2.1) == Select(0, QUALITY)


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
@pytest.mark.parametrize(("known", "winner"), [(0.49, 0), (0.51, 1)])
def test_unknown_quality_is_the_prior(unknown: float | None, known: float, winner: int) -> None:
    """R7: of whom nothing is learned counts as average, neither the best nor the worst."""
    field = field_of(Entrant(0, quality=unknown), Entrant(1, quality=known))
    course = race(Quality(), field, (1.0, answers(1)), (1.0, answers(0)))
    assert course.winner[0] == winner


def test_equals_go_by_confidence_cost_latency_priority_and_index() -> None:
    """R7, a defect of earlier racers: each tie has a rule, and the order of the input is the last."""
    surer = race(
        Quality(), field_of(count=2), (1.0, answers(0, cost=1)), (2.0, answers(1, confidence=0.1, cost=9))
    )
    cheaper = race(Quality(), field_of(count=2), (1.0, answers(0, cost=2)), (2.0, answers(1, cost=1)))
    priced = race(Quality(), field_of(count=2), (1.0, answers(0)), (2.0, answers(1, cost=1)))
    faster = race(Quality(), field_of(count=2), (1.0, answers(1)), (2.0, answers(0)))
    urgent = race(
        Quality(), field_of(Entrant(0), Entrant(1, priority=1)), (1.0, answers(0)), (1.0, answers(1))
    )
    equal = race(Quality(), field_of(count=2), (1.0, answers(1)), (1.0, answers(0)))
    courses = (surer, cheaper, priced, faster, urgent, equal)
    assert [course.winner[0] for course in courses] == [1, 1, 1, 1, 1, 0]


def test_time_up_takes_the_best_there() -> None:
    """R2: while better ones still run, time up decides and is told."""
    field = field_of(Entrant(0, quality=0.2), Entrant(1, quality=0.9))
    course = race(Quality(), field, (1.0, answers(0)), (2.0, time_is_up))
    assert course.winner == (0, RaceDecision.DEADLINE)
