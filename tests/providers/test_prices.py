"""The price list as Paceline reads it costs what the list itself says, for every model of every vendor."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, TimeOfDateConstraint

from paceline_server.completion.usage import Usage
from paceline_server.providers.prices import PriceList, list_version
from paceline_server.providers.vendors.known import VENDORS

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LISTED = {provider.id: provider for provider in providers}
PRICE_LISTS = sorted({vendor.price_list for vendor in VENDORS.values() if vendor.price_list})

SMALL = Usage(1_000, 500, cached_input_token_count=200, cache_write_token_count=100)
LONG = Usage(400_000, 30_000, cached_input_token_count=90_000, cache_write_token_count=10_000)


def prices_of(vendor: str) -> PriceList:
    """The vendor's prices at noon of one day."""
    return PriceList(vendor, lambda: NOON)


def by_the_hour(model: ModelInfo) -> bool:
    """Whether the price depends on the time of day."""
    prices = model.prices if isinstance(model.prices, list) else []
    return any(isinstance(price.constraint, TimeOfDateConstraint) for price in prices)


def told_by_the_list(vendor: str, model: ModelInfo, usage: Usage, when: datetime = NOON) -> Fraction:
    """What the list's own arithmetic makes of it, in 1e-9 USD."""
    used = genai_prices.Usage(
        input_tokens=usage.input_token_count,
        output_tokens=usage.output_token_count,
        cache_read_tokens=usage.cached_input_token_count,
        cache_write_tokens=usage.cache_write_token_count,
    )
    told = model.calc_price(used, LISTED[vendor], genai_request_timestamp=when)
    return Fraction(told.total_price) * 10**9


@pytest.mark.parametrize("usage", [SMALL, LONG], ids=["small", "long"])
@pytest.mark.parametrize("vendor", PRICE_LISTS)
def test_a_listed_model_costs_what_the_list_says(vendor: str, usage: Usage) -> None:
    """K4: the cost is the list's to the last 1e-9 USD, tiers and cache included, but for fees by the call."""
    prices, compared = prices_of(vendor), 0
    for model in LISTED[vendor].models:
        price = prices.find(model.id).price
        fee = getattr(model.get_prices(NOON), "requests_kcount", None)
        if price is None or fee or by_the_hour(model) or LISTED[vendor].find_model(model.id) is not model:
            continue
        compared += 1
        assert price.cost_nano_usd(usage) == int(told_by_the_list(vendor, model, usage)), model.id
    assert compared > 0


def test_a_dated_name_is_the_model() -> None:
    """K4: providers answer with dated names, which cost what the model costs."""
    prices = prices_of("openai")
    assert prices.find("gpt-4o-2024-08-06") == prices.find("gpt-4o") != prices.find("gpt-4o-mini")
    assert prices.find("gpt-4o").context_token_count
    assert prices_of("google").find("models/gemini-2.5-pro") == prices_of("google").find("gemini-2.5-pro")


def test_a_name_is_found_at_the_vendor_that_is_called() -> None:
    """K4: the same model has another price elsewhere, and one that a host resells has its maker's."""
    assert prices_of("openrouter").find("openai/gpt-4o").price
    assert prices_of("azure").find("gpt-5").price == prices_of("openai").find("gpt-5").price


@pytest.mark.parametrize("model", ["no-such-model", "text-embedding-3-small", "whisper-1", ""])
def test_what_has_no_price_by_the_token_has_none(model: str) -> None:
    """K4: an unknown price is unset, not zero; so is that of a model which is not paid by tokens."""
    assert prices_of("openai").find(model).price is None


def test_the_dearest_hour_counts() -> None:
    """R9: a price that depends on the hour is the dearest of the day, so that no budget is overrun."""
    hourly = [model for model in LISTED["deepseek"].models if by_the_hour(model)]
    assert hourly
    for model in hourly:
        price = prices_of("deepseek").find(model.id).price
        assert price is not None
        dearest = max(told_by_the_list("deepseek", model, SMALL, NOON.replace(hour=h)) for h in range(24))
        assert price.cost_nano_usd(SMALL) == int(dearest)


def test_a_price_names_its_list() -> None:
    """K4: the edition of the list is kept with each price."""
    price = prices_of("anthropic").find("claude-haiku-4-5").price
    assert price is not None
    assert price.version == list_version()
    name, _, edition = list_version().partition(" ")
    assert (name, edition) == ("genai-prices", genai_prices.__version__)
