"""The rule `best` (R5)."""

from __future__ import annotations

import math

import pytest

from paceline_server.completion.answer import Confidence, ConfidenceSource
from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.field import Entrant, Field
from paceline_server.strategies.racing.rule import Judge, JudgeTask, Select
from tests.strategies.racing.events import answers, fails, field_of, judge_says, played, race, time_is_up

CONFIDENCE = RaceDecision.CONFIDENCE
JUDGED = Best(Scorer.JUDGE, judge="p/judge")
AGREED = Best(Scorer.AGREEMENT)


def value(rule: Best, field: Field, index: int) -> tuple[float, ConfidenceSource] | None:
    """The confidence of a candidate, and where it comes from."""
    confidence = rule.confidence(field.entrants[index], field)
    return None if confidence is None else (confidence.value, confidence.source)


def test_waits_for_all_and_takes_the_surest() -> None:
    """R5: all finish, and the highest confidence wins."""
    course = race(
        Best(),
        field_of(count=3),
        (0.1, answers(0, confidence=0.5)),
        (0.2, answers(2, confidence=0.9)),
        (3.0, answers(1, confidence=0.8)),
    )
    assert (course.at, course.winner) == (3.0, (2, CONFIDENCE))


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_missing_confidence_is_not_zero(missing: float | None) -> None:
    """R5, a defect of earlier racers: a missing confidence, or one that is no number, is below 0."""
    events = [(1.0, answers(0, confidence=missing)), (2.0, answers(1, confidence=0.0))]
    assert race(Best(), field_of(count=2), *events).winner == (1, CONFIDENCE)


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        (2, 1, 1),
        (None, 9, 1),
        (0, 1, 0),
        (1, 1, 1),
    ],
)
def test_ties_go_to_the_lower_cost_then_to_the_faster(first: int | None, second: int, winner: int) -> None:
    """R5, a defect of earlier racers: ties go by cost, an unknown one last, then by latency."""
    events = [(1.0, answers(1, cost=second)), (2.0, answers(0, cost=first))]
    assert race(Best(), field_of(count=2), *events).winner == (winner, CONFIDENCE)


@pytest.mark.parametrize("priority", [0, 1])
def test_last_ties_go_by_priority_then_by_index(priority: int) -> None:
    """R5, a defect of earlier racers: the last ties go by priority and index, and not silently."""
    field = field_of(Entrant(0), Entrant(1, priority=priority))
    assert race(Best(), field, (1.0, answers(1)), (1.0, answers(0))).winner == (priority, CONFIDENCE)


def test_same_model_twice_is_two_candidates() -> None:
    """R1, a defect of earlier racers: a candidate is known by its index, and not by its model."""
    events = [(1.0, answers(1, confidence=0.9)), (2.0, answers(0, confidence=0.2))]
    field = field_of(count=2)
    assert race(Best(), field, *events).winner == (1, CONFIDENCE)
    assert value(Best(), field, 0) == (0.2, ConfidenceSource.LOGPROBS)


def test_time_up_takes_the_surest_there() -> None:
    """R2: while others still run, time up decides and is told."""
    course = race(
        Best(),
        field_of(count=3),
        (1.0, answers(0, confidence=0.1)),
        (1.0, answers(1, confidence=0.2)),
        (2.0, time_is_up),
    )
    assert course.winner == (1, RaceDecision.DEADLINE)


def test_judge_is_asked_once_all_have_ended() -> None:
    """R5: a judge sees all answers there are, in the order of their indices, and nobody's failure."""
    course = race(JUDGED, field_of(count=3), (1.0, answers(2)), (2.0, fails(1)), (3.0, answers(0)))
    assert (course.at, course.step) == (3.0, Judge(JudgeTask.SCORE, (0, 2)))


def test_judge_is_not_asked_about_one_answer() -> None:
    """R5: with one answer there is nothing to judge."""
    course = race(JUDGED, field_of(count=2), (1.0, fails(0)), (2.0, answers(1)))
    assert course.winner == (1, RaceDecision.ONLY_SURVIVOR)


def test_judges_score_decides() -> None:
    """R5: the judge's score is the confidence, whatever the answer said of itself."""
    field = played(field_of(count=2), (1.0, answers(0, confidence=0.9)), (2.0, answers(1)))
    judge_says({0: 0.3, 1: 0.4})(field, 3.0)
    assert JUDGED.decide(field, 3.0) == Select(1, CONFIDENCE)
    assert value(JUDGED, field, 1) == (0.4, ConfidenceSource.JUDGE)


@pytest.mark.parametrize("scores", [{}, {0: math.nan}, {7: 1.0}])
def test_failed_judge_leaves_it_to_the_answers(scores: dict[int, float]) -> None:
    """R9: a judge that fails or scores nobody degrades to what came with the answers."""
    field = played(field_of(count=2), (1.0, answers(0, confidence=0.3)), (2.0, answers(1, confidence=0.4)))
    judge_says(scores)(field, 3.0)
    assert JUDGED.decide(field, 3.0) == Select(1, CONFIDENCE)
    assert value(JUDGED, field, 0) == (0.3, ConfidenceSource.LOGPROBS)


def test_time_up_before_the_judge() -> None:
    """R2: when time is up no judge is asked, and time is said to have decided."""
    field = played(field_of(count=2), (1.0, answers(0, confidence=0.3)), (2.0, answers(1, confidence=0.4)))
    time_is_up(field, 2.0)
    assert JUDGED.decide(field, 2.0) == Select(1, RaceDecision.DEADLINE)


def test_agreement_is_the_share_of_the_others() -> None:
    """R5: agreement counts the other answers that are equivalent, over the other answers."""
    field = played(
        field_of(count=4),
        (1.0, answers(0, "No", confidence=1.0)),
        (2.0, answers(1, "yes.")),
        (3.0, answers(2, " YES")),
        (4.0, fails(3)),
    )
    assert AGREED.decide(field, 4.0) == Select(1, CONFIDENCE)
    assert value(AGREED, field, 0) == (0.0, ConfidenceSource.AGREEMENT)
    assert value(AGREED, field, 1) == (0.5, ConfidenceSource.AGREEMENT)
    assert value(AGREED, field, 3) is None


def test_sole_answer_agrees_with_nobody() -> None:
    """R5: where there is no other answer, agreement is unknown and the answer's own confidence counts."""
    field = played(field_of(count=2), (1.0, fails(0)), (2.0, answers(1, confidence=0.7)))
    assert value(AGREED, field, 1) == (0.7, ConfidenceSource.LOGPROBS)


def test_reported_confidence_keeps_its_source() -> None:
    """R5: confidence says where it comes from."""
    reported = Confidence(0.8, ConfidenceSource.REPORTED)
    field = played(field_of(count=1), (1.0, answers(0)))
    completion = field.entrants[0].completion
    assert completion is not None
    field.entrants[0].completion = type(completion)(
        completion.parts,
        completion.finish_reason,
        "",
        completion.target,
        "",
        completion.usage,
        reported,
    )
    assert Best().confidence(field.entrants[0], field) == reported


@pytest.mark.parametrize("scorer", list(Scorer))
def test_log_probabilities_are_always_asked_for(scorer: Scorer) -> None:
    """R5: where another scorer fails log probabilities decide, so they are asked for beforehand."""
    assert Best(scorer).asks_logprobs
    assert Best(scorer, judge="p/j").judge_model == ("p/j" if scorer is Scorer.JUDGE else "")
