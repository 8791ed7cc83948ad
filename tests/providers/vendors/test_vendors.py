"""What is known of vendors is whole, can be configured, and says of models what it should."""

from __future__ import annotations

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.openai_failures import OPENAI_FAILURES
from paceline_server.providers.profile import MediaLimits
from paceline_server.providers.vendors.known import COMPANY_OF_FORMAT, VENDORS
from paceline_server.providers.vendors.record import Models, Vendor

ALL = [pytest.param(vendor, id=name) for name, vendor in VENDORS.items()]


@pytest.mark.parametrize("vendor", ALL)
def test_a_pattern_can_match(vendor: Vendor) -> None:
    """Names are compared in lower case, so a pattern with a capital would never match."""
    patterns = [pattern for models in vendor.models for pattern in models.names]
    assert patterns == [pattern.lower() for pattern in patterns]


@pytest.mark.parametrize("vendor", ALL)
def test_a_vendor_says_where_it_is(vendor: Vendor) -> None:
    """A vendor has a base URL, or an example for those who must give their own."""
    assert bool(vendor.base_url) != bool(vendor.base_url_example)
    assert not vendor.base_url.endswith("/")


def test_every_format_has_its_company() -> None:
    """Each wire format is somebody's, who is meant where nobody is named."""
    assert COMPANY_OF_FORMAT == {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini"}


def test_the_last_pattern_that_matches_decides() -> None:
    """What holds for some models is said before its exceptions."""
    few = MediaLimits(max_image_edge=1)
    vendor = Vendor(
        "v",
        "V",
        "openai",
        models=(
            Models(("a*",), reasons_unseen=True, context_token_count=10),
            Models(("x", "ab*"), reasons_unseen=False, media=few),
        ),
    )
    assert (vendor.profile_of("a1").reasons_unseen, vendor.profile_of("a1").media) == (True, None)
    both = vendor.profile_of("AB")
    assert (both.reasons_unseen, both.media, both.context_token_count) == (False, few, 10)
    assert vendor.profile_of("b") == vendor.profile


REASONS_UNSEEN = [
    ("openai", "o3-mini", True),
    ("openai", "gpt-5-mini", True),
    ("openai", "gpt-5.1-chat-latest", False),
    ("openai", "gpt-4o", False),
    ("openrouter", "openai/gpt-5", True),
    ("openrouter", "openai/gpt-4o", False),
    ("anthropic", "claude-opus-5-5", True),
    ("anthropic", "claude-opus-4-8", False),
    ("anthropic", "claude-sonnet-4-5", False),
    ("gemini", "gemini-2.5-pro", True),
    ("gemini", "models/gemini-3.1-pro-preview", True),
    ("vertex", "gemini-2.5-flash", False),
    ("xai", "grok-4-fast-reasoning", True),
    ("xai", "grok-4-fast-non-reasoning", False),
]


@pytest.mark.parametrize(("vendor", "model", "expected"), REASONS_UNSEEN)
def test_models_that_hide_their_thought_have_longer_clocks(
    vendor: str, model: str, *, expected: bool
) -> None:
    """A1: a model that thinks without sending anything is known to."""
    assert VENDORS[vendor].profile_of(model).reasons_unseen is expected


PREFILL = [
    ("anthropic", "claude-3-5-haiku-latest", True),
    ("anthropic", "claude-opus-4-20250514", True),
    ("anthropic", "claude-sonnet-4-5-20250929", True),
    ("anthropic", "claude-opus-4-6", False),
    ("anthropic", "claude-sonnet-5", False),
    ("anthropic", "claude-not-yet-known", False),
    ("mistral", "mistral-large-latest", True),
    ("mistral", "magistral-medium-latest", False),
    ("openrouter", "anthropic/claude-sonnet-4.5", True),
    ("openrouter", "anthropic/claude-sonnet-4.6", False),
    ("groq", "llama-3.3-70b-versatile", True),
    ("groq", "openai/gpt-oss-120b", False),
    ("deepseek", "deepseek-chat", False),
    ("vllm", "whatever", True),
    ("openai", "gpt-4o", False),
]


@pytest.mark.parametrize(("vendor", "model", "expected"), PREFILL)
def test_a_prefill_is_accepted_where_that_is_documented(vendor: str, model: str, *, expected: bool) -> None:
    """C5: an answer is continued only by models that are known to, and by none that came later."""
    assert VENDORS[vendor].profile_of(model).accepts_prefill is expected


LOGPROBS = [
    ("openai", "gpt-4o-mini", True),
    ("openai", "gpt-5-mini", False),
    ("openai", "o3-mini", False),
    ("openai", "gpt-4o-search-preview", False),
    ("openai", "gpt-4o-audio-preview", False),
    ("azure", "gpt-4.1", True),
    ("azure", "our-deployment", False),
    ("azure", "o4-mini", False),
    ("openrouter", "openai/gpt-5", True),
    ("vertex", "gemini-2.5-flash", True),
    ("vertex", "gemini-2.5-flash-image", False),
    ("vertex", "gemini-3.5-flash", False),
    ("gemini", "gemini-2.5-flash", False),
    ("deepseek", "deepseek-chat", True),
    ("deepseek", "deepseek-reasoner", False),
    ("xai", "grok-4", True),
    ("cerebras", "llama3.1-8b", True),
    ("vllm", "whatever", True),
    ("groq", "llama-3.3-70b-versatile", False),
    ("mistral", "mistral-large-latest", False),
    ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", False),
    ("anthropic", "claude-sonnet-4-5", False),
]


@pytest.mark.parametrize(("vendor", "model", "expected"), LOGPROBS)
def test_log_probabilities_are_expected_where_that_is_documented(
    vendor: str, model: str, *, expected: bool
) -> None:
    """R5: only targets are asked that are known to answer, for others may refuse the whole prompt."""
    assert VENDORS[vendor].profile_of(model).gives_logprobs is expected


def test_who_bills_on_is_known() -> None:
    """A6: these go on generating when the connection closes; all others stop, or nobody has said."""
    named = {name for name, vendor in VENDORS.items() if vendor.profile.bills_after_cancel}
    assert named == {"gemini", "groq", "huggingface", "mistral", "perplexity", "vertex"}
    assert VENDORS["openrouter"].profile_of("google/gemini-2.5-pro").bills_after_cancel


RULES = [
    (
        "xai",
        400,
        b'{"code":"invalid-argument","error":"Argument not supported on this model: stop"}',
        FailureClass.UNSUPPORTED,
    ),
    (
        "openrouter",
        400,
        b'{"error":{"code":400,"message":"This model does not support assistant message prefill."}}',
        FailureClass.UNSUPPORTED,
    ),
    (
        "mistral",
        422,
        b'{"object":"error","message":{"detail":[{"type":"x","msg":"Extra inputs are not permitted"}]}}',
        FailureClass.UNSUPPORTED,
    ),
    (
        "deepseek",
        400,
        b'{"error":{"message":"The `reasoning_content` in the thinking mode must be passed back"}}',
        FailureClass.UNSUPPORTED,
    ),
    (
        "perplexity",
        400,
        b'{"error":{"message":"Last message must have role `user`.","type":"invalid_message","code":400}}',
        FailureClass.UNSUPPORTED,
    ),
    (
        "openrouter",
        402,
        b'{"error":{"code":402,"message":"The budget is held by requests in flight"}}',
        FailureClass.RATE_LIMITED,
    ),
    (
        "openrouter",
        402,
        b'{"error":{"code":402,"message":"Insufficient credits"}}',
        FailureClass.QUOTA,
    ),
    (
        "together",
        422,
        b'{"error":{"message":"`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000"}}',
        FailureClass.CONTEXT_TOO_LONG,
    ),
    ("cerebras", 429, b'{"message":"busy","code":"queue_exceeded"}', FailureClass.OVERLOADED),
    ("cerebras", 429, b'{"message":"slow","code":"request_quota_exceeded"}', FailureClass.RATE_LIMITED),
    ("xai", 403, b'{"code":"x","error":"Your team has no credits left"}', FailureClass.QUOTA),
    ("xai", 403, b'{"code":"x","error":"You may not do that"}', FailureClass.AUTHENTICATION),
]


@pytest.mark.parametrize(("vendor", "status", "body", "expected"), RULES)
def test_a_vendors_own_errors_have_their_class(
    vendor: str, status: int, body: bytes, expected: FailureClass
) -> None:
    """A3: what the format's table cannot know is the vendor's own rule."""
    classifier = FailureClassifier(OPENAI_FAILURES, configured=VENDORS[vendor].rules)
    assert classifier.of_response(status, {}, body).failure_class is expected


def test_a_local_ollama_reads_images_in_the_request_alone() -> None:
    """A8: what Ollama would refuse, a reference, a document or a sound, is known before it is asked."""
    media = VENDORS["ollama"].profile_of("llava").media
    assert media is not None
    assert (media.takes_uris, "image/png" in media.media_types) == (False, True)
    assert not media.media_types & {"image/gif", "application/pdf", "audio/wav", "text/plain"}
