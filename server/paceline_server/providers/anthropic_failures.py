"""The failure table of the Anthropic format.

Data only: the order is the meaning, the first rule that matches decides. What Anthropic says in its own
way stands first, as it was seen on the wire or is documented; what all say alike, Anthropic and the
others who speak its format, is decided by the rules that this table shares with chat completions.
"""

from __future__ import annotations

from paceline_server.completion.attempt import FailureClass
from paceline_server.providers.failures import FailureRule, rule
from paceline_server.providers.openai_failures import OPENAI_FAILURES

_QUOTA_WORDS = (
    r"credit balance is too low|(?:monthly|organization|workspace|usage) spend(?:ing)? limit"
    r"|reached your specified (?:workspace )?api usage limits"
)
_CONTEXT_WORDS = (
    r"prompt is too long|exceed(?:s|ed)? (?:the )?context (?:limit|window)|long context (?:requests|beta)"
)
_TARGET_WORDS = (
    r"^`?(?:temperature|top_[pk]|stop_sequences|max_tokens|thinking|tool_choice|output_(?:config|format))\b"
    r"|(?:deprecated|not (?:supported|available|allowed)) (?:for|on|with|by) (?:this|the) (?:current )?model"
    r"|(?:model|claude-[\w.-]+)['`\"]* does(?: not|n't) support|prefill"
    r"|invalid `?signature`? in `?thinking`?|thinking`? blocks .{0,60}cannot be modified"
    r"|stop sequence must|extra inputs are not permitted|additionalProperties"
    r"|MB maximum|image dimensions exceed|maximum of \d+ pdf pages"
)
"""What one target refuses and another may take: settings and combinations of them, schemas, prefilled
answers, thoughts of other models (which no other provider is sent), large files."""

ANTHROPIC_FAILURES: tuple[FailureRule, ...] = (
    rule(FailureClass.QUOTA, code=("billing_error", "enforced_spend_limit_reached")),
    rule(FailureClass.QUOTA, status=(200, 400, 402, 403, 429), pattern=_QUOTA_WORDS),
    rule(FailureClass.CONTEXT_TOO_LONG, status=(200, 400, 413, 429), pattern=_CONTEXT_WORDS),
    rule(FailureClass.CONTENT_FILTERED, status=(200, 400), pattern=r"content filtering policy"),
    # "Overloaded" has a status of its own, but stands also inside other ones, and inside answers.
    rule(FailureClass.OVERLOADED, code=("overloaded_error",)),
    rule(FailureClass.AUTHENTICATION, status=(400, 403), pattern=r"organization has been disabled"),
    rule(FailureClass.MODEL_NOT_FOUND, status=(200, 404), code=("not_found_error",)),
    rule(FailureClass.UNSUPPORTED, status=(200, 400), pattern=_TARGET_WORDS),
    *OPENAI_FAILURES,
)
