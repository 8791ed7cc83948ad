"""The fleet's budget of additional attempts (C6)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.health.budget import HEDGES, AttemptBudget, BudgetConfig


@dataclass(slots=True)
class Clock:
    """A clock that a test turns."""

    now: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def spent(budget: AttemptBudget, wanted: int) -> int:
    """How many of the wanted attempts the budget grants."""
    return sum(budget.spend() for _ in range(wanted))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.0, 30.0)),
        st.tuples(st.just("offer"), st.integers(0, 200)),
        st.tuples(st.just("spend"), st.integers(0, 200)),
    ),
    max_size=40,
)


@given(steps=steps)
def test_additional_attempts_never_exceed_a_fifth_of_the_calls_and_ten_a_second(
    steps: list[tuple[str, float]],
) -> None:
    """C6: whatever the pattern, from the start on; the bucket starts with one second's worth."""
    clock = Clock()
    budget = AttemptBudget(now=clock)
    offered = granted = 0
    for step, amount in steps:
        if step == "wait":
            clock.now += amount
        elif step == "offer":
            for _ in range(int(amount)):
                budget.call_offered()
            offered += int(amount)
        else:
            granted += spent(budget, int(amount))
        assert granted <= 0.2 * offered + 10.0 * (clock.now + 1.0) + 1e-6


@given(steps=steps, quiet=st.floats(0.0, 1e6))
def test_what_is_saved_up_is_bounded(steps: list[tuple[str, float]], quiet: float) -> None:
    """C6: after any past, a sudden failure of everything is met with the burst at most."""
    clock = Clock()
    budget = AttemptBudget(now=clock)
    for step, amount in steps:
        if step == "offer":
            for _ in range(int(amount)):
                budget.call_offered()
    clock.now += quiet

    assert spent(budget, 1000) <= 100


def test_every_share_can_be_spent() -> None:
    """C6: 20 % of calls and 10 a second are granted, not only promised."""
    clock = Clock()
    budget = AttemptBudget(now=clock)
    assert spent(budget, 100) == 10
    for _ in range(51):  # a little more than 10 / 0.2: a fifth is no exact number in binary
        budget.call_offered()
    assert spent(budget, 100) == 10
    clock.now += 3.0
    assert spent(budget, 100) == 30


def test_nothing_is_granted_where_nothing_is_configured() -> None:
    """C6: a budget of zero means that no attempt is ever made again."""
    clock = Clock()
    budget = AttemptBudget(BudgetConfig(0.0, 0.0, 0.0), now=clock)
    budget.call_offered()
    clock.now += 3600.0

    assert not budget.spend()


@pytest.mark.parametrize("burst", [0.5, 1.0, 5.0])
def test_the_burst_bounds_the_start_too(burst: float) -> None:
    """C6: a bucket never holds more than its burst."""
    assert spent(AttemptBudget(BudgetConfig(burst=burst), now=Clock()), 100) == int(burst)


def test_an_attempt_that_was_not_made_is_given_back_and_no_more() -> None:
    """C6, A8: what was taken comes back, and the burst still bounds the bucket."""
    budget = AttemptBudget(BudgetConfig(per_second=2.0, burst=2.0), now=Clock())
    assert spent(budget, 10) == 2
    budget.give_back()
    assert spent(budget, 10) == 1
    for _ in range(5):
        budget.give_back()
    assert spent(budget, 10) == 2


def test_a_quiet_service_can_hedge_once_and_then_a_tenth_of_its_calls() -> None:
    """R4: the bucket of hedges starts with one, is fed by calls alone, and saves up ten."""
    clock = Clock()
    hedges = AttemptBudget(HEDGES, now=clock)
    assert spent(hedges, 10) == 1
    clock.now += 3600.0
    assert spent(hedges, 10) == 0
    for _ in range(31):
        hedges.call_offered()
    assert spent(hedges, 10) == 3
    for _ in range(1000):
        hedges.call_offered()
    assert spent(hedges, 100) == 10
