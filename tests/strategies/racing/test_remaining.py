"""Who is left in a race (A1)."""

from __future__ import annotations

import pytest

from paceline_server.strategies.racing.best import Best
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.field import Field
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.remaining import Remaining
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.weighted import Weighted
from tests.strategies.racing.events import answers, fails, field_of, hedges_are_refused, played


def running(count: int) -> Field:
    """A race of so many, all of whom run."""
    return played(field_of(count=count))


def test_all_but_one_may_be_ended() -> None:
    """A1: of clocks that ring at one moment the last ends nobody, though nobody has ended yet."""
    remaining = Remaining(First(), running(3))
    assert [remaining.may_end(index) for index in (2, 0, 1)] == [True, True, False]


def test_who_turns_to_another_target_could_answer() -> None:
    """A1: a candidate that a clock has ended on one target is left as soon as it tries another."""
    remaining = Remaining(First(), running(2))
    assert remaining.may_end(0)
    remaining.tries_again(0)
    assert remaining.may_end(1)


def test_who_has_ended_is_not_left() -> None:
    """A1: beside failures the one that runs is the last."""
    field = played(field_of(count=2), (1.0, fails(1)))
    assert not Remaining(First(), field).may_end(0)


def test_who_may_start_is_left() -> None:
    """A1, R4: a hedge that may still be started could answer; one that was refused could not."""
    field = played(field_of(count=2), started=[0])
    assert Remaining(Hedged(), field).may_end(0)
    hedges_are_refused(field, 1.0)
    assert not Remaining(Hedged(), field).may_end(0)


@pytest.mark.parametrize(
    ("rule", "may_end"),
    [
        (Best(), True),
        (Weighted(), True),
        (Quality(), True),
        (Consensus(quorum=1), True),
        (Consensus(), False),
        (First(minimum_confidence=0.5), False),
    ],
)
def test_an_answer_that_would_win_is_enough(rule: Rule, *, may_end: bool) -> None:
    """A1, R5: beside an answer that would win nobody is the last hope; beside one that would not, he is."""
    field = played(field_of(count=2), (1.0, answers(1)))
    assert Remaining(rule, field).may_end(0) is may_end
    assert not field.time_is_up
