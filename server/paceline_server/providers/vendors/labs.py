"""Companies that serve models of their own in the OpenAI format.

Where the facts come from:

- billing after a cancellation: https://openrouter.ai/docs/api-reference/streaming (stream cancellation);
- Mistral: https://docs.mistral.ai/api (every unknown field is refused; `prefix` of assistant messages;
  usage comes unasked), https://docs.mistral.ai/capabilities/vision;
- DeepSeek: https://api-docs.deepseek.com/guides/thinking_mode (thoughts go back with tool calls),
  https://api-docs.deepseek.com/guides/chat_prefix_completion (only below another base URL, so not assumed),
  https://api-docs.deepseek.com/guides/reasoning_model (models that think refuse to tell log probabilities);
- xAI: https://docs.x.ai/docs/guides/reasoning (thoughts are not shown; no penalties),
  https://docs.x.ai/docs/guides/image-understanding, https://docs.x.ai/docs/api-reference (log probabilities);
- Perplexity: https://docs.perplexity.ai/docs/agent-api/image-attachments.
"""

from __future__ import annotations

from paceline_server.completion.attempt import FailureClass
from paceline_server.providers.failures import rule
from paceline_server.providers.profile import MediaLimits, Profile
from paceline_server.providers.vendors.media import MEBIBYTE, MEGABYTE, WEB_IMAGES, before_base64
from paceline_server.providers.vendors.record import Models, Vendor

MISTRAL = Vendor(
    name="mistral",
    title="Mistral",
    wire_format="openai",
    base_url="https://api.mistral.ai/v1",
    key_variable="MISTRAL_API_KEY",
    settings={
        "max_output_field": "max_tokens",
        "seed_field": "random_seed",
        "asks_stream_usage": False,
        "reasoning_field": "content",
        "prefill": "prefix",
    },
    rules=(
        # A field that this model's server does not know; another's may.
        rule(FailureClass.UNSUPPORTED, status=(422,), pattern=r"extra inputs are not permitted"),
    ),
    price_list="mistral",
    profile=Profile(
        media=MediaLimits(media_types=WEB_IMAGES, max_image_bytes=10 * MEGABYTE),
        accepts_prefill=True,
        bills_after_cancel=True,
    ),
    # These think first, and an answer that is begun for them has skipped that.
    models=(Models(("magistral*",), accepts_prefill=False),),
)

DEEPSEEK = Vendor(
    name="deepseek",
    title="DeepSeek",
    wire_format="openai",
    base_url="https://api.deepseek.com",
    key_variable="DEEPSEEK_API_KEY",
    settings={
        "max_output_field": "max_tokens",
        "reasoning_field": "reasoning_content",
        "prompt_cache": "nothing",
        "omit": ["seed"],
    },
    rules=(
        # A turn that another model has thought about: its thoughts are not there to go back.
        rule(FailureClass.UNSUPPORTED, status=(400,), pattern=r"reasoning_content"),
    ),
    price_list="deepseek",
    models=(Models(("deepseek-chat*",), gives_logprobs=True),),
)

XAI = Vendor(
    name="xai",
    title="xAI",
    wire_format="openai",
    base_url="https://api.x.ai/v1",
    key_variable="XAI_API_KEY",
    settings={"prompt_cache": "nothing", "omit": ["frequency_penalty", "presence_penalty"]},
    rules=(
        # A team without credits is told so with the status of a missing permission.
        rule(FailureClass.QUOTA, status=(403, 429), pattern=r"credits|spending limit"),
        # Models that think take no stop sequences, for one.
        rule(FailureClass.UNSUPPORTED, status=(400,), pattern=r"argument not supported on this model"),
    ),
    price_list="x-ai",
    profile=Profile(
        media=MediaLimits(media_types=frozenset({"image/png", "image/jpeg"}), max_image_bytes=10 * MEBIBYTE),
        gives_logprobs=True,
    ),
    models=(
        Models(("grok-4*", "grok-5*"), reasons_unseen=True),
        Models(("*non-reasoning*", "grok-3-mini*", "grok-code*"), reasons_unseen=False),
    ),
)

PERPLEXITY = Vendor(
    name="perplexity",
    title="Perplexity",
    wire_format="openai",
    base_url="https://api.perplexity.ai",
    key_variable="PERPLEXITY_API_KEY",
    settings={
        "max_output_field": "max_tokens",
        "prompt_cache": "nothing",
        "asks_stream_usage": False,
        "omit": ["seed"],
    },
    rules=(
        # Other models continue an answer, or take two messages of one role.
        rule(
            FailureClass.UNSUPPORTED,
            status=(400,),
            pattern=r"last message must|must alternate|should alternate",
        ),
    ),
    price_list="perplexity",
    profile=Profile(
        media=MediaLimits(media_types=WEB_IMAGES, max_image_bytes=before_base64(50 * MEGABYTE)),
        bills_after_cancel=True,
    ),
    models=(Models(("sonar-deep-research*",), reasons_unseen=True),),
)

LABS = (MISTRAL, DEEPSEEK, XAI, PERPLEXITY)
