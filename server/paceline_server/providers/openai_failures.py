"""The failure table of the OpenAI chat-completions format, and of the many who speak it too.

Data only: the order is the meaning, the first rule that matches decides. Each rule was seen on the
wire or is documented by a provider. `CONTEXT_TOO_LONG` is also the class of requests that are too
large for this provider's limit and not for another's: it advances, and penalises nobody.
"""

from __future__ import annotations

from paceline_server.completion.attempt import FailureClass
from paceline_server.providers.failures import FailureRule, rule

_QUOTA_CODES = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "insufficient_balance",
    "billing_hard_limit_reached",
    "billing_not_active",
    "spend_limit_reached",
    "enforced_spend_limit_reached",
)
_QUOTA_WORDS = (
    r"exceeded your current quota.{0,40}billing|insufficient (?:balance|credits|funds)|no prepaid credits"
    r"|out of credits|used all available credits|(?:spend|spending|billing|hard) (?:hard )?limit"
)
_CONTEXT_WORDS = (
    r"maximum context length|context (?:length|window|size)|prompt is too long|input (?:is )?too long"
    r"|too many (?:input |prompt )?tokens|token limit|reduce the length"
    r"|exceeds? the maximum (?:number of )?tokens|maximum (?:input|prompt) length|input length .{0,40}exceed"
)
_KEY_WORDS = (
    r"(?:incorrect|invalid|missing|no|wrong) (?:x-)?api[ _-]?key|api key not (?:valid|found)|unauthori[sz]ed"
)
_MODEL_WORDS = (
    r"model\b.{0,120}(?:does not exist|not found|not available|not a valid|is not supported)"
    r"|(?:unknown|invalid|unsupported|no such) model|not a valid model|not a chat model"
    r"|no endpoints found for"
)
_FEATURE_WORDS = (
    r"(?:image|vision|audio|file|video|tool|function|multimodal|system|developer|reasoning|thinking)\w*"
    r"(?: \w+){0,4} (?:is|are) not (?:currently )?supported"
    r"|(?:does not|doesn't|do not|cannot|not) (?:support|accept|process)\w*(?: \w+){0,3}"
    r" (?:image|vision|audio|file|video|tool|function|multimodal|json|structured|response_format"
    r"|reasoning|thinking)"
    r"|no endpoints found that support|unsupported (?:parameter|value)|unknown parameter"
    r"|unrecognized request arguments? supplied|invalid image input|not supported (?:with|by) this model"
)
_MODERATION_WORDS = r"moderation|flagged|content (?:policy|management|filter)|violates? (?:our |the )?usage"
_BUSY_WORDS = r"overloaded|at capacity|capacity exceeded|temporarily unavailable|no (?:healthy )?instances"

OPENAI_FAILURES: tuple[FailureRule, ...] = (
    # 402 is not always an empty purse.
    rule(FailureClass.RATE_LIMITED, code=("in_flight_budget_exhausted",)),
    rule(FailureClass.CONTEXT_TOO_LONG, status=(402,), pattern=r"fewer max_tokens|can only afford"),
    rule(FailureClass.QUOTA, code=_QUOTA_CODES),
    rule(FailureClass.QUOTA, status=(402,)),
    rule(FailureClass.QUOTA, status=(200, 400, 403, 429), pattern=_QUOTA_WORDS),
    # What was said, not how: filters stand before the statuses that they share with others.
    rule(
        FailureClass.CONTENT_FILTERED,
        code=(
            "content_filter",
            "content_filtered",
            "content_policy_violation",
            "responsibleaipolicyviolation",
            "moderation_blocked",
        ),
    ),
    rule(FailureClass.CONTENT_FILTERED, status=(400, 403), pattern=_MODERATION_WORDS),
    # One minute's allowance is smaller than this one request: no waiting helps.
    rule(FailureClass.CONTEXT_TOO_LONG, status=(429,), pattern=r"request too large"),
    rule(FailureClass.OVERLOADED, status=(429,), pattern=r"service tier capacity exceeded"),
    rule(FailureClass.RATE_LIMITED, status=(429,)),
    rule(FailureClass.OVERLOADED, status=(498, 503, 529)),
    rule(
        FailureClass.OVERLOADED,
        code=("capacity_exceeded", "server_is_overloaded", "overloaded_error", "service_unavailable_error"),
    ),
    rule(FailureClass.AUTHENTICATION, status=(401,)),
    rule(
        FailureClass.AUTHENTICATION,
        code=(
            "invalid_api_key",
            "authentication_error",
            "permission_error",
            "unsupported_country_region_territory",
        ),
    ),
    rule(FailureClass.AUTHENTICATION, status=(200, 400, 403), pattern=_KEY_WORDS),
    rule(FailureClass.UNSUPPORTED, status=(404,), pattern=r"no endpoints found that support"),
    rule(
        FailureClass.MODEL_NOT_FOUND,
        code=(
            "model_not_found",
            "deploymentnotfound",
            "model_not_available",
            "model_deprecated",
            "invalid_model",
        ),
    ),
    rule(FailureClass.MODEL_NOT_FOUND, status=(404, 410)),
    rule(FailureClass.AUTHENTICATION, status=(403,)),
    rule(
        FailureClass.CONTEXT_TOO_LONG,
        code=("context_length_exceeded", "too_many_tokens", "request_too_large"),
    ),
    rule(FailureClass.CONTEXT_TOO_LONG, status=(413,)),
    rule(FailureClass.CONTEXT_TOO_LONG, status=(200, 400, 422), pattern=_CONTEXT_WORDS),
    rule(
        FailureClass.UNSUPPORTED,
        code=("unsupported_parameter", "unsupported_value", "unsupported_model", "unknown_parameter"),
    ),
    rule(FailureClass.UNSUPPORTED, status=(400, 422), pattern=_FEATURE_WORDS),
    rule(FailureClass.MODEL_NOT_FOUND, status=(400, 422), pattern=_MODEL_WORDS),
    # The model failed to call its tool; asked again it may manage.
    rule(FailureClass.TRANSIENT, code=("tool_use_failed",)),
    rule(FailureClass.INVALID_REQUEST, status=(400, 405, 406, 411, 414, 415, 422, 431)),
    rule(FailureClass.TRANSIENT, status=range(201, 600)),
    # What is left stands inside an answer of status 200 and states no status.
    rule(
        FailureClass.RATE_LIMITED,
        code=("rate_limit_exceeded", "rate_limit_error", "rate_limited", "resource-exhausted"),
    ),
    rule(FailureClass.RATE_LIMITED, pattern=r"rate limit|too many requests|quota exceeded"),
    rule(FailureClass.OVERLOADED, pattern=_BUSY_WORDS),
    rule(FailureClass.INVALID_REQUEST, code=("invalid_request_error", "badrequesterror", "invalid-argument")),
)
