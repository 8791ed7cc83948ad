"""The rule `hedged` (R4)."""

from __future__ import annotations

import math

import pytest

from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.field import Entrant, Field
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.rule import Fail, Select, Start, Wait
from tests.strategies.racing.events import (
    answers,
    fails,
    field_of,
    hedges_are_refused,
    is_skipped,
    played,
    race,
    starts,
    time_is_up,
    writes,
)

ONLY_SURVIVOR = RaceDecision.ONLY_SURVIVOR
FIRST_CONTENT = RaceDecision.FIRST_CONTENT


def stream(*delays: float) -> Field:
    """A streaming field of candidates that may stay silent for so long."""
    return field_of(*(Entrant(i, hedge_delay=delay) for i, delay in enumerate(delays)), streaming=True)


def test_the_most_urgent_starts_alone() -> None:
    """R4, a defect of earlier racers: one starts, of the highest priority, and not everyone."""
    field = field_of(Entrant(0), Entrant(1, priority=2), Entrant(2, priority=2))
    assert list(Hedged().first_starts(field)) == [1]


def test_benched_candidates_do_not_start_first() -> None:
    """R4, a defect of earlier racers: who is known to be bad is passed over; if all are, the first starts."""
    one_ready = field_of(Entrant(0, priority=1, ready=False), Entrant(1))
    none_ready = field_of(Entrant(0, ready=False), Entrant(1, priority=1, ready=False))
    assert list(Hedged().first_starts(one_ready)) == [1]
    assert list(Hedged().first_starts(none_ready)) == [1]


def test_content_before_the_delay_starts_nobody() -> None:
    """R4: while the first is not silent for too long, it stays alone."""
    course = race(Hedged(), stream(1.0, 1.0), (0.9, writes(0)))
    assert course.starts == ((0.0, 0),)
    assert course.winner == (0, ONLY_SURVIVOR)


def test_silence_starts_the_next() -> None:
    """R4: the next starts when the delay of the one that runs has passed, and the first content wins."""
    course = race(Hedged(), stream(1.0, 1.0), (1.5, writes(1)))
    assert course.starts == ((0.0, 0), (1.0, 1))
    assert course.winner == (1, FIRST_CONTENT)


def test_slow_first_may_still_win() -> None:
    """R4: a hedge is a chance and no replacement; whoever writes first wins."""
    course = race(Hedged(), stream(1.0, 1.0), (1.5, writes(0)))
    assert course.winner == (0, FIRST_CONTENT)


def test_whole_answer_wins_a_unary_race() -> None:
    """R4: in a unary call the first complete answer wins."""
    field = field_of(Entrant(0, hedge_delay=1.0), Entrant(1))
    assert race(Hedged(), field, (1.5, answers(1))).winner == (1, RaceDecision.FIRST_COMPLETION)


def test_no_more_hedges_than_allowed() -> None:
    """R4, a defect of earlier racers: fan-out is bounded, whatever the number of candidates."""
    course = race(Hedged(max_hedge_count=2), stream(1.0, 0.5, 0.1, 0.1), (9.0, writes(2)))
    assert course.starts == ((0.0, 0), (1.0, 1), (1.5, 2))


@pytest.mark.parametrize("count", [0, 1])
def test_starts_after_failures_count_as_hedges(count: int) -> None:
    """R4: a start after a failure takes from the same number, and without one left the race fails."""
    course = race(
        Hedged(max_hedge_count=count), stream(9.0, 9.0, 9.0), *[(i + 0.1, fails(i)) for i in (0, 1)]
    )
    assert len(course.starts) == count + 1
    assert course.step == Fail()


def test_failure_starts_the_next_at_once() -> None:
    """R4: a failure that permits another target is not waited out."""
    course = race(Hedged(), stream(1.0, 1.0), (0.2, fails(0)), (0.5, writes(1)))
    assert course.starts == ((0.0, 0), (0.2, 1))
    assert course.winner == (1, ONLY_SURVIVOR)


def test_one_failure_starts_one() -> None:
    """R4: a start caused by a failure is not followed by another at the same moment."""
    course = race(Hedged(max_hedge_count=5), stream(1.0, 1.0, 1.0), (0.2, fails(0)), (0.9, writes(1)))
    assert course.starts == ((0.0, 0), (0.2, 1))
    at_once = played(stream(1.0, 0.7, 1.0), (0.0, fails(0)), (0.0, starts(1)), started=[0])
    assert Hedged(max_hedge_count=5).decide(at_once, 0.0) == Wait(0.7)


def test_failure_beside_a_silent_one_starts_the_next_at_once() -> None:
    """R4: a hedge or its elder that fails is replaced at once, though the other still runs."""
    hedge_fails = race(Hedged(max_hedge_count=2), stream(1.0, 9.0, 9.0), (1.2, fails(1)), (2.0, writes(0)))
    elder_fails = race(Hedged(max_hedge_count=2), stream(1.0, 9.0, 9.0), (1.2, fails(0)), (2.0, writes(1)))
    assert hedge_fails.starts == elder_fails.starts == ((0.0, 0), (1.0, 1), (1.2, 2))


