"""How errors are classed, when a provider wants to be asked again, and which of its words are repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.error_body import error_of_document
from paceline_server.providers.failures import FailureClassifier, rule
from paceline_server.providers.openai_failures import OPENAI_FAILURES
from paceline_server.providers.redaction import MAX_MESSAGE_CHARACTERS, redacted
from paceline_server.providers.retry_delay import MAX_DELAY, retry_delay

_NOW = 1_700_000_000.0


def _classed(
    status: int, body: object, headers: Mapping[str, str] | None = None, **options: object
) -> AttemptFailure:
    classifier = FailureClassifier(OPENAI_FAILURES, now=lambda: _NOW, **options)  # type: ignore[arg-type]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classifier.of_response(status, headers or {}, raw)


def _error(message: str = "", **fields: object) -> dict[str, object]:
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, _error("too long", code="context_length_exceeded"), FailureClass.CONTEXT_TOO_LONG),
        (400, _error("This model's maximum context length is 9 tokens."), FailureClass.CONTEXT_TOO_LONG),
        (
            400,
            {"object": "error", "message": "maximum context length is 9", "code": 400},
            FailureClass.CONTEXT_TOO_LONG,
        ),
        (413, _error("Request Entity Too Large"), FailureClass.CONTEXT_TOO_LONG),
        (429, _error("Request too large for x", code="rate_limit_exceeded"), FailureClass.CONTEXT_TOO_LONG),
        (402, _error("requires more credits, or fewer max_tokens", code=402), FailureClass.CONTEXT_TOO_LONG),
        (402, _error("Insufficient credits.", code=402), FailureClass.QUOTA),
        (402, _error("busy", code="in_flight_budget_exhausted"), FailureClass.RATE_LIMITED),
        (429, _error("x", type="insufficient_quota", code="credit_balance_exhausted"), FailureClass.QUOTA),
        (
            429,
            _error("You exceeded your current quota, please check your plan and billing"),
            FailureClass.QUOTA,
        ),
        (429, _error("Rate limit reached", code="rate_limit_exceeded"), FailureClass.RATE_LIMITED),
        (429, _error("Slow down", code="slow_down"), FailureClass.RATE_LIMITED),
        (429, {"code": "resource-exhausted", "error": "Too many tokens for team"}, FailureClass.RATE_LIMITED),
        (429, {"message": "Service tier capacity exceeded for this model."}, FailureClass.OVERLOADED),
        (498, _error("Flex tier capacity exceeded.", code="capacity_exceeded"), FailureClass.OVERLOADED),
        (503, _error("busy", code="server_is_overloaded"), FailureClass.OVERLOADED),
        (529, _error("Provider returned error", code=529), FailureClass.OVERLOADED),
        (500, _error("The server had an error", type="server_error"), FailureClass.TRANSIENT),
        (502, b"<html>502 Bad Gateway</html>", FailureClass.TRANSIENT),
        (504, b"", FailureClass.TRANSIENT),
        (302, b"", FailureClass.TRANSIENT),
        (418, _error("teapot"), FailureClass.TRANSIENT),
        (401, {"detail": "Invalid API Key"}, FailureClass.AUTHENTICATION),
        (403, _error("Country, region, or territory not supported"), FailureClass.AUTHENTICATION),
        (
            400,
            {"code": "invalid-argument", "error": "Incorrect API key provided."},
            FailureClass.AUTHENTICATION,
        ),
        (404, _error("The model `x` does not exist", code="model_not_found"), FailureClass.MODEL_NOT_FOUND),
        (404, {"error": "model 'x' not found"}, FailureClass.MODEL_NOT_FOUND),
        (404, _error("gone", code="DeploymentNotFound"), FailureClass.MODEL_NOT_FOUND),
        (400, _error("x/y is not a valid model ID", code=400), FailureClass.MODEL_NOT_FOUND),
        (400, _error("Unsupported parameter", code="unsupported_parameter"), FailureClass.UNSUPPORTED),
        (400, _error("'x' does not support image input"), FailureClass.UNSUPPORTED),
        (400, _error('"x:1b" does not support thinking'), FailureClass.UNSUPPORTED),
        (400, _error('model "x" does not support thinking'), FailureClass.UNSUPPORTED),
        (400, _error("Unrecognized request argument supplied: reasoning_effort"), FailureClass.UNSUPPORTED),
        (400, _error("Unrecognized request arguments supplied: seed, user"), FailureClass.UNSUPPORTED),
        (400, _error("invalid image input"), FailureClass.UNSUPPORTED),
        (400, _error("image URLs are not currently supported, please use base64"), FailureClass.UNSUPPORTED),
        (400, _error("registry/x does not support tools"), FailureClass.UNSUPPORTED),
        (404, _error("No endpoints found that support image input", code=404), FailureClass.UNSUPPORTED),
        (
            400,
            _error("filtered", innererror={"code": "ResponsibleAIPolicyViolation"}),
            FailureClass.CONTENT_FILTERED,
        ),
        (403, _error("Your input was flagged by moderation", code=403), FailureClass.CONTENT_FILTERED),
        (400, _error("failed", code="tool_use_failed"), FailureClass.TRANSIENT),
        (400, _error("Invalid 'messages'", code="empty_array"), FailureClass.INVALID_REQUEST),
        (422, {"detail": [{"msg": "field required", "loc": ["body"]}]}, FailureClass.INVALID_REQUEST),
        (429, [_error("Resource exhausted")], FailureClass.RATE_LIMITED),
        (500, b"[" * 100_000, FailureClass.TRANSIENT),
        (400, b"\xff\xfe", FailureClass.INVALID_REQUEST),
    ],
)
def test_status_code_and_message_decide_together(status: int, body: object, expected: FailureClass) -> None:
    """A3: the class follows from status, provider code and message; never from the status alone."""
    assert _classed(status, body).failure_class is expected


def test_configured_rules_are_tried_first() -> None:
    """A3: the configuration knows a vendor better than the table does."""
    rules = (rule(FailureClass.OVERLOADED, status=(500,), code=("Odd",), pattern=r"out of \w+"),)
    assert (
        _classed(500, _error("OUT of cheese", code="odd"), configured=rules).failure_class
        is FailureClass.OVERLOADED
    )
    assert _classed(500, _error("out of cheese"), configured=rules).failure_class is FailureClass.TRANSIENT
    assert (
        _classed(502, _error("out of cheese", code="odd"), configured=rules).failure_class
        is FailureClass.TRANSIENT
    )


def test_a_pattern_that_is_none_is_refused_at_once() -> None:
    """S5: a bad rule is an error of the configuration, not of a call."""
    with pytest.raises(ValueError, match="no regular expression"):
        rule(FailureClass.QUOTA, pattern="(")


def test_the_words_of_the_provider_behind_the_provider_count() -> None:
    """A3: OpenRouter wraps the error of another."""
    body = _error("Provider returned error", code=400, metadata={"raw": "maximum context length is 9"})
    assert _classed(400, body).failure_class is FailureClass.CONTEXT_TOO_LONG


def test_the_type_beside_a_wrapped_error_is_a_code_of_it() -> None:
    """A3: OpenRouter's own type decides, and not a code that is about its key at the provider behind it."""
    metadata = {"error_type": "context_length_exceeded", "provider_code": "invalid_api_key"}
    failed = _classed(400, _error("Provider returned error", code=400, metadata=metadata))
    assert failed.failure_class is FailureClass.CONTEXT_TOO_LONG


