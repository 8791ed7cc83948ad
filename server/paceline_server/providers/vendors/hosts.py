"""Clouds, and companies that serve models of others.

Where the facts come from:

- billing after a cancellation: https://openrouter.ai/docs/api-reference/streaming (stream cancellation);
- Azure: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle (one URL for all deployments
  and no version in it), https://learn.microsoft.com/azure/foundry/openai/reference (the header `api-key`);
- Vertex AI: https://cloud.google.com/vertex-ai/generative-ai/docs/start/api-keys (the key's header),
  https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference (the path, and which models
  give log probabilities);
- Groq: https://console.groq.com/docs/prefilling, https://console.groq.com/docs/vision,
  https://console.groq.com/docs/openai;
- OpenRouter: https://openrouter.ai/docs/api-reference/overview, and for caching
  https://openrouter.ai/docs/features/prompt-caching (marks are passed on, or ignored); settings that a model
  does not know are ignored, log probabilities among them;
- Together: https://docs.together.ai/reference/chat-completions-1;
- Cerebras: https://inference-docs.cerebras.ai/resources/openai (fields that are refused),
  https://inference-docs.cerebras.ai/api-reference/chat-completions (log probabilities),
  https://inference-docs.cerebras.ai/support/error;
- Hugging Face: https://huggingface.co/docs/inference-providers.
"""

from __future__ import annotations

from paceline_server.completion.attempt import FailureClass
from paceline_server.providers.failures import rule
from paceline_server.providers.profile import MediaLimits, Profile
from paceline_server.providers.vendors.companies import GEMINI, HIDDEN_THOUGHT, NO_THOUGHT
from paceline_server.providers.vendors.media import MEGABYTE, WEB_IMAGES, before_base64
from paceline_server.providers.vendors.record import Models, Vendor

AZURE = Vendor(
    name="azure",
    title="Azure OpenAI",
    wire_format="openai",
    base_url_example="https://<resource>.openai.azure.com/openai/v1",
    key_variable="AZURE_OPENAI_API_KEY",
    settings={"key_header": "api-key"},
    price_list="azure",
    # Models are called by the names of deployments, which often are those of the models.
    models=(
        Models(HIDDEN_THOUGHT, reasons_unseen=True),
        Models(NO_THOUGHT, reasons_unseen=False),
        Models(("gpt-4*", "gpt-35*"), gives_logprobs=True),
        Models(("*-audio*",), gives_logprobs=False),
    ),
)

GROQ = Vendor(
    name="groq",
    title="Groq",
    wire_format="openai",
    base_url="https://api.groq.com/openai/v1",
    key_variable="GROQ_API_KEY",
    settings={"prompt_cache": "nothing"},
    price_list="groq",
    profile=Profile(
        media=MediaLimits(media_types=WEB_IMAGES, max_image_bytes=before_base64(4 * MEGABYTE)),
        bills_after_cancel=True,
    ),
    # The documents promise it for every text model; those that think first are left out.
    models=(Models(("llama-*", "meta-llama/*", "gemma*"), accepts_prefill=True),),
)

OPENROUTER = Vendor(
    name="openrouter",
    title="OpenRouter",
    wire_format="openai",
    base_url="https://openrouter.ai/api/v1",
    key_variable="OPENROUTER_API_KEY",
    settings={
        "max_output_field": "max_tokens",
        "reasoning_field": "reasoning",
        "prompt_cache": "marks",
        "accepts_top_k": True,
    },
    rules=(
        # Money that other calls hold at this moment.
        rule(FailureClass.RATE_LIMITED, status=(402,), pattern=r"in[ _-]flight"),
        # The words of the makers behind it.
        rule(FailureClass.UNSUPPORTED, status=(400,), pattern=r"prefill|must end with a user message"),
    ),
    price_list="openrouter",
    profile=Profile(gives_logprobs=True),
    models=(
        Models(tuple(f"openai/{name}" for name in HIDDEN_THOUGHT), reasons_unseen=True),
        Models(tuple(f"openai/{name}" for name in NO_THOUGHT), reasons_unseen=False),
        Models(("google/*", "mistralai/*", "perplexity/*"), bills_after_cancel=True),
        Models(
            ("anthropic/claude-3*", "anthropic/claude-*-4", "anthropic/claude-*-4.[015]"),
            accepts_prefill=True,
        ),
    ),
)

TOGETHER = Vendor(
    name="together",
    title="Together",
    wire_format="openai",
    base_url="https://api.together.xyz/v1",
    key_variable="TOGETHER_API_KEY",
    settings={"max_output_field": "max_tokens", "prompt_cache": "nothing", "accepts_top_k": True},
    rules=(
        rule(FailureClass.CONTEXT_TOO_LONG, status=(400, 422), pattern=r"max_new_tokens.{0,20} must be <="),
    ),
    price_list="together",
)

VERTEX = Vendor(
    name="vertex",
    title="Google Vertex AI",
    wire_format="gemini",
    base_url_example="https://aiplatform.googleapis.com/v1/projects/<project>/locations/global/publishers/google",
    key_variable="GOOGLE_API_KEY",
    settings={"api_version": "", "sends_call_ids": False},
    price_list="google",
    profile=GEMINI.profile,
    models=(
        *GEMINI.models,
        Models(("gemini-2.0-flash*", "gemini-2.5-flash*", "gemini-2.5-pro*"), gives_logprobs=True),
        Models(("*-image*", "*-tts*", "*-live*", "*preview*", "*-exp*"), gives_logprobs=False),
    ),
)

CEREBRAS = Vendor(
    name="cerebras",
    title="Cerebras",
    wire_format="openai",
    base_url="https://api.cerebras.ai/v1",
    key_variable="CEREBRAS_API_KEY",
    settings={"prompt_cache": "nothing", "omit": ["frequency_penalty", "presence_penalty"]},
    rules=(
        # Too much traffic of everybody's, unlike the other codes of this status.
        rule(FailureClass.OVERLOADED, code=("queue_exceeded",)),
    ),
    price_list="cerebras",
    profile=Profile(gives_logprobs=True),
)

HUGGINGFACE = Vendor(
    name="huggingface",
    title="Hugging Face",
    wire_format="openai",
    base_url="https://router.huggingface.co/v1",
    key_variable="HF_TOKEN",
    settings={"max_output_field": "max_tokens", "prompt_cache": "nothing"},
    profile=Profile(bills_after_cancel=True),
)

HOSTS = (AZURE, VERTEX, GROQ, OPENROUTER, TOGETHER, CEREBRAS, HUGGINGFACE)
