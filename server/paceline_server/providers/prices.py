"""Prices and windows of models from a kept list, which comes with a package and is never fetched.

The list is the package's and is matched by its rules, dated names and aliases included. What of it a
`Price` cannot say is decided here: prices by the hour, the age of a cache, and media.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from paceline_server.completion.usage import Price, PriceTier

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

_PACKAGE = "genai-prices"
_RESOURCE = "models/"
"""What Google's lists of models put before their names."""

_NANO = 1_000_000_000
_HOURS = 24


class Listed(NamedTuple):
    """What the list says of one model; None where it says nothing."""

    price: Price | None = None
    context_token_count: int | None = None


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PriceList:
    """The part of the list that is one vendor's.

    Making one loads the whole list, which takes tens of milliseconds the first time; looking a model up
    takes up to a millisecond, so what is found is to be kept.
    """

    def __init__(self, vendor: str, now: Callable[[], datetime] = _utc_now) -> None:
        """Find the vendor in the list.

        Raises:
            KeyError: It is not there.
        """
        providers = _providers()
        self._provider = providers[vendor]
        self._all = list(providers.values())
        self._now = now

    def find(self, model: str) -> Listed:
        """What is said of a model, as of now."""
        # Not by the package's own search: that keeps every name it was asked for, and callers name models.
        name = model.removeprefix(_RESOURCE)
        found = self._provider.find_model(name, all_providers=self._all)
        if found is None:
            return Listed()
        return Listed(_price(self._valid(found)), found.context_window)

    def _valid(self, model: ModelInfo) -> ModelPrice:
        """The price that holds; where it depends on the hour the dearest, so that no budget is overrun."""
        now = self._now()
        offered = [model.get_prices(now + timedelta(hours=hour)) for hour in range(_HOURS)]
        return max(offered, key=lambda price: (_base(price.output_mtok) or 0, _base(price.input_mtok) or 0))


@cache
def _providers() -> Mapping[str, Provider]:
    # Here, so that a gateway which calls no vendor does not hold thousands of prices.
    from genai_prices.data import providers  # noqa: PLC0415

    return {provider.id: provider for provider in providers}


@cache
def list_version() -> str:
    """Which edition of the list it is, as it is kept with every price."""
    return f"{_PACKAGE} {version(_PACKAGE)}"


def _price(listed: ModelPrice) -> Price | None:
    """The price of text; a model of which half is missing is not one that is paid by the token."""
    starts = {
        tier.start
        for value in (listed.input_mtok, listed.output_mtok, listed.cache_read_mtok, listed.cache_write_mtok)
        for tier in getattr(value, "tiers", ())
    }
    base = _price_at(listed, None)
    if base is None:
        return None
    tiers = ((start, _price_at(listed, start)) for start in sorted(starts))
    return replace(base, tiers=tuple(PriceTier(start, price) for start, price in tiers if price is not None))


def _price_at(listed: ModelPrice, start: int | None) -> Price | None:
    """The price of calls with more input tokens than `start`; None is the lowest tier."""
    given, taken = _nano(listed.input_mtok, start), _nano(listed.output_mtok, start)
    if given is None or taken is None:
        return None
    cached, written = _nano(listed.cache_read_mtok, start), _nano(listed.cache_write_mtok, start)
    return Price(given, taken, cached, written, list_version())


def _nano(value: Decimal | TieredPrices | None, start: int | None) -> int | None:
    usd = _base(value)
    if start is not None:
        usd = next((tier.price for tier in reversed(getattr(value, "tiers", ())) if tier.start <= start), usd)
    return None if usd is None else round(usd * _NANO)


def _base(value: Decimal | TieredPrices | None) -> Decimal | None:
    return value if value is None or isinstance(value, Decimal) else value.base
