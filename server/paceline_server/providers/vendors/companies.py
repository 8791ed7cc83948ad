"""The companies whose formats are spoken: OpenAI, Anthropic and Google.

Where the facts come from:

- billing after a cancellation: https://openrouter.ai/docs/api-reference/streaming (stream cancellation);
- prefill: https://platform.claude.com/docs/en/about-claude/models/migration-guide (none from Claude 4.6 on);
- length and thought of Claude: https://platform.claude.com/docs/en/models (each model's page);
- log probabilities of OpenAI: https://platform.openai.com/docs/api-reference/chat/create, which models that
  think refuse; AI Studio gives those of Gemini for some models and at some times, so nothing is stated;
- images of OpenAI: https://platform.openai.com/docs/guides/images-vision, and documents:
  https://developers.openai.com/docs/guides/pdf-files;
- images of Anthropic: https://platform.claude.com/docs/en/build-with-claude/vision, documents:
  https://platform.claude.com/docs/en/build-with-claude/pdf-support;
- media of Gemini: https://ai.google.dev/gemini-api/docs/file-input-methods, length and thought:
  https://ai.google.dev/gemini-api/docs/models and https://ai.google.dev/gemini-api/docs/thinking.
"""

from __future__ import annotations

from paceline_server.providers.profile import MediaLimits, Profile
from paceline_server.providers.vendors.media import (
    MEBIBYTE,
    MEGABYTE,
    PDF,
    WEB_IMAGES,
    before_base64,
)
from paceline_server.providers.vendors.record import Models, Vendor

HIDDEN_THOUGHT = ("o1*", "o3*", "o4*", "gpt-5*", "gpt-6*", "codex-*")
"""Models of OpenAI that think before they answer; chat completions show nothing of it."""

NO_THOUGHT = ("gpt-5*-chat*", "gpt-6*-chat*", "gpt-5-search-api*")

_OPENAI_MEDIA = MediaLimits(
    media_types=WEB_IMAGES | PDF,
    max_image_bytes=20 * MEGABYTE,
    max_document_bytes=before_base64(50 * MEGABYTE),
)

OPENAI = Vendor(
    name="openai",
    title="OpenAI",
    wire_format="openai",
    base_url="https://api.openai.com/v1",
    key_variable="OPENAI_API_KEY",
    price_list="openai",
    profile=Profile(media=_OPENAI_MEDIA, gives_logprobs=True),
    models=(
        Models(HIDDEN_THOUGHT, reasons_unseen=True, gives_logprobs=False),
        Models(("*-search-*",), gives_logprobs=False),
        Models(NO_THOUGHT, reasons_unseen=False),
        Models(("gpt-3.5*", "gpt-4", "gpt-4-0*", "o1-mini*", "o1-preview*", "o3-mini*"), media=MediaLimits()),
        Models(
            ("*-audio*", "gpt-audio*"),
            media=MediaLimits(media_types=frozenset({"audio/wav", "audio/mpeg"}), takes_uris=False),
            gives_logprobs=False,
        ),
    ),
)

_ANTHROPIC_MEDIA = MediaLimits(
    media_types=WEB_IMAGES | PDF | {"text/plain"},
    max_image_bytes=before_base64(5 * MEBIBYTE),
    max_image_edge=8000,
    max_document_bytes=before_base64(32 * MEGABYTE),
)

_CLAUDE_OPUS_4 = ("claude-opus-4-0*", "claude-opus-4-2025*", "claude-opus-4-1*")
_CLAUDE_WITH_PREFILL = (
    "claude-2*",
    "claude-3-*",
    "claude-sonnet-4-0*",
    "claude-sonnet-4-2025*",
    "claude-sonnet-4-5*",
    *_CLAUDE_OPUS_4,
    "claude-opus-4-5*",
    "claude-haiku-4-5*",
)
_CLAUDE_WITH_HIDDEN_THOUGHT = (
    "claude-opus-5*",
    "claude-sonnet-5*",
    "claude-haiku-5*",
    "claude-fable-*",
    "claude-mythos-*",
)
"""They think unasked, and show it only to those who ask for an effort; 4.7 and 4.8 think only for those."""

ANTHROPIC = Vendor(
    name="anthropic",
    title="Anthropic",
    wire_format="anthropic",
    base_url="https://api.anthropic.com",
    key_variable="ANTHROPIC_API_KEY",
    price_list="anthropic",
    profile=Profile(media=_ANTHROPIC_MEDIA),
    models=(
        # Named one by one: models that are not known yet refuse a prefill, as all new ones do.
        Models(_CLAUDE_WITH_PREFILL, accepts_prefill=True),
        Models(_CLAUDE_WITH_HIDDEN_THOUGHT, reasons_unseen=True, max_output_token_count=128_000),
        Models(("claude-opus-4-[678]*",), max_output_token_count=128_000),
        Models(
            ("claude-2*", "claude-3-opus*", "claude-3-sonnet*", "claude-3-haiku*"),
            max_output_token_count=4096,
        ),
        Models(("claude-3-5-*",), max_output_token_count=8192),
        Models(_CLAUDE_OPUS_4, max_output_token_count=32_000),
        Models(
            ("claude-3-7-*", "claude-sonnet-4-*", "claude-haiku-4-*", "claude-opus-4-5*"),
            max_output_token_count=64_000,
        ),
    ),
)

_GEMINI_MEDIA = MediaLimits(
    media_types=frozenset(
        {
            "image/png",
            "image/jpeg",
            "image/webp",
            "image/heic",
            "image/heif",
            "application/pdf",
            "text/plain",
            "audio/wav",
            "audio/mpeg",
            "audio/aiff",
            "audio/aac",
            "audio/ogg",
            "audio/flac",
            "video/mp4",
            "video/mpeg",
            "video/avi",
            "video/quicktime",
            "video/webm",
            "video/x-flv",
            "video/wmv",
            "video/3gpp",
        }
    ),
    # The older bound of a whole request; newer models take more, but say so nowhere but in an error.
    max_image_bytes=before_base64(20 * MEGABYTE),
    max_document_bytes=before_base64(20 * MEGABYTE),
)

GEMINI = Vendor(
    name="gemini",
    title="Google Gemini",
    wire_format="gemini",
    base_url="https://generativelanguage.googleapis.com",
    key_variable="GEMINI_API_KEY",
    price_list="google",
    profile=Profile(media=_GEMINI_MEDIA, bills_after_cancel=True),
    models=(
        Models(("*gemini-1.*", "*gemini-2.0*"), max_output_token_count=8192),
        Models(("*gemini-2.5*", "*gemini-3*"), max_output_token_count=65_536),
        # They think as long as they like, and show it only to those who say how long they may.
        Models(("*gemini-2.5-pro*", "*gemini-3*", "*gemini-4*", "*gemini-pro-latest"), reasons_unseen=True),
        Models(("*-image*", "*-tts*", "*-lite*"), reasons_unseen=False),
    ),
)

COMPANIES = (OPENAI, ANTHROPIC, GEMINI)
