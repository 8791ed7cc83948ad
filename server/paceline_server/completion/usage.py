"""Tokens and money: what a call used and what it cost.

Counts are inclusive: cached and cache-written tokens are contained in the input, reasoning
tokens in the output, so that a part is never added to its total again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paceline_server.completion.immutable import Word, immutable

TOKENS_PER_PRICE = 1_000_000
CHARACTERS_PER_TOKEN = 4
"""A rough mean over English text and the current tokenisers; used only where a provider told nothing."""


LARGEST_COST = 2**63 - 1
"""The largest that the contract can say, in 1e-9 USD; only a provider that counts wrongly comes near."""


class UsageState(Word):
    """Where the counts come from; ordered from the surest to the least sure."""

    REPORTED = 0
    ESTIMATED = 1
    UNKNOWN = 2


@immutable(frozen=True, slots=True)
class Usage:
    """Token counts and the cost in 1e-9 USD (None: no price is known). Parts that were not told are None."""

    input_token_count: int = 0
    output_token_count: int = 0
    cached_input_token_count: int | None = None
    cache_write_token_count: int | None = None
    reasoning_token_count: int | None = None
    cost_nano_usd: int | None = None
    state: UsageState = UsageState.REPORTED


NOTHING_USED = Usage(cost_nano_usd=0)


@immutable(frozen=True, slots=True)
class Price:
    """A target's price in 1e-9 USD per million tokens; a cached price of None means the input price.

    Attributes:
        version: The list that it comes from, with its edition.
        tiers: Other prices for whole calls of long input, from the shortest to the longest.
    """

    input_nano_usd: int
    output_nano_usd: int
    cached_input_nano_usd: int | None = None
    cache_write_nano_usd: int | None = None
    version: str = ""
    tiers: tuple[PriceTier, ...] = ()

    def cost_nano_usd(self, usage: Usage) -> int:
        """The cost of `usage`, rounded down to a whole 1e-9 USD; never more than can be encoded."""
        for tier in reversed(self.tiers):
            if usage.input_token_count > tier.above_input_token_count:
                return tier.price.cost_nano_usd(usage)
        cached = usage.cached_input_token_count or 0
        written = usage.cache_write_token_count or 0
        plain = max(0, usage.input_token_count - cached - written)
        cached_price = (
            self.input_nano_usd if self.cached_input_nano_usd is None else self.cached_input_nano_usd
        )
        written_price = (
            self.input_nano_usd if self.cache_write_nano_usd is None else self.cache_write_nano_usd
        )
        total = (
            plain * self.input_nano_usd
            + cached * cached_price
            + written * written_price
            + usage.output_token_count * self.output_nano_usd
        )
        return min(total // TOKENS_PER_PRICE, LARGEST_COST)


@immutable(frozen=True, slots=True)
class PriceTier:
    """The price of a whole call whose input has more tokens than this."""

    above_input_token_count: int
    price: Price


def priced(usage: Usage, price: Price | None) -> Usage:
    """`usage` with its cost at `price`, if a price is known and the provider told no cost itself."""
    if price is None or usage.cost_nano_usd is not None:
        return usage
    return replace(usage, cost_nano_usd=price.cost_nano_usd(usage))


def total_usage(usages: Iterable[Usage]) -> Usage:
    """The sum; as unsure as its least sure child, and without a cost as soon as one child has none.

    It is never a cost that cannot be told.
    """
    input_count = output_count = 0
    cached = written = reasoning = None
    cost: int | None = 0
    state = UsageState.REPORTED
    for usage in usages:
        input_count += usage.input_token_count
        output_count += usage.output_token_count
        cached = _plus(cached, usage.cached_input_token_count)
        written = _plus(written, usage.cache_write_token_count)
        reasoning = _plus(reasoning, usage.reasoning_token_count)
        cost = _plus_known(cost, usage.cost_nano_usd)
        if usage.state is not state and usage.state.value > state.value:
            state = usage.state
    return Usage(input_count, output_count, cached, written, reasoning, cost, state)


def estimate_token_count(character_count: int) -> int:
    """How many tokens so many characters are, roughly; never 0 for text that is not empty."""
    return -(-character_count // CHARACTERS_PER_TOKEN)


def _plus(left: int | None, right: int | None) -> int | None:
    if left is None:
        return right
    return left if right is None else left + right


def _plus_known(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else min(left + right, LARGEST_COST)
