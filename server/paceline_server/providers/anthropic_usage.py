"""What an Anthropic answer used: counts that stand beside each other there are contained in ours.

Only what the provider said; estimates are made elsewhere.
"""

from __future__ import annotations

from paceline_server.completion.usage import Usage
from paceline_server.providers.anthropic_wire import WireUsage
from paceline_server.providers.unreadable_usage import UsageMender

_MAX_TOKEN_COUNT = 2**31 - 1
"""Above it a provider's figures are errors, and would not fit our own."""

USAGE_MENDER = UsageMender(WireUsage, {"input_tokens", "output_tokens"}, ("usage",), ("message", "usage"))


def later(known: WireUsage | None, told: WireUsage | None) -> WireUsage | None:
    """What is known after `told`: its counts are of the whole answer so far, and win one by one."""
    if known is None or told is None:
        return told or known
    return WireUsage(
        _latest(told.input_tokens, known.input_tokens),
        _latest(told.cache_creation_input_tokens, known.cache_creation_input_tokens),
        _latest(told.cache_read_input_tokens, known.cache_read_input_tokens),
        _latest(told.output_tokens, known.output_tokens),
        told.output_tokens_details or known.output_tokens_details,
    )


def usage_of(usage: WireUsage | None) -> Usage | None:
    """The usage in our terms; None if no total was told."""
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    written = _within(usage.cache_creation_input_tokens, _MAX_TOKEN_COUNT)
    read = _within(usage.cache_read_input_tokens, _MAX_TOKEN_COUNT)
    fresh = _within(usage.input_tokens, _MAX_TOKEN_COUNT) or 0
    entire = min(fresh + (written or 0) + (read or 0), _MAX_TOKEN_COUNT)
    output = _within(usage.output_tokens, _MAX_TOKEN_COUNT) or 0
    details = usage.output_tokens_details
    return Usage(
        input_token_count=entire,
        output_token_count=output,
        cached_input_token_count=read,
        cache_write_token_count=_within(written, entire - (read or 0)),
        reasoning_token_count=_within(None if details is None else details.thinking_tokens, output),
    )


def _latest(told: int | None, known: int | None) -> int | None:
    return known if told is None else told


def _within(count: int | None, total: int) -> int | None:
    return None if count is None else min(max(count, 0), total)
