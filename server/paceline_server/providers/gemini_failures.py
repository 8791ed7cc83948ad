"""The failure table of the Gemini generateContent format, for AI Studio and Vertex AI.

Data only: the order is the meaning, the first rule that matches decides. Each rule was seen on the
wire or is documented by Google. `CONTEXT_TOO_LONG` is also the class of requests that are too large for
this provider's limit and not for another's: it advances, and penalises nobody.
"""

from __future__ import annotations

from paceline_server.completion.attempt import FailureClass
from paceline_server.providers.failures import FailureRule, rule

_PURSE_WORDS = (
    r"(?:prepa\w+|credits?)(?: \w+){0,3} (?:is|are|has been|have been) (?:depleted|exhausted|used up)"
    r"|spend(?:ing)? (?:cap|limit)|billing account .{0,60}(?:closed|disabled|not)"
)
_CONTEXT_WORDS = (
    r"token count .{0,60}exceeds?|exceeds? the maximum number of tokens|only supports? up to \d+"
    r"|payload size exceeds|maximum (?:input|context|prompt) (?:length|size)|prompt is too long"
)
_KEY_WORDS = r"api[ _-]?key (?:not (?:valid|found)|expired|invalid)|pass a valid api key|unregistered callers"
_PLACE_WORDS = r"location is not supported|not available in your (?:country|region|location)"
_MODEL_WORDS = (
    r"unexpected model name|invalid model"
    r"|model\b.{0,120}(?:not found|does not exist|is not supported for|no longer available)"
)
_FEATURE_WORDS = (
    r"(?:is|are) not (?:supported|enabled|allowed|available)|(?:does not|doesn't|do not|not) support"
    r"|unsupported (?:mime|media|file|value|parameter)|unknown name \"|only works in thinking mode"
    r"|thought[_ ]?signature|requests ends with a user role|budget \d+ is invalid"
)
_FILTER_WORDS = (
    r"responsible ai|sensitive words|(?:violates?|blocked by)(?: \w+){0,4} (?:policy|policies|filters?)"
)

GEMINI_FAILURES: tuple[FailureRule, ...] = (
    # A wrong key is a bad request here, and so is a region without the service.
    rule(
        FailureClass.AUTHENTICATION,
        code=(
            "api_key_invalid",
            "api_key_service_blocked",
            "access_token_expired",
            "access_token_scope_insufficient",
            "service_disabled",
            "consumer_suspended",
            "consumer_invalid",
            "unauthenticated",
        ),
    ),
    rule(FailureClass.AUTHENTICATION, status=(200, 400), pattern=_KEY_WORDS),
    rule(FailureClass.QUOTA, code=("billing_disabled", "billing_not_active")),
    rule(FailureClass.QUOTA, status=(402,)),
    rule(FailureClass.QUOTA, status=(200, 400, 403, 429), pattern=_PURSE_WORDS),
    # A limit of 0: the key's plan has other models, and not this one.
    rule(FailureClass.MODEL_NOT_FOUND, status=(429,), pattern=r"limit: 0\b", trusts_words=False),
    # The delay that is told is a minute's, and the quota a day's.
    rule(FailureClass.QUOTA, status=(429,), pattern=r"per_?-?day", trusts_words=False),
    # One minute's allowance is smaller than this one request: no waiting helps.
    rule(
        FailureClass.CONTEXT_TOO_LONG,
        status=(429,),
        pattern=r"input_token_count, limit: (\d{1,12})",
        exceeded=True,
    ),
    rule(FailureClass.OVERLOADED, status=(429,), code=("model_capacity_exhausted",)),
    rule(FailureClass.RATE_LIMITED, status=(429,)),
    rule(FailureClass.OVERLOADED, status=(503, 529)),
    rule(FailureClass.AUTHENTICATION, status=(401, 403)),
    rule(FailureClass.MODEL_NOT_FOUND, status=(404, 410)),
    rule(FailureClass.CONTEXT_TOO_LONG, status=(413,)),
    rule(FailureClass.CONTEXT_TOO_LONG, status=(200, 400), pattern=_CONTEXT_WORDS),
    rule(FailureClass.AUTHENTICATION, status=(200, 400), pattern=_PLACE_WORDS),
    rule(FailureClass.AUTHENTICATION, code=("failed_precondition", "permission_denied")),
    rule(FailureClass.CONTENT_FILTERED, status=(200, 400), pattern=_FILTER_WORDS),
    rule(FailureClass.MODEL_NOT_FOUND, status=(200, 400), pattern=_MODEL_WORDS),
    rule(FailureClass.UNSUPPORTED, status=(200, 400, 422, 501), pattern=_FEATURE_WORDS),
    rule(FailureClass.INVALID_REQUEST, status=(400, 405, 406, 411, 414, 415, 422, 431)),
    rule(FailureClass.TRANSIENT, status=range(201, 600)),
    # What is left stands inside an answer of status 200 and states no status.
    rule(FailureClass.RATE_LIMITED, code=("resource_exhausted",)),
    rule(FailureClass.OVERLOADED, code=("unavailable", "model_capacity_exhausted")),
    rule(FailureClass.MODEL_NOT_FOUND, code=("not_found",)),
    rule(FailureClass.INVALID_REQUEST, code=("invalid_argument", "out_of_range")),
    rule(FailureClass.OVERLOADED, pattern=r"overloaded|high demand|no capacity"),
)
