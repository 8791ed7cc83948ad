"""The limits of a race: whatever starts and ends in whatever order, they are not exceeded (R9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.content import Message, Part, Role, Text
from paceline_server.completion.prompt import GenerationConfig, Prompt
from paceline_server.completion.usage import Price, PriceTier, Usage, priced
from paceline_server.providers.profile import Profile
from paceline_server.strategies.racing.allowance import Allowance, LimitReached, Reservation, reserve
from paceline_server.strategies.racing.limits import RaceLimits

DOLLAR = Profile(price=Price(10**9, 4 * 10**9))
"""A thousand nano-dollars a token of input, four thousand a token of output."""

INPUT_COUNT = 100


def prompt(max_output_token_count: int | None = None, *, size: int = INPUT_COUNT, **config: Any) -> Prompt:
    """A prompt of `size` tokens by estimate."""
    settings = GenerationConfig(max_output_token_count=max_output_token_count, **config)
    return Prompt((Message(Role.USER, (Part(Text("four" * size)),)),), config=settings)


def allowance(**limits: int) -> Allowance:
    """What these limits allow."""
    return Allowance(RaceLimits(**limits))


def started(
    one: Allowance, wanted: Prompt | None = None, profile: Profile = DOLLAR, *, first: bool = True
) -> Reservation:
    """A start that is permitted."""
    reservation = reserve((one,), "p", profile, wanted or prompt(), first=first)
    assert isinstance(reservation, Reservation), str(reservation)
    return reservation


def refused(
    one: Allowance, wanted: Prompt | None = None, profile: Profile = DOLLAR, *, first: bool = False
) -> LimitReached:
    """A start that is not."""
    reached = reserve((one,), "p", profile, wanted or prompt(), first=first)
    assert isinstance(reached, LimitReached)
    return reached


prices = st.builds(
    lambda base, output, cached, written, tier, above: Price(
        base, output, cached, written, tiers=(PriceTier(above, Price(tier, output + tier, None, written)),)
    ),
    st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.none() | st.integers(0, 10**9),
    st.none() | st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.integers(1, 300),
)
profiles = st.builds(
    Profile, price=st.none() | prices, max_output_token_count=st.none() | st.integers(1, 5000)
)
prompts = st.builds(
    prompt,
    st.none() | st.integers(1, 5000),
    size=st.integers(0, 400),
    cache_prompt=st.booleans(),
)
limits = st.builds(
    RaceLimits,
    max_cost_nano_usd=st.none() | st.integers(0, 10**8),
    max_output_token_count=st.none() | st.integers(1, 10_000),
    max_started_count=st.none() | st.integers(1, 8),
)
ends = st.sampled_from(["used all", "used some", "nothing used", "not started", "told twice"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("start"), prompts, profiles, st.booleans()),
        st.tuples(st.just("end"), st.integers(0, 20), ends, st.floats(0, 1)),
        st.tuples(st.just("due"), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(limits=st.lists(limits, min_size=1, max_size=3), steps=steps)
def test_no_schedule_exceeds_a_limit(limits: list[RaceLimits], steps: list[tuple[Any, ...]]) -> None:
    """R9: whatever starts and ends in whatever order, in races within races, with any prices and prompts."""
    allowances = tuple(map(Allowance, limits))
    running: list[tuple[Reservation, Prompt, Profile]] = []
    for step in steps:
        match step:
            case ("due", count):
                allowances[-1].starts_due = count
            case ("start", wanted, profile, first):
                reservation = reserve(allowances, "p", profile, wanted, first=first)
                if isinstance(reservation, Reservation):
                    running.append((reservation, wanted, profile))
            case ("end", place, how, share) if running:
                end(*running.pop(place % len(running)), how, share)
        for one, limit in zip(allowances, limits, strict=True):
            hold(one, limit)
    while running:
        end(*running.pop(), "not started", 0.0)
    assert all(one.started_count >= 0 for one in allowances)


def end(reservation: Reservation, wanted: Prompt, profile: Profile, how: str, share: float) -> None:
    """End an attempt that kept to what it was told."""
    if how == "not started":
        reservation.give_back()
        return
    most = reservation.max_output_token_count
    if most is None:
        most = wanted.config.max_output_token_count or profile.max_output_token_count or 0
    size = len(getattr(wanted.messages[0].parts[0].kind, "text", "")) // 4
    written = int(size * share) if wanted.config.cache_prompt else None
    used = Usage(size, most if how == "used all" else int(most * share), cache_write_token_count=written)
    if how == "told twice":
        reservation.settle(None)
    reservation.settle(None if how == "nothing used" else priced(used, profile.price))


def hold(one: Allowance, limit: RaceLimits) -> None:
    """Hold what is spent and reserved against a limit."""
    assert limit.max_cost_nano_usd is None or one.cost_nano_usd <= limit.max_cost_nano_usd
    assert limit.max_output_token_count is None or one.output_token_count <= limit.max_output_token_count
    assert limit.max_started_count is None or one.started_count <= limit.max_started_count
    assert min(one.cost_nano_usd, one.output_token_count, one.started_count) >= 0


def test_three_that_start_at_once_share() -> None:
    """R9: an unset maximum is capped to the remainder, of which the first must not take all."""
    one = allowance(max_output_token_count=300)
    one.starts_due = 3
    assert [started(one).max_output_token_count for _ in range(3)] == [100, 100, 100]
    assert one.starts_due == 0
    assert refused(one).limit == "max_output_token_count"


def test_three_that_start_at_once_share_money_whatever_their_price() -> None:
    """R9: each has a third of it, input included; the dearer one may write less."""
    one = allowance(max_cost_nano_usd=3_000_000)
    one.starts_due = 3
    dear = replace(DOLLAR, price=Price(10**9, 9 * 10**9))
    assert started(one).max_output_token_count == 225
    assert started(one, profile=dear).max_output_token_count == 100
    assert started(one).max_output_token_count == 225
    assert one.cost_nano_usd == 3_000_000


def test_a_retry_leaves_the_others_their_shares() -> None:
    """R9: who failed and tries again while others are still due takes one share, and not theirs."""
    one = allowance(max_output_token_count=300)
    one.starts_due = 3
    first = started(one)
    first.settle(None)
    assert started(one, first=False).max_output_token_count == 100
    assert started(one).max_output_token_count == 100
    assert started(one).max_output_token_count == 100


def test_who_is_refused_is_no_longer_due() -> None:
    """R9: what could not start takes no share from those that can."""
    one = allowance(max_cost_nano_usd=4_000_000)
    one.starts_due = 2
    assert refused(one, prompt(size=5000), first=True).limit == "max_cost_nano_usd"
    assert started(one).max_output_token_count == (4_000_000 - 100_000) // 4000


def test_a_share_that_is_too_little_is_made_larger() -> None:
    """R9: rather some that answer than none; the most urgent start first."""
    one = allowance(max_cost_nano_usd=250_000)
    one.starts_due = 3
    assert started(one).max_output_token_count == (250_000 // 2 - 100_000) // 4000
    assert started(one).max_output_token_count == (250_000 - 124_000 - 100_000) // 4000
    assert refused(one).limit == "max_cost_nano_usd"


def test_a_set_maximum_takes_what_it_says_and_no_more_than_is_left() -> None:
    """R9: the prompt's maximum and the target's are enforced anyway, and so reserved."""
    one = allowance(max_output_token_count=300)
    one.starts_due = 3
    assert started(one, prompt(80)).max_output_token_count == 80
    assert started(one, prompt(200), Profile(max_output_token_count=120)).max_output_token_count == 120
    assert started(one, prompt(200)).max_output_token_count == 100


def test_what_is_settled_is_there_for_others() -> None:
    """R9: the reservation is replaced by what was used, however often that is told."""
    one = allowance(max_output_token_count=100, max_cost_nano_usd=500_000)
    reservation = started(one)
    assert reservation.max_output_token_count == 100
    reservation.settle(Usage(100, 30, cost_nano_usd=220_000))
    reservation.settle(Usage(100, 30, cost_nano_usd=220_000))
    assert (one.output_token_count, one.cost_nano_usd, one.started_count) == (30, 220_000, 1)
    assert started(one).max_output_token_count == (500_000 - 220_000 - 100_000) // 4000


def test_what_was_not_started_is_given_back_whole() -> None:
    """A8: a call that its adapter could not write was none."""
    one = allowance(max_started_count=1, max_output_token_count=10)
    started(one).give_back()
    assert (one.output_token_count, one.cost_nano_usd, one.started_count) == (0, 0, 0)
    started(one)
    assert refused(one).limit == "max_started_count"


def test_an_unknown_price_is_refused_under_a_limit_on_money_only() -> None:
    """R9: what cannot be reckoned cannot be held to a limit; another target may have a price."""
    reached = refused(allowance(max_cost_nano_usd=10**12), profile=Profile())
    assert (reached.limit, reached.of_target) == ("max_cost_nano_usd", True)
    started(allowance(max_output_token_count=10), profile=Profile())


def test_what_costs_nothing_fits_a_limit_of_nothing() -> None:
    """R9: with a limit of 0 only free targets run, and they are bounded by nothing."""
    one = allowance(max_cost_nano_usd=0)
    assert refused(one).limit == "max_cost_nano_usd"
    assert started(one, profile=Profile(price=Price(0, 0))).max_output_token_count is None


def test_the_price_of_long_prompts_is_theirs() -> None:
    """R9: a tier is the price of the whole call."""
    tiered = Profile(price=Price(10**9, 10**9, tiers=(PriceTier(99, Price(2 * 10**9, 3 * 10**9)),)))
    assert started(allowance(max_cost_nano_usd=500_000), profile=tiered).max_output_token_count == 100


def test_what_is_written_to_the_cache_is_reckoned_at_its_price() -> None:
    """R9: it is dearer than plain input, and the caller asked for it."""
    writing = Profile(price=Price(10**9, 10**9, cache_write_nano_usd=2 * 10**9))
    one = allowance(max_cost_nano_usd=300_000)
    assert started(one, prompt(cache_prompt=True), writing).max_output_token_count == 100


def test_a_limit_on_starts_alone_bounds_no_answer() -> None:
    """R9: what needs not be capped is sent as it is."""
    one = allowance(max_started_count=2)
    profile = Profile(max_output_token_count=50)
    assert started(one, profile=profile).max_output_token_count is None
    assert started(one, prompt(20), profile).max_output_token_count is None


@pytest.mark.parametrize(
    ("options", "is_refused"),
    [
        ('{"max_tokens": 99999}', True),
        ('{"generationConfig": {"maxOutputTokens": 99999}}', True),
        ('{"max\\u005ftokens": 99999}', True),
        ('{"user": "max_tokens"}', False),
        ("no JSON", False),
    ],
)
def test_options_that_would_undo_the_maximum_are_refused(options: str, *, is_refused: bool) -> None:
    """R9: they are laid over the request, and would go before what the answer is held to."""
    wanted = replace(prompt(), provider_options_json={"p": options})
    for limits in ({"max_output_token_count": 100}, {"max_cost_nano_usd": 10**9}):
        reached = reserve((allowance(**limits),), "p", DOLLAR, wanted, first=True)
        assert isinstance(reached, LimitReached) is is_refused
        assert isinstance(reserve((allowance(**limits),), "q", DOLLAR, wanted, first=True), Reservation)
    started(allowance(max_started_count=1), wanted)


def test_of_races_within_races_all_must_permit_a_start() -> None:
    """R9: the least of what each permits is taken of all, and a refusal takes of none."""
    outer, inner = (
        allowance(max_output_token_count=50, max_started_count=1),
        allowance(max_cost_nano_usd=10**6),
    )
    reservation = reserve((outer, inner), "p", DOLLAR, prompt(), first=True)
    assert isinstance(reservation, Reservation)
    assert reservation.max_output_token_count == 50
    assert (outer.output_token_count, inner.cost_nano_usd) == (50, 300_000)
    reached = reserve((inner, outer), "p", DOLLAR, prompt(), first=True)
    assert isinstance(reached, LimitReached)
    assert (inner.started_count, inner.cost_nano_usd) == (1, 300_000)


def test_a_refusal_names_the_limit_and_the_remedy() -> None:
    """R9: whoever asked can mend it."""
    assert str(refused(allowance(max_cost_nano_usd=1))) == (
        "limits.max_cost_nano_usd leaves too little for the prompt and one token of an answer; raise it"
    )
