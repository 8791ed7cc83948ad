"""Tokens and money: sums that reconcile, and prices in whole numbers (K4, stream rule 5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.usage import (
    NOTHING_USED,
    Price,
    PriceTier,
    Usage,
    UsageState,
    estimate_token_count,
    priced,
    total_usage,
)

counts = st.integers(0, 10**9)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What a provider may report: parts contained in their totals, or not told."""
    input_count, output_count = draw(counts), draw(counts)
    cached = draw(st.none() | st.integers(0, input_count))
    written = draw(st.none() | st.integers(0, input_count - (cached or 0)))
    return Usage(
        input_count,
        output_count,
        cached,
        written,
        draw(st.none() | st.integers(0, output_count)),
        draw(st.none() | counts),
        draw(st.sampled_from(UsageState)),
    )


prices = st.builds(
    Price,
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    st.none() | counts,
)


@given(first=st.lists(usages()), second=st.lists(usages()), third=st.lists(usages()))
def test_sums_of_sums_are_sums(first: list[Usage], second: list[Usage], third: list[Usage]) -> None:
    """K4: attempts sum to calls and calls to hours, in whatever groups and order."""
    whole = total_usage([*first, *second, *third])

    assert total_usage([total_usage(first), total_usage([*second, *third])]) == whole
    assert total_usage([total_usage([*first, *second]), total_usage(third)]) == whole
    assert total_usage([*third, *first, *second]) == whole


@given(children=st.lists(usages()))
def test_parts_never_exceed_their_totals(children: list[Usage]) -> None:
    """K4: cached and written tokens stay within the input, reasoning within the output."""
    total = total_usage(children)

    cached, written = total.cached_input_token_count or 0, total.cache_write_token_count or 0
    assert cached + written <= total.input_token_count
    assert (total.reasoning_token_count or 0) <= total.output_token_count


@given(children=st.lists(usages()))
def test_a_part_is_never_added_to_its_total(children: list[Usage]) -> None:
    """K4: totals are the sums of totals alone."""
    total = total_usage(children)

    assert total.input_token_count == sum(child.input_token_count for child in children)
    assert total.output_token_count == sum(child.output_token_count for child in children)


@given(children=st.lists(usages()))
def test_one_unknown_cost_makes_the_total_unknown(children: list[Usage]) -> None:
    """K4: unset means no known price, and a sum with an unknown in it is unknown, not too small."""
    costs = [child.cost_nano_usd for child in children]
    known = [cost for cost in costs if cost is not None]

    assert total_usage(children).cost_nano_usd == (sum(known) if len(known) == len(costs) else None)


@given(children=st.lists(usages()))
def test_a_total_is_as_unsure_as_its_least_sure_child(children: list[Usage]) -> None:
    """K4: REPORTED only where all of it was reported."""
    unsure = max((child.state.value for child in children), default=0)

    assert total_usage(children).state is UsageState(unsure)


def test_what_nobody_told_stays_untold() -> None:
    """K4: a part that no child told is unset in the total, not 0."""
    assert total_usage([Usage(1, 1), Usage(2, 2)]).cached_input_token_count is None
    assert total_usage([Usage(1, 1), Usage(2, 2, 1)]).cached_input_token_count == 1
    assert total_usage([]) == NOTHING_USED


@pytest.mark.parametrize(
    ("usage", "price", "cost"),
    [
        # 3 USD and 15 USD per million tokens
        (Usage(1000, 500), Price(3 * 10**9, 15 * 10**9), 10_500_000),
        (Usage(1000, 0, 400), Price(3 * 10**9, 0, 3 * 10**8), 1_800_000 + 120_000),
        (Usage(1000, 0, 400), Price(3 * 10**9, 0), 3_000_000),
        (Usage(1000, 0, 400, 600), Price(10**9, 0, 10**8, 2 * 10**9), 40_000 + 1_200_000),
        (Usage(0, 100, reasoning_token_count=90), Price(0, 10**9), 100_000),
        (Usage(1, 0), Price(999_999, 0), 0),
        (Usage(2, 0), Price(999_999, 0), 1),
    ],
)
def test_a_cost_counts_each_token_once_at_its_own_price(usage: Usage, price: Price, cost: int) -> None:
    """K4: cached and written tokens at their own price, the rest at the input's; reasoning is output."""
    assert price.cost_nano_usd(usage) == cost


@given(usage=usages(), price=prices)
def test_a_cost_is_exact(usage: Usage, price: Price) -> None:
    """K4: integers all the way; rounded down once, by less than one unit."""
    cost = price.cost_nano_usd(usage)
    cached = usage.cached_input_token_count or 0
    written = usage.cache_write_token_count or 0
    cached_price = (
        price.input_nano_usd if price.cached_input_nano_usd is None else price.cached_input_nano_usd
    )
    written_price = price.input_nano_usd if price.cache_write_nano_usd is None else price.cache_write_nano_usd
    exact = (
        (usage.input_token_count - cached - written) * price.input_nano_usd
        + cached * cached_price
        + written * written_price
        + usage.output_token_count * price.output_nano_usd
    )

    assert isinstance(cost, int)
    assert 0 <= exact - cost * 10**6 < 10**6


def test_parts_beyond_their_total_cost_no_less_than_nothing() -> None:
    """K4: a provider that counts wrongly never earns the caller money."""
    assert Price(10**9, 0, 0).cost_nano_usd(Usage(10, 0, 20)) == 0


def test_no_cost_is_too_large_to_be_told() -> None:
    """K4: counts beyond all sense cost the most that the contract can say, and fail no call."""
    assert Price(10**12, 0).cost_nano_usd(Usage(2**62)) == 2**63 - 1


def test_a_providers_own_cost_stands() -> None:
    """K4: what the provider told is not calculated anew; without a price the cost stays unset."""
    price = Price(10**9, 10**9)

    assert priced(Usage(1000, 0, cost_nano_usd=7), price).cost_nano_usd == 7
    assert priced(Usage(1000, 0), price).cost_nano_usd == 1_000_000
    assert priced(Usage(1000, 0), None).cost_nano_usd is None


@pytest.mark.parametrize(("characters", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_estimates_round_up(characters: int, tokens: int) -> None:
    """A6: text that is not empty never costs nothing."""
    assert estimate_token_count(characters) == tokens


@pytest.mark.parametrize(("tokens", "expected"), [(100, 100), (101, 202), (200, 400), (201, 1005)])
def test_a_long_input_has_the_price_of_its_tier(tokens: int, expected: int) -> None:
    """K4: above a bound the whole call is at the other price, not only what is above it."""
    million = 1_000_000
    tiers = tuple(PriceTier(bound, Price(price * million, 0)) for bound, price in ((100, 2), (200, 5)))
    assert Price(million, 0, tiers=tiers).cost_nano_usd(Usage(tokens)) == expected


def test_a_sum_of_costs_can_be_told() -> None:
    """K4: costs that only absurd prices explain add up to the contract's largest number, and not beyond."""
    largest = Price(10**30, 0).cost_nano_usd(Usage(10**9))
    assert total_usage([Usage(cost_nano_usd=largest)] * 3).cost_nano_usd == largest == 2**63 - 1
