"""Servers of one's own that speak the OpenAI format: no key, no price, and nobody is billed for anything.

Where the facts come from:

- vLLM: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (extra parameters);
- Ollama: https://docs.ollama.com/api/openai-compatibility (images as base64 only, no documents and no audio);
  that thoughts go back as `reasoning` is from a recording.
"""

from __future__ import annotations

from paceline_server.providers.profile import MediaLimits, Profile
from paceline_server.providers.vendors.record import Vendor

VLLM = Vendor(
    name="vllm",
    title="vLLM",
    wire_format="openai",
    base_url="http://127.0.0.1:8000/v1",
    settings={
        "max_output_field": "max_tokens",
        "prompt_cache": "nothing",
        "accepts_top_k": True,
        "prefill": "continue_final_message",
    },
    profile=Profile(accepts_prefill=True, gives_logprobs=True),
)

OLLAMA = Vendor(
    name="ollama",
    title="Ollama",
    wire_format="openai",
    base_url="http://127.0.0.1:11434/v1",
    settings={"max_output_field": "max_tokens", "reasoning_field": "reasoning", "prompt_cache": "nothing"},
    profile=Profile(
        media=MediaLimits(media_types=frozenset({"image/png", "image/jpeg", "image/webp"}), takes_uris=False)
    ),
)

LOCAL = (VLLM, OLLAMA)
