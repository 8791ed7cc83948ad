"""What a generateContent answer used. Only what the provider said; estimates are made elsewhere."""

from __future__ import annotations

from paceline_server.completion.usage import Usage
from paceline_server.providers.gemini_wire import WireUsage
from paceline_server.providers.unreadable_usage import UsageMender

_MAX_TOKEN_COUNT = 2**31 - 1
"""Above it a provider's figures are errors, and would not fit our own."""

USAGE_MENDER = UsageMender(
    WireUsage, {"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"}, ("usageMetadata",)
)
"""The thoughts are no part of the candidates' count, so that a bill without them is too low."""


def tells_counts(usage: WireUsage) -> bool:
    """Whether there is anything to count in; some chunks tell a kind of traffic alone."""
    return usage.prompt_token_count is not None or usage.candidates_token_count is not None


def usage_of(usage: WireUsage) -> Usage:
    """The usage in our terms: the tools' prompts are input and the thoughts output, each counted once."""
    input_count = _sum(usage.prompt_token_count, usage.tool_use_prompt_token_count)
    cached = usage.cached_content_token_count
    thoughts = usage.thoughts_token_count
    return Usage(
        input_token_count=input_count,
        output_token_count=_sum(usage.candidates_token_count, thoughts),
        cached_input_token_count=None if cached is None else min(_sum(cached), input_count),
        reasoning_token_count=None if thoughts is None else _sum(thoughts),
    )


def _sum(*counts: int | None) -> int:
    return min(sum(max(count or 0, 0) for count in counts), _MAX_TOKEN_COUNT)
