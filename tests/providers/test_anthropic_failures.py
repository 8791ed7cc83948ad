"""What Anthropic's errors mean, and how its usage is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.usage import Usage
from paceline_server.providers.anthropic_failures import ANTHROPIC_FAILURES
from paceline_server.providers.anthropic_usage import later, usage_of
from paceline_server.providers.anthropic_wire import OutputDetails, WireUsage
from paceline_server.providers.failures import FailureClassifier

_INVALID = "invalid_request_error"
_LIMITED = "rate_limit_error"


def _class(status: int, kind: str, message: str, **members: Any) -> FailureClass:
    error = {"type": "error", "error": {"type": kind, "message": message, **members}, "request_id": "req_1"}
    return (
        FailureClassifier(ANTHROPIC_FAILURES)
        .of_response(status, {}, json.dumps(error).encode())
        .failure_class
    )


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (400, _INVALID, "messages: Field required", FailureClass.INVALID_REQUEST),
        (
            400,
            _INVALID,
            "messages.0.content: Invalid `signature` in `thinking` block",
            FailureClass.UNSUPPORTED,
        ),
        (
            400,
            _INVALID,
            "messages.3.content.1: `thinking` blocks in the latest assistant message cannot be modified.",
            FailureClass.UNSUPPORTED,
        ),
        (400, _INVALID, "prompt is too long: 3333404 tokens > 200000 maximum", FailureClass.CONTEXT_TOO_LONG),
        (
            400,
            _INVALID,
            "input length and `max_tokens` exceed context limit: 190000 + 64000 > 200000",
            FailureClass.CONTEXT_TOO_LONG,
        ),
        (413, "request_too_large", "Request exceeds the maximum size", FailureClass.CONTEXT_TOO_LONG),
        (429, _LIMITED, "Extra usage is required for long context requests.", FailureClass.CONTEXT_TOO_LONG),
        (400, _INVALID, "Your credit balance is too low to access the API", FailureClass.QUOTA),
        (400, _INVALID, "You have reached your specified API usage limits.", FailureClass.QUOTA),
        (402, "billing_error", "Check your payment details", FailureClass.QUOTA),
        (429, _LIMITED, "You have reached your monthly spend limit.", FailureClass.QUOTA),
        (429, _LIMITED, "This request would exceed your account's rate limit.", FailureClass.RATE_LIMITED),
        (401, "authentication_error", "invalid x-api-key", FailureClass.AUTHENTICATION),
        (403, "permission_error", "Your key may not use this resource", FailureClass.AUTHENTICATION),
        (400, _INVALID, "This organization has been disabled.", FailureClass.AUTHENTICATION),
        (404, "not_found_error", "model: claude-xyz", FailureClass.MODEL_NOT_FOUND),
        (409, "conflict_error", "Conflict", FailureClass.TRANSIENT),
        (500, "api_error", "Internal server error", FailureClass.TRANSIENT),
        (504, "timeout_error", "Timed out", FailureClass.TRANSIENT),
        (529, "overloaded_error", "Overloaded", FailureClass.OVERLOADED),
        (500, "overloaded_error", "Overloaded", FailureClass.OVERLOADED),
        (400, _INVALID, "Output blocked by content filtering policy", FailureClass.CONTENT_FILTERED),
        (418, "teapot_error", "?", FailureClass.TRANSIENT),
    ],
)
def test_an_error_has_its_class(status: int, kind: str, message: str, expected: FailureClass) -> None:
    """A3: status, type and message decide together."""
    assert _class(status, kind, message) is expected


@pytest.mark.parametrize(
    "message",
    [
        "`temperature` is deprecated for this model.",
        "`temperature` may only be set to 1 when thinking is enabled.",
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive"',
        "temperature: Input should be less than or equal to 1",
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
        "each stop sequence must contain non-whitespace",
        "adaptive thinking is not supported on this model",
        "thinking: Input tag 'adaptive' found using 'type' does not match any of the expected tags",
        "Thinking may not be enabled when tool_choice forces tool use.",
        "This model does not support assistant message prefill.",
        "This model does not support the effort parameter.",
        "'claude-3-haiku-20240307' does not support image input.",
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-x",
        "output_config.format.schema: 'additionalProperties' must be explicitly set to false",
        "output_config: Extra inputs are not permitted",
        "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes",
    ],
)
def test_what_a_model_refuses_another_may_take(message: str) -> None:
    """A3: a setting or a feature that one model refuses advances, and penalises nobody."""
    assert _class(400, _INVALID, message) is FailureClass.UNSUPPORTED


def test_a_spend_limit_is_known_by_its_code() -> None:
    """A3: 429 without a delay and with this code lasts until the month ends."""
    details = {"error_code": "enforced_spend_limit_reached"}
    assert _class(429, _LIMITED, "Limit reached", details=details) is FailureClass.QUOTA


def test_input_counts_stand_side_by_side() -> None:
    """K4: what was read from the cache and written to it is part of our input, and never counted twice."""
    told = WireUsage(10, 300, 2000, 40, OutputDetails(25))
    assert usage_of(told) == Usage(2310, 40, 2000, 300, 25)
    assert usage_of(WireUsage(10, output_tokens=4)) == Usage(10, 4)


def test_later_counts_win_one_by_one() -> None:
    """K4: figures at the end are of the whole answer; what they leave out was told at its start."""
    start = WireUsage(10, 5, None, 1, OutputDetails(1))
    assert later(start, WireUsage(None, 7, 0, 40)) == WireUsage(10, 7, 0, 40, OutputDetails(1))
    assert later(start, None) == later(None, start) == start


@pytest.mark.parametrize("told", [None, WireUsage(), WireUsage(cache_read_input_tokens=4)])
def test_no_total_is_no_usage(told: WireUsage | None) -> None:
    """K4: a usage without a total would be a guess."""
    assert usage_of(told) is None


_COUNT = st.none() | st.integers(-5, 2**63)


@given(st.builds(WireUsage, _COUNT, _COUNT, _COUNT, _COUNT, st.builds(OutputDetails, _COUNT)))
def test_parts_never_exceed_their_totals(told: WireUsage) -> None:
    """K4: whatever a provider counts, parts stay within totals, and totals within our numbers."""
    usage = usage_of(told)
    if usage is None:
        return
    parts = (usage.cached_input_token_count or 0) + (usage.cache_write_token_count or 0)
    assert 0 <= parts <= usage.input_token_count <= 2**31 - 1
    assert 0 <= (usage.reasoning_token_count or 0) <= usage.output_token_count <= 2**31 - 1
