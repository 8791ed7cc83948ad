"""What one start of a race can take at most: its input by estimate, its output as far as that can be held.

What there is to take is the allowance's business.
"""

from __future__ import annotations

from typing import Any

import msgspec

from paceline_server.completion.estimate import prompt_character_count
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import TOKENS_PER_PRICE, Price, Usage, estimate_token_count
from paceline_server.providers.base import Profile

_MAXIMA = frozenset(
    {
        "maxtokens",
        "maxcompletiontokens",
        "maxoutputtokens",
        "maxnewtokens",
        "maxtokenstosample",
        "maxlength",
        "numpredict",
    }
)
"""What servers call the most output tokens, in lower case and without underscores."""


@immutable(frozen=True, slots=True)
class Outlay:
    """What a start that is wanted can take at most.

    Attributes:
        max_output_token_count: The prompt's or the target's, whichever is less.
        is_bounded: The prompt sets a maximum.
        sets_maximum: The options for its provider set one of their own, which would go before any other.
    """

    input_token_count: int
    max_output_token_count: int | None
    is_bounded: bool
    is_first: bool
    sets_maximum: bool
    writes_cache: bool
    price: Price | None

    @classmethod
    def of(cls, provider: str, profile: Profile, prompt: Prompt, *, first: bool) -> Outlay:
        """That of an attempt that sends `prompt` to a target of `provider`."""
        own, targets = prompt.config.max_output_token_count, profile.max_output_token_count
        return cls(
            input_token_count=estimate_token_count(prompt_character_count(prompt)),
            max_output_token_count=min((one for one in (own, targets) if one is not None), default=None),
            is_bounded=own is not None,
            is_first=first,
            sets_maximum=_set_a_maximum(prompt, provider),
            writes_cache=prompt.config.cache_prompt,
            price=profile.price,
        )

    def cost_nano_usd(self, output_token_count: int) -> int:
        """The most that it costs with so long an answer; 0 if no price is known."""
        if self.price is None:
            return 0
        plain = Usage(self.input_token_count, output_token_count)
        cost = self.price.cost_nano_usd(plain)
        if not self.writes_cache:
            return cost
        written = Usage(
            self.input_token_count, output_token_count, cache_write_token_count=self.input_token_count
        )
        return max(cost, self.price.cost_nano_usd(written))

    def affordable(self, nano_usd: int) -> int | None:
        """How many output tokens so much money pays for beside the input; None if they cost nothing."""
        input_cost = self.cost_nano_usd(0)
        if input_cost > nano_usd:
            return 0
        price = self.cost_nano_usd(TOKENS_PER_PRICE) - input_cost
        return (nano_usd - input_cost) * TOKENS_PER_PRICE // price if price else None


def _set_a_maximum(prompt: Prompt, provider: str) -> bool:
    """Whether the options of `prompt` for `provider` set a maximum of their own, at any depth."""
    options = prompt.provider_options_json.get(provider)
    return options is not None and _names_a_maximum(_decoded(options))


def _decoded(options: str) -> Any:
    try:
        return msgspec.json.decode(options)
    except (msgspec.DecodeError, RecursionError):
        return None  # the adapter refuses it, and names it


def _names_a_maximum(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            name.replace("_", "").lower() in _MAXIMA or _names_a_maximum(inner)
            for name, inner in value.items()
        )
    return isinstance(value, list) and any(map(_names_a_maximum, value))
