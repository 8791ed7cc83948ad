"""How the errors of Google's servers are classed, and when they want to be asked again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Role, Text
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.gemini_failures import GEMINI_FAILURES
from tests.providers.gemini_support import KEY, a_request, connected, message, read_events, sse
from tests.providers.replay import answering

_TYPE = "type.googleapis.com/google.rpc."
_EXHAUSTED = "You exceeded your current quota, please check your plan and billing details."


def _error(code: int, text: str, status: str = "", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": text, "status": status, "details": list(details)}}


def _reason(reason: str) -> dict[str, Any]:
    return {"@type": f"{_TYPE}ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def _quota(quota_id: str, metric: str = "example.com/requests", value: str = "20") -> dict[str, Any]:
    violation = {"quotaMetric": metric, "quotaId": quota_id, "quotaValue": value}
    return {"@type": f"{_TYPE}QuotaFailure", "violations": [violation]}


def _retry(delay: str) -> dict[str, Any]:
    return {"@type": f"{_TYPE}RetryInfo", "retryDelay": delay}


def _classed(status: int, body: object, character_count: int = 0) -> AttemptFailure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return FailureClassifier(GEMINI_FAILURES).of_response(status, {}, raw, character_count)


@pytest.mark.parametrize(
    ("status", "text", "code", "reason", "expected"),
    [
        (400, "API key not valid.", "INVALID_ARGUMENT", "API_KEY_INVALID", FailureClass.AUTHENTICATION),
        (400, "API key expired. Please renew it.", "INVALID_ARGUMENT", "", FailureClass.AUTHENTICATION),
        (400, "User location is not supported.", "FAILED_PRECONDITION", "", FailureClass.AUTHENTICATION),
        (401, "Expected OAuth 2 access token", "UNAUTHENTICATED", "", FailureClass.AUTHENTICATION),
        (403, "Permission denied on resource", "PERMISSION_DENIED", "", FailureClass.AUTHENTICATION),
        (403, "Billing is disabled.", "PERMISSION_DENIED", "BILLING_DISABLED", FailureClass.QUOTA),
        (402, "Your prepay balance is depleted.", "RESOURCE_EXHAUSTED", "", FailureClass.QUOTA),
        (429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED", "", FailureClass.QUOTA),
        (429, "The monthly spending cap is reached.", "RESOURCE_EXHAUSTED", "", FailureClass.QUOTA),
        (429, _EXHAUSTED, "RESOURCE_EXHAUSTED", "", FailureClass.RATE_LIMITED),
        (429, "Resource has been exhausted (e.g. check quota).", "", "", FailureClass.RATE_LIMITED),
        (429, "No capacity", "", "MODEL_CAPACITY_EXHAUSTED", FailureClass.OVERLOADED),
        (503, "The model is overloaded.", "UNAVAILABLE", "", FailureClass.OVERLOADED),
        (503, "No capacity available", "", "MODEL_CAPACITY_EXHAUSTED", FailureClass.OVERLOADED),
        (500, "An internal error has occurred.", "INTERNAL", "", FailureClass.TRANSIENT),
        (504, "Deadline expired", "DEADLINE_EXCEEDED", "", FailureClass.TRANSIENT),
        (404, "models/x is not found for API version v1beta", "", "", FailureClass.MODEL_NOT_FOUND),
        (400, "unexpected model name format", "", "", FailureClass.MODEL_NOT_FOUND),
        (
            400,
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "INVALID_ARGUMENT",
            "",
            FailureClass.CONTEXT_TOO_LONG,
        ),
        (
            400,
            "input token count is 9 but model only supports up to 8",
            "",
            "",
            FailureClass.CONTEXT_TOO_LONG,
        ),
        (400, "Request payload size exceeds the limit: 20971520", "", "", FailureClass.CONTEXT_TOO_LONG),
        (413, "", "", "", FailureClass.CONTEXT_TOO_LONG),
        (400, "Image input modality is not enabled for models/x", "", "", FailureClass.UNSUPPORTED),
        (400, "Thinking level MINIMAL is not supported", "", "", FailureClass.UNSUPPORTED),
        (400, "Budget 0 is invalid. It only works in thinking mode.", "", "", FailureClass.UNSUPPORTED),
        (400, "Function call is missing a thought_signature", "", "", FailureClass.UNSUPPORTED),
        (400, "Corrupted thought signature.", "", "", FailureClass.UNSUPPORTED),
        (400, "Requests ending with a model turn are not supported.", "", "", FailureClass.UNSUPPORTED),
        (
            400,
            "Ensure that multiturn requests ends with a user role.",
            "",
            "",
            FailureClass.UNSUPPORTED,
        ),
        (400, 'Invalid JSON payload received. Unknown name "id"', "", "", FailureClass.UNSUPPORTED),
        (400, "This prompt contains sensitive words.", "", "", FailureClass.CONTENT_FILTERED),
        (400, "Please use a valid role: user, model.", "", "", FailureClass.INVALID_REQUEST),
        (302, "", "", "", FailureClass.TRANSIENT),
    ],
)
def test_status_reason_and_message_decide_together(
    status: int, text: str, code: str, reason: str, expected: FailureClass
) -> None:
    """A3: Google's codes are few and broad, so that the reason and the words are needed."""
    details = [_reason(reason)] if reason else []
    for body in (_error(status, text, code, *details), [_error(status, text, code, *details)]):
        failure = _classed(status, body)
        assert failure.failure_class is expected
        if code:
            assert failure.provider_code == code


