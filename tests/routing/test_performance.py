"""What is known of targets' speed and luck: recent quantiles, times cut off, shrunk and fading win rates."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.answer import Target
from paceline_server.routing.performance import HALF_LIFE, MINIMUM_COUNT, Performance
from paceline_server.routing.recent_times import KEPT_SECONDS, SLICE_COUNT, SLICE_LENGTH

FAST, SLOW, OTHER = Target("a", "fast"), Target("a", "slow"), Target("b", "other")


@dataclass(slots=True)
class World:
    """A clock that a test turns, and what is known under it."""

    now: float = 5000.0
    performance: Performance = field(init=False)

    def __post_init__(self) -> None:
        self.performance = Performance(now=lambda: self.now, kept_target_count=3)

    def observe(self, *latencies: float, target: Target = FAST) -> None:
        """Streams had their first content after so long."""
        for latency in latencies:
            self.performance.observe(target, latency, streaming=True)

    def quantile(self, q: float, target: Target = FAST) -> float | None:
        """Of all streams until now."""
        self.now += KEPT_SECONDS
        return self.performance.quantile(target, q, streaming=True)


def exactly(values: list[float], q: float) -> float:
    """The quantile by rank, which the sketch's is within a hundredth of."""
    return sorted(values)[math.ceil(q * len(values) - 1e-6) - 1]


@given(
    values=st.lists(st.floats(0.001, 3600.0), min_size=MINIMUM_COUNT, max_size=200),
    percent=st.integers(1, 99),
    pause=st.floats(0.0, 2.0),
)
def test_a_quantile_is_within_a_hundredth_of_the_true_one(
    values: list[float], percent: int, pause: float
) -> None:
    """R4: whatever the times, and however they are spread over the slices that count."""
    world = World()
    for value in values:
        world.observe(value)
        world.now += pause
    q = percent / 100
    assert world.quantile(q) == pytest.approx(exactly(values, q), rel=0.0101)


def test_no_quantile_is_told_from_too_few_observations() -> None:
    """R4: a cold target has none, so that its hedge waits for the maximum delay."""
    world = World()
    assert world.quantile(0.95) is None
    world.observe(*[1.0] * (MINIMUM_COUNT - 1))
    assert world.quantile(0.95) is None
    world.observe(1.0)
    assert world.quantile(0.95) == pytest.approx(1.0, rel=0.01)


def test_streams_and_unary_calls_are_told_apart() -> None:
    """C7: a whole answer takes far longer than a first content."""
    world = World()
    for _ in range(MINIMUM_COUNT):
        world.performance.observe(FAST, 0.2, streaming=True)
        world.performance.observe(FAST, 9.0, streaming=False)
    assert world.quantile(0.5) == pytest.approx(0.2, rel=0.01)
    assert world.performance.quantile(FAST, 0.5, streaming=False) == pytest.approx(9.0, rel=0.01)


def test_what_is_long_past_no_longer_counts() -> None:
    """R4: a target that was slow an hour ago is hedged by what it is now."""
    world = World()
    world.observe(*[8.0] * 500)
    world.now += SLICE_LENGTH * (SLICE_COUNT - 1)
    world.observe(*[0.5] * MINIMUM_COUNT)
    assert world.quantile(0.9) == pytest.approx(8.0, rel=0.01)
    world.now += SLICE_LENGTH
    assert world.quantile(0.9) == pytest.approx(0.5, rel=0.01)
    world.now += SLICE_LENGTH * SLICE_COUNT
    assert world.quantile(0.9) is None


def test_a_new_observation_counts_within_a_second() -> None:
    """R4: what is kept of the last merger is not kept for long."""
    world = World()
    world.observe(*[1.0] * MINIMUM_COUNT)
    assert world.quantile(0.95) == pytest.approx(1.0, rel=0.01)
    world.observe(*[7.0] * MINIMUM_COUNT)
    assert world.performance.quantile(FAST, 0.95, streaming=True) == pytest.approx(1.0, rel=0.01)
    assert world.quantile(0.95) == pytest.approx(7.0, rel=0.01)


@pytest.mark.parametrize("q", [0.5, 0.8, 0.95])
def test_cancelling_the_slow_ones_leaves_the_quantiles_where_they_are(q: float) -> None:
    """R4: hedging cancels exactly the slow attempts, and the next hedge must not start ever earlier."""
    rng, world, seen, cut_off_count = random.Random(7), World(), [], 0
    for _ in range(4000):
        latency = rng.lognormvariate(0.0, 0.5)
        seen.append(latency)
        delay = world.performance.quantile(FAST, 0.9, streaming=True)
        hedge_at = math.inf if delay is None else delay + rng.lognormvariate(-1.5, 0.5)
        world.now += 0.1
        if latency > hedge_at:
            cut_off_count += 1
            world.performance.censored(FAST, hedge_at, streaming=True)
        else:
            world.observe(latency)
    assert cut_off_count > 100
    assert world.quantile(q) == pytest.approx(exactly(seen, q), rel=0.1)


def test_what_another_cuts_off_at_any_time_leaves_the_quantiles_where_they_are() -> None:
    """R4: where the first wins, losers are cancelled early and late, and only the fast are seen whole."""
    rng, world, seen = random.Random(3), World(), []
    for _ in range(4000):
        latency, rival = rng.lognormvariate(0.0, 0.5), rng.lognormvariate(0.3, 0.8)
        seen.append(latency)
        world.now += 0.1
        if rival < latency:
            world.performance.censored(FAST, rival, streaming=True)
        else:
            world.observe(latency)
    for q in (0.5, 0.8, 0.95):
        assert world.quantile(q) == pytest.approx(exactly(seen, q), rel=0.1)


