"""Settings that every target has, whatever its provider: price and habits."""

from __future__ import annotations

from pydantic import Field

from paceline_server.completion.usage import Price
from paceline_server.providers.profile import Profile
from paceline_server.settings.section import Section
from paceline_server.settings.values import Flag, Number

_NANO = 1_000_000_000


class PriceSettings(Section):
    """What a million tokens cost, in USD."""

    input_usd_per_million: Number = Field(description="Input tokens.")
    output_usd_per_million: Number = Field(description="Output tokens, reasoning included.")
    cached_input_usd_per_million: Number | None = Field(
        default=None, description="Input tokens read from the provider's cache; unset means the input price."
    )
    cache_write_usd_per_million: Number | None = Field(
        default=None, description="Input tokens written to the provider's cache; unset means the input price."
    )

    def to_price(self) -> Price:
        """In whole 1e-9 USD."""
        return Price(
            input_nano_usd=round(self.input_usd_per_million * _NANO),
            output_nano_usd=round(self.output_usd_per_million * _NANO),
            cached_input_nano_usd=_nano(self.cached_input_usd_per_million),
            cache_write_nano_usd=_nano(self.cache_write_usd_per_million),
        )


class TargetFacts(Section):
    """Facts about one target."""

    price: PriceSettings | None = Field(default=None, description="Without it the cost of calls is unknown.")
    reasons_unseen: Flag = Field(
        default=False, description="It thinks for minutes without sending anything, so its clocks are longer."
    )
    accepts_prefill: Flag = Field(
        default=False, description="It continues an assistant message at the end of the prompt."
    )
    bills_after_cancel: Flag = Field(
        default=False, description="It goes on generating, and billing, when the connection closes."
    )

    def to_profile(self, quota_identity: str = "") -> Profile:
        """For the engines."""
        return Profile(
            price=self.price.to_price() if self.price else None,
            reasons_unseen=self.reasons_unseen,
            accepts_prefill=self.accepts_prefill,
            bills_after_cancel=self.bills_after_cancel,
            quota_identity=quota_identity,
        )


def _nano(usd: float | None) -> int | None:
    return None if usd is None else round(usd * _NANO)
