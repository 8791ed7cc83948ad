"""Settings of targets, whatever their provider: price, habits and limits.

What is left out of a vendor's target is what is known of the vendor's models.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from paceline_server.completion.usage import Price
from paceline_server.providers.profile import MediaLimits, Profile
from paceline_server.settings.section import Section
from paceline_server.settings.values import Count, Flag, MediaType, Number, Share, Size

CONFIGURED_PRICE = "configuration"
"""The version of a price that the configuration gives, where others name their list."""

_NANO = 1_000_000_000
_REASONS_UNSEEN = "It thinks for minutes without sending anything, so its clocks are longer."
_ACCEPTS_PREFILL = "It continues an assistant message at the end of the prompt."
_BILLS_AFTER_CANCEL = "It goes on generating, and billing, when the connection closes."
_QUALITY = "How good its answers are, as you judge them, for races that choose by quality."
_GIVES_LOGPROBS = "It tells token probabilities to races that ask for them."

TokenLimit = Annotated[Count, Field(ge=1)]


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
            version=CONFIGURED_PRICE,
        )


class TargetFacts(Section):
    """Facts about one target of which nothing else is known."""

    price: PriceSettings | None = Field(default=None, description="Without it the cost of calls is unknown.")
    reasons_unseen: Flag = Field(default=False, description=_REASONS_UNSEEN)
    accepts_prefill: Flag = Field(default=False, description=_ACCEPTS_PREFILL)
    bills_after_cancel: Flag = Field(default=False, description=_BILLS_AFTER_CANCEL)
    quality: Share | None = Field(default=None, description=_QUALITY)


class MediaSettings(Section):
    """What media a target takes; what is left out has no known limit."""

    types: tuple[MediaType, ...] = Field(
        description="Media types that it reads, as in image/png; none where it takes no media."
    )
    takes_uris: Flag = Field(default=True, description="It fetches media that are given by reference.")
    max_image_size: Size | None = Field(default=None, description="Of one image.")
    max_image_edge: TokenLimit | None = Field(
        default=None, description="Pixels of an image's longer side; a larger one is scaled down."
    )
    max_document_size: Size | None = Field(default=None, description="Of one document.")

    def to_limits(self) -> MediaLimits:
        """For the profile."""
        return MediaLimits(
            media_types=frozenset(self.types),
            takes_uris=self.takes_uris,
            max_image_bytes=self.max_image_size or 0,
            max_image_edge=self.max_image_edge or 0,
            max_document_bytes=self.max_document_size or 0,
        )


class ModelFacts(Section):
    """Facts about one model of a vendor, over those that are known of it."""

    price: PriceSettings | None = Field(
        default=None,
        description="Unset: the vendor's in the price list; without either the cost of calls is unknown.",
    )
    reasons_unseen: Flag | None = Field(default=None, description=_REASONS_UNSEEN)
    accepts_prefill: Flag | None = Field(default=None, description=_ACCEPTS_PREFILL)
    bills_after_cancel: Flag | None = Field(default=None, description=_BILLS_AFTER_CANCEL)
    quality: Share | None = Field(default=None, description=_QUALITY)
    gives_logprobs: Flag | None = Field(default=None, description=_GIVES_LOGPROBS)
    context_token_count: TokenLimit | None = Field(
        default=None, description="The most tokens of prompt and answer together."
    )
    max_output_token_count: TokenLimit | None = Field(
        default=None, description="The most tokens of an answer."
    )
    media: MediaSettings | None = Field(
        default=None, description="What media it takes; where nothing is known they are sent as they are."
    )

    def over(self, known: Profile) -> Profile:
        """The profile, where everything that is written here wins over what is known."""
        given: dict[str, Any] = {name: value for name, value in self if value is not None}
        if self.price:
            given["price"] = self.price.to_price()
        if self.media:
            given["media"] = self.media.to_limits()
        return replace(known, **given)


def _nano(usd: float | None) -> int | None:
    return None if usd is None else round(usd * _NANO)