@pytest.mark.parametrize(
    ("status", "headers", "message", "expected"),
    [
        (429, {"retry-after-ms": "1574", "retry-after": "2"}, "", 1.574),
        (429, {"retry-after-ms": "0", "retry-after": "1"}, "", 1.0),
        (503, {"retry-after": "5"}, "", 5.0),
        (503, {"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, "", 10.0),
        (503, {"retry-after": "Tue, 14 Nov 2023 22:13:10 GMT"}, "", 0.0),
        (503, {"retry-after": "soon"}, "", None),
        (503, {"retry-after": "nan"}, "", None),
        (503, {"retry-after": "-4"}, "", None),
        (503, {"retry-after": "1e9"}, "", MAX_DELAY),
        (429, {"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, "", 360.0),
        (429, {"x-ratelimit-reset-tokens": "12ms", "x-ratelimit-reset-requests": "0s"}, "", 0.012),
        (503, {"x-ratelimit-reset-tokens": "6m0s"}, "", None),
        (
            429,
            {
                "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:21Z",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:50Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
            },
            "",
            30.0,
        ),
        (429, {"anthropic-ratelimit-tokens-reset": "2023-11-14T23:13:25.5+01:00"}, "", 5.5),
        (429, {"anthropic-ratelimit-tokens-reset": "tomorrow"}, "", None),
        (429, {"anthropic-ratelimit-tokens-reset": "2023-11-14T22:13:25"}, "", None),
        (429, {}, "Please try again in 9m38.016s. Need more?", 578.016),
        (429, {}, "Please retry after 27 seconds.", 27.0),
        (429, {}, "Please retry in 36.42s", 36.42),
        (429, {}, "Try again.", None),
    ],
)
def test_delays_are_read_from_the_exact_to_the_vague(
    status: int, headers: dict[str, str], message: str, expected: float | None
) -> None:
    """A3, wire rule 3: milliseconds, seconds or a date, resets, text; from 0 to a day."""
    assert retry_delay(status, headers, message, now=_NOW) == (
        None if expected is None else pytest.approx(expected)
    )


@pytest.mark.parametrize(
    ("headers", "message", "expected"),
    [
        ({}, "", None),
        ({"retry-after": "3600"}, "", 3600.0),
        ({"retry-after-ms": "1500"}, "", 1.5),
        ({}, "Try again in 2m0s", 120.0),
    ],
)
@pytest.mark.parametrize("failure_class", [FailureClass.QUOTA, FailureClass.AUTHENTICATION])
def test_an_empty_purse_is_not_filled_when_a_rate_limit_is_reset(
    failure_class: FailureClass, headers: dict[str, str], message: str, expected: float | None
) -> None:
    """A3, wire rule 3: resets of rate limits are no advice about a quota or a key; what is said for it is."""
    resets = {"x-ratelimit-reset-requests": "12ms", "x-ratelimit-remaining-requests": "0"}
    rules = [rule(failure_class, status=(429,))]
    failure = _classed(429, _error(message), {**resets, **headers}, configured=rules)
    assert (failure.failure_class, failure.retry_after) == (failure_class, expected)
    assert _classed(429, _error(), resets).retry_after == pytest.approx(0.012)


_QUOTA = {"quotaMetric": "example.com/tokens", "quotaId": "TokensPerDay", "quotaValue": "100"}
_GOOGLE_DETAILS = [
    {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "TOO_MANY"},
    {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [_QUOTA, "odd"]},
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"},
    "odd",
]


def test_details_in_a_list_are_read() -> None:
    """A3, wire rule 3: Google's services tell reason, quotas and delay in a list, and a number as code."""
    error = error_of_document(_error("slow", code=429, status="EXHAUSTED", details=_GOOGLE_DETAILS))
    assert error is not None
    assert error.codes == ("EXHAUSTED", "TOO_MANY", "429")
    assert error.detail.startswith("example.com/tokens, limit: 100, TokensPerDay")
    assert _classed(429, _error("slow", details=_GOOGLE_DETAILS)).retry_after == pytest.approx(34.4)
    told = _classed(429, _error("retry in 9s", details=_GOOGLE_DETAILS), {"retry-after": "5"})
    assert told.retry_after == 5.0


def test_a_delay_that_is_no_advice_is_not_taken() -> None:
    """A3: some quotas last longer than the delay that is told with them; a header is always meant."""
    rules = (rule(FailureClass.QUOTA, pattern="PerDay", trusts_words=False),)
    body = _error("Please retry in 36s", details=_GOOGLE_DETAILS)
    failure = _classed(429, body, configured=rules)
    assert (failure.failure_class, failure.retry_after) == (FailureClass.QUOTA, None)
    assert _classed(429, body, {"retry-after": "7200"}, configured=rules).retry_after == 7200.0


@pytest.mark.parametrize(
    ("character_count", "expected"),
    [(0, FailureClass.RATE_LIMITED), (400, FailureClass.RATE_LIMITED), (401, FailureClass.CONTEXT_TOO_LONG)],
)
def test_a_request_above_the_limit_that_is_told_is_too_large(
    character_count: int, expected: FailureClass
) -> None:
    """A3: no waiting helps a request that is larger than what a whole minute allows."""
    rules = (rule(FailureClass.CONTEXT_TOO_LONG, pattern=r"tokens, limit: (\d+)", exceeded=True),)
    classifier = FailureClassifier(OPENAI_FAILURES, configured=rules)
    body = json.dumps(_error("slow", details=_GOOGLE_DETAILS)).encode()
    assert classifier.of_response(429, {}, body, character_count).failure_class is expected


def test_errors_inside_an_answer_do_not_read_its_headers() -> None:
    """Wire rule 3: headers of a success are no advice."""
    failure = FailureClassifier(OPENAI_FAILURES).of_document(_error("Rate limit reached. Try again in 2s"))
    assert failure is not None
    assert (failure.failure_class, failure.retry_after) == (FailureClass.RATE_LIMITED, 2.0)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abc123DEF456",
        "sk-wrong****-key",
        "gsk_0123456789abcdef",
        "org-0123456789abcdef",
        "Bearer abc.def.ghi",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "0123456789abcdef0123456789abcdef",
        "my-own-secret",
    ],
)
def test_secrets_are_not_repeated(secret: str) -> None:
    """S6: no message holds a key, an account or a token."""
    failure = _classed(
        400, _error(f"denied for {secret}, sorry", code=secret), secrets=lambda: ("my-own-secret",)
    )
    assert secret not in failure.message
    assert secret not in failure.provider_code
    assert failure.message.startswith("denied for [redacted]")


def test_a_key_that_is_named_as_such_is_not_repeated() -> None:
    """S6: whatever follows the words counts as the key."""
    assert "hunter2" not in redacted("Incorrect API key provided: hunter2. You can find yours at ...")


@settings(deadline=None)
@given(st.text(max_size=5000))
def test_messages_are_short_and_on_one_line(text: str) -> None:
    """S6: a provider's words cannot forge or flood a log."""
    message = redacted(text)
    assert len(message) <= MAX_MESSAGE_CHARACTERS
    assert message.isprintable()


@settings(deadline=None)
@given(st.integers(300, 599), st.binary(max_size=200), st.text(max_size=20))
def test_any_error_body_is_classed(status: int, body: bytes, header: str) -> None:
    """A3: an error that cannot be read is a failure like any other."""
    assert isinstance(_classed(status, body, {"retry-after": header}), AttemptFailure)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "message",
                    "code",
                    "type",
                    "status",
                    "details",
                    "innererror",
                    "metadata",
                    "raw",
                    "detail",
                    "violations",
                    "retryDelay",
                    "quotaId",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(_JSON)
def test_any_json_error_is_classed(document: object) -> None:
    """A3: errors may have any shape."""
    assert isinstance(_classed(400, document), AttemptFailure)
    failure = FailureClassifier(OPENAI_FAILURES).of_document(document)
    assert failure is None or isinstance(failure, AttemptFailure)


_SHELLS: list[Callable[[object], object]] = [
    lambda inner: [inner],
    lambda inner: [inner] * 3,
    lambda inner: {"error": inner},
    lambda inner: {"message": inner},
    lambda inner: {"detail": [inner]},
    lambda inner: {"details": inner, "innererror": inner},
    lambda inner: {"error": {"message": [{"msg": inner}], "details": inner}},
    lambda inner: {"error": {"metadata": {"raw": inner}, "code": inner}},
]


@pytest.mark.parametrize("depth", [1, 7, 100, 1_000])
@pytest.mark.parametrize("shell", _SHELLS)
def test_no_depth_of_an_error_is_too_deep(shell: Callable[[object], object], depth: int) -> None:
    """A3: a document nested against its reader is classed by its status, and behind a 200 it is no crash."""
    document: object = "deep"
    for _ in range(depth):
        document = shell(document)
    assert error_of_document({"error": {"message": document}}) is not None
    assert error_of_document({"error": document}) is not None
    assert error_of_document({"detail": document, "details": document}) is not None
    error_of_document(document)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from([b"[", b'{"message":', b'{"error":', b'{"details":', b'[{"msg":']), max_size=5),
    st.integers(1, 500),
)
def test_a_deeply_nested_error_is_classed_by_its_status(pattern: list[bytes], count: int) -> None:
    """A3: 503 is OVERLOADED and 401 AUTHENTICATION, whatever the depth of what is said about them."""
    opening = b"".join(pattern * count)
    closing = bytes({0x5B: 0x5D, 0x7B: 0x7D}[byte] for byte in reversed(opening) if byte in b"[{")
    body = b'{"error":{"message":' + opening + b"0" + closing + b"}}"
    for status, expected in ((503, FailureClass.OVERLOADED), (401, FailureClass.AUTHENTICATION)):
        assert _classed(status, body).failure_class is expected
    inside = FailureClassifier(OPENAI_FAILURES).of_error(body)
    assert inside.failure_class is FailureClass.TRANSIENT


def test_words_in_a_usual_depth_are_found() -> None:
    """A3: the bound on depth takes nothing from what providers send."""
    body = [{"error": {"message": [{"msg": {"message": "maximum context length"}}], "code": "x"}}]
    assert _classed(400, body).failure_class is FailureClass.CONTEXT_TOO_LONG
    inner = {"innererror": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}
    assert _classed(400, _error("no", details=inner)).failure_class is FailureClass.CONTENT_FILTERED