def test_failure_at_the_moment_of_its_start_is_replaced() -> None:
    """R4: a hedge that fails as it starts counts as a failure after that start."""
    field = played(stream(1.0, 1.0, 1.0), (1.0, starts(1)), (1.0, fails(1)), started=[0])
    assert Hedged(max_hedge_count=2).decide(field, 1.0) == Start(2)


def test_fault_of_the_request_starts_nobody() -> None:
    """R4: after a fault of the request itself no other is tried; one that runs already is waited for."""
    alone = race(Hedged(max_hedge_count=2), stream(1.0, 1.0), (0.1, fails(0, blocks_others=True)))
    beside = race(
        Hedged(max_hedge_count=2),
        stream(1.0, 1.0, 1.0),
        (1.2, fails(1, blocks_others=True)),
        (9.0, writes(0)),
    )
    assert (alone.step, alone.starts) == (Fail(), ((0.0, 0),))
    assert beside.winner == (0, ONLY_SURVIVOR)
    assert len(beside.starts) == 2


def test_refused_hedges_are_not_asked_for_again() -> None:
    """R4: without a token the first goes on alone, and its failure is the race's."""
    waits = race(Hedged(), stream(1.0, 1.0), (0.5, hedges_are_refused), (3.0, writes(0)))
    ends = race(Hedged(), stream(1.0, 1.0), (0.5, hedges_are_refused), (3.0, fails(0)))
    assert (waits.winner, len(waits.starts)) == ((0, ONLY_SURVIVOR), 1)
    assert (ends.step, len(ends.starts)) == (Fail(), 1)


def test_benched_candidates_are_no_hedges() -> None:
    """R4: none starts once the other targets are benched."""
    field = stream(1.0, 1.0, 1.0)
    field.entrants[1].ready = field.entrants[2].ready = False
    course = race(Hedged(), field, (5.0, fails(0)))
    assert (course.step, course.starts) == (Fail(), ((0.0, 0),))


def test_who_cannot_be_started_is_nobody_left() -> None:
    """A1: who waits counts as a target that is left only while the rule could still start him."""
    rule = Hedged()
    hedged = played(stream(1.0, 1.0, 1.0), (1.0, starts(1)), started=[0])
    faulty = played(stream(1.0, 1.0), (0.5, fails(0, blocks_others=True)), started=[0])
    refused = played(stream(1.0, 1.0), (0.5, hedges_are_refused), started=[0])
    benched = played(stream(1.0, 1.0), started=[0])
    benched.entrants[1].ready = False
    assert rule.may_start(played(stream(1.0, 1.0), started=[0]))
    assert not any(map(rule.may_start, (hedged, faulty, refused, benched)))


def test_next_is_asked_for_by_priority() -> None:
    """R4, a defect of earlier racers: priority orders the starts, and the index equal ones."""
    field = field_of(*(Entrant(i, priority=p, hedge_delay=1.0) for i, p in enumerate((0, 1, 1, 2))))
    assert [i for _, i in race(Hedged(max_hedge_count=9), field).starts] == [3, 1, 2, 0]


def test_skipped_first_is_replaced_at_once() -> None:
    """R4: if the first was out before it started, the next starts, and that is no hedge."""
    field = stream(1.0, 1.0)
    is_skipped(0)(field, 0.0)
    assert Hedged(max_hedge_count=0).decide(field, 0.0) == Start(1)


def test_time_up_without_content_fails() -> None:
    """R2: time up starts nobody and selects nobody who is silent."""
    course = race(Hedged(), stream(9.0, 9.0), (1.0, time_is_up))
    assert (course.step, len(course.starts)) == (Fail(), 1)


def test_content_at_the_last_moment_wins_as_first() -> None:
    """R2: who has content when time is up wins by it, as it would have without."""
    field = played(stream(1.0, 1.0), (2.0, writes(1)), (2.0, time_is_up))
    assert Hedged().decide(field, 2.0) == Select(1, FIRST_CONTENT)


def test_waits_for_the_moment_of_the_next_start() -> None:
    """R4: the rule asks to be woken when the silence has lasted long enough, and not if nobody is left."""
    assert Hedged().decide(played(stream(0.7, 1.0), started=[0]), 0.1) == Wait(0.7)
    assert Hedged().decide(played(stream(0.7), started=[0]), 0.1) == Wait(math.inf)


@pytest.mark.parametrize(
    ("observed", "delay"), [(None, 2.0), (math.nan, 2.0), (0.001, 0.05), (0.4, 0.4), (9.0, 2.0)]
)
def test_observed_delay_keeps_within_its_bounds(observed: float | None, delay: float) -> None:
    """R4: the observed quantile, clamped; cold it is the maximum."""
    asked: list[float] = []

    def quantile(share: float) -> float | None:
        asked.append(share)
        return observed

    assert Hedged(quantile=0.9).hedge_delay(quantile) == delay
    assert asked == [0.9]


def test_fixed_delay_is_not_clamped() -> None:
    """R4: a fixed delay is taken as it is, and nothing observed is asked for."""
    assert Hedged(delay=7.0).hedge_delay(lambda _share: 1 / 0) == 7.0
