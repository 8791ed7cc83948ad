"""What a chat-completions answer used, from the many ways in which vendors count it.

Only what the provider said; estimates are made elsewhere.
"""

from __future__ import annotations

from paceline_server.completion.usage import Usage
from paceline_server.providers.openai_wire import WireUsage
from paceline_server.providers.unreadable_usage import UsageMender

_NANO = 1_000_000_000
_MAX_TOKEN_COUNT = 2**31 - 1
_MAX_COST_USD = 1e6
"""Above these a provider's figures are errors, and would not fit our own."""

USAGE_MENDER = UsageMender(
    WireUsage, {"prompt_tokens", "completion_tokens", "total_tokens"}, ("usage",), ("x_groq", "usage")
)
"""The vendors whose completion leaves the thoughts out are known by their totals, so these count as well."""


def usage_of(usage: WireUsage) -> Usage:
    """The usage in our terms: a part never exceeds its total, and nothing is below zero."""
    prompt = _within(usage.prompt_tokens, _MAX_TOKEN_COUNT) or 0
    completion = _within(_output(usage), _MAX_TOKEN_COUNT) or 0
    details = usage.prompt_tokens_details
    cached = _first(
        None if details is None else details.cached_tokens,
        usage.prompt_cache_hit_tokens,
        usage.cached_tokens,
        usage.num_cached_tokens,
    )
    return Usage(
        input_token_count=prompt,
        output_token_count=completion,
        cached_input_token_count=_within(cached, prompt),
        cache_write_token_count=_within(None if details is None else details.cache_write_tokens, prompt),
        reasoning_token_count=_within(_reasoning(usage), completion),
        cost_nano_usd=_cost_nano_usd(usage),
    )


def _reasoning(usage: WireUsage) -> int | None:
    details = usage.completion_tokens_details
    return _first(None if details is None else details.reasoning_tokens, usage.reasoning_tokens)


def _output(usage: WireUsage) -> int | None:
    """The tokens of the answer and of its thoughts, which xAI counts beside it: its total tells."""
    completion, reasoning = usage.completion_tokens, _reasoning(usage)
    if completion is not None and reasoning is not None and usage.total_tokens is not None:
        with_thoughts = completion + reasoning
        if usage.total_tokens == (usage.prompt_tokens or 0) + with_thoughts:
            return with_thoughts
    return completion


def _cost_nano_usd(usage: WireUsage) -> int | None:
    cost = usage.cost
    if isinstance(cost, dict):
        # Perplexity itemises.
        cost = cost.get("total_cost")
    if not isinstance(cost, int | float) or isinstance(cost, bool):
        return None
    if usage.is_byok and usage.cost_details is not None:
        # With a key of one's own OpenRouter's cost is its fee, and the provider's bill comes on top.
        cost += usage.cost_details.upstream_inference_cost or 0
    return round(cost * _NANO) if 0 <= cost <= _MAX_COST_USD else None


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _within(count: int | None, total: int) -> int | None:
    return None if count is None else min(max(count, 0), total)