@pytest.mark.parametrize(
    ("details", "text", "expected", "delay"),
    [
        ([_quota("RequestsPerMinute"), _retry("34.4s")], "", FailureClass.RATE_LIMITED, 34.4),
        ([_quota("RequestsPerMinute")], "Please retry in 36.42s.", FailureClass.RATE_LIMITED, 36.42),
        ([_retry("36s")], "Please retry in 5s.", FailureClass.RATE_LIMITED, 36.0),
        ([_quota("RequestsPerDayPerProject"), _retry("36s")], "retry in 36s", FailureClass.QUOTA, None),
        (
            [_quota("InputTokensPerMinute", "x/free_tier_requests", "0")],
            "",
            FailureClass.MODEL_NOT_FOUND,
            None,
        ),
    ],
)
def test_quotas_tell_how_long_they_last(
    details: list[dict[str, Any]], text: str, expected: FailureClass, delay: float | None
) -> None:
    """A3: a day's quota is no minute's, whatever delay is told with it; a limit of 0 is no quota at all."""
    failure = _classed(429, _error(429, f"{_EXHAUSTED} {text}", "RESOURCE_EXHAUSTED", *details))
    assert (failure.failure_class, failure.retry_after) == (expected, delay)


@pytest.mark.parametrize("told_in", ["details", "message"])
@pytest.mark.parametrize(
    ("character_count", "expected"),
    [(4_000, FailureClass.RATE_LIMITED), (4_400_000, FailureClass.CONTEXT_TOO_LONG)],
)
def test_a_prompt_larger_than_a_minutes_tokens_is_too_long(
    told_in: str, character_count: int, expected: FailureClass
) -> None:
    """A3: no waiting helps a prompt that is larger than the quota which it has passed."""
    metric = "example.com/generate_content_paid_tier_input_token_count"
    body = _error(429, f"* Quota exceeded for metric: {metric}, limit: 1000000, model: x")
    if told_in == "details":
        body = _error(429, _EXHAUSTED, "", _quota("TokensPerModelPerMinute", metric, "1000000"))
    assert _classed(429, body, character_count).failure_class is expected


async def test_the_size_of_the_prompt_reaches_the_table() -> None:
    """A3: the same error is the limit's for one prompt, and the prompt's own fault for a larger one."""
    body = json.dumps(_error(429, "Quota exceeded: input_token_count, limit: 1000")).encode()
    small, large = (Prompt((message(Role.USER, Text("x" * size)),)) for size in (100, 5_000))
    classes = []
    async with connected(answering(body, status=429)) as (provider, _):
        for prompt in (small, large):
            with pytest.raises(AttemptFailure) as caught:
                await provider.complete(a_request(prompt))
            classes.append(caught.value.failure_class)
    assert classes == [FailureClass.RATE_LIMITED, FailureClass.CONTEXT_TOO_LONG]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (_error(503, "The model is overloaded.", "UNAVAILABLE"), FailureClass.OVERLOADED),
        ([_error(429, "Slow down", "RESOURCE_EXHAUSTED")], FailureClass.RATE_LIMITED),
        ({"error": {"message": "odd", "status": "UNAVAILABLE"}}, FailureClass.OVERLOADED),
        ({"error": {"message": "odd", "status": "RESOURCE_EXHAUSTED"}}, FailureClass.RATE_LIMITED),
        ({"error": {"message": "odd", "status": "NOT_FOUND"}}, FailureClass.MODEL_NOT_FOUND),
        ({"error": {"message": "odd", "status": "INVALID_ARGUMENT"}}, FailureClass.INVALID_REQUEST),
        ({"error": "The model is overloaded"}, FailureClass.OVERLOADED),
        ({"error": "odd"}, FailureClass.TRANSIENT),
    ],
)
def test_an_error_inside_an_answer_is_a_failure(document: object, expected: FailureClass) -> None:
    """A2, A3: behind a status of 200 the error's own status and words decide."""
    with pytest.raises(AttemptFailure) as caught:
        read_events(sse(document))
    assert caught.value.failure_class is expected
    assert caught.value.http_status == 200


async def test_the_key_is_not_repeated() -> None:
    """S6: no message holds the key, though the provider repeats it."""
    body = json.dumps(_error(400, f"API key not valid: {KEY}", "INVALID_ARGUMENT")).encode()
    async with connected(answering(body, status=400)) as (provider, _):
        with pytest.raises(AttemptFailure) as caught:
            await provider.open(a_request())
        assert KEY not in caught.value.message + repr(provider)
    assert caught.value.failure_class is FailureClass.AUTHENTICATION