def test_a_time_cut_off_counts_as_longer_than_what_it_waited_and_no_more() -> None:
    """R4: the product-limit estimate of a textbook case, by hand."""
    world = World()
    world.observe(*[1.0] * 10)
    for _ in range(10):
        world.performance.censored(FAST, 2.0, streaming=True)
    world.observe(*[4.0] * 10)
    # A third took 1 s; of the twenty that took longer half were lost sight of, and all others took 4 s.
    assert world.quantile(0.33) == pytest.approx(1.0, rel=0.01)
    assert world.quantile(0.34) == pytest.approx(4.0, rel=0.01)
    for _ in range(30):
        world.performance.censored(FAST, 5.0, streaming=True)
    # Now 10 of 60 took 1 s, and 10 of the 40 seen after 2 s took 4 s: 1 - 5/6 * 3/4 = 0.375.
    assert world.quantile(0.37) == pytest.approx(4.0, rel=0.01)
    assert world.quantile(0.38) is None


def test_cancelled_attempts_alone_tell_no_quantile() -> None:
    """R4: a target that never got so far is cold, however often it was tried."""
    world = World()
    world.observe(*[1.0] * (MINIMUM_COUNT - 1))
    for _ in range(100):
        world.performance.censored(FAST, 0.001, streaming=True)
    assert world.quantile(0.5) is None
    assert world.quantile(0.5, SLOW) is None


def test_times_beyond_reason_take_no_room() -> None:
    """C7: a clock that jumped or an attempt of days must not widen a sketch without bound."""
    world = World()
    world.observe(*[1e-9] * MINIMUM_COUNT, *[1e9] * MINIMUM_COUNT)
    assert world.quantile(0.5) == pytest.approx(0.001, rel=0.01)
    assert world.quantile(0.9) == pytest.approx(3600.0, rel=0.01)


def test_of_too_many_targets_the_one_not_heard_of_for_the_longest_is_forgotten() -> None:
    """R4: callers name any model, and memory must not grow with their fancy."""
    world = World()
    for target in (FAST, SLOW, OTHER):
        world.observe(*[1.0] * MINIMUM_COUNT, target=target)
    world.observe(1.0, target=FAST)
    world.observe(1.0, target=Target("c", "new"))
    told = [target for target in (FAST, SLOW, OTHER) if world.quantile(0.5, target) is not None]
    assert told == [FAST, OTHER]


def test_with_no_race_known_every_win_rate_is_a_half() -> None:
    """R3: nobody is preferred before there is evidence."""
    world = World()
    world.observe(1.0)
    assert world.performance.win_rate(FAST) == world.performance.win_rate(SLOW) == 0.5


def test_a_win_rate_is_shrunk_to_the_mean_of_all_with_the_weight_of_ten_races() -> None:
    """R3: (wins + 10 x pooled mean) / (participations + 10)."""
    world = World()
    for _ in range(3):
        world.performance.raced(FAST, [SLOW, OTHER])
    world.performance.raced(SLOW, [SLOW])
    mean = 4 / 11
    assert world.performance.win_rate(FAST) == pytest.approx((3 + 10 * mean) / 13)
    assert world.performance.win_rate(SLOW) == pytest.approx((1 + 10 * mean) / 15)
    assert world.performance.win_rate(OTHER) == pytest.approx((0 + 10 * mean) / 13)
    assert world.performance.win_rate(Target("c", "new")) == pytest.approx(mean)


def test_a_race_without_a_winner_counts_against_all() -> None:
    """R3: every participation counts, and a rate stays above 0 so that latency still tells."""
    world = World()
    world.performance.raced(None, [FAST, SLOW])
    assert 0.0 < world.performance.win_rate(FAST) < 0.01
    world.performance.raced(FAST, [SLOW])
    assert world.performance.win_rate(FAST) == pytest.approx((1 + 10 * 0.25) / 12)


def test_races_count_half_after_an_hour() -> None:
    """R3: participations fade as wins do, so that an old record weighs less and not worse."""
    world = World()
    for _ in range(40):
        world.performance.raced(FAST, [SLOW])
    world.now += HALF_LIFE
    assert world.performance.win_rate(FAST) == pytest.approx((20 + 5) / 30)
    for _ in range(20):
        world.performance.raced(SLOW, [FAST])
    assert world.performance.win_rate(FAST) == pytest.approx((20 + 5) / 50)
    world.now += 5000 * HALF_LIFE
    assert world.performance.win_rate(FAST) == pytest.approx(0.5)


races = st.lists(
    st.tuples(
        st.sampled_from([None, FAST, SLOW, OTHER]),
        st.lists(st.sampled_from([FAST, SLOW, OTHER]), max_size=4),
        st.floats(0.0, 1e5),
    ),
    max_size=30,
)


@given(run=races)
def test_a_win_rate_is_above_0_and_at_most_1(
    run: list[tuple[Target | None, list[Target], float]],
) -> None:
    """R3: whatever was raced and whenever."""
    world = World()
    for winner, losers, pause in run:
        world.performance.raced(winner, losers)
        world.now += pause
        for target in (FAST, SLOW, OTHER):
            assert 0.0 < world.performance.win_rate(target) <= 1.0
