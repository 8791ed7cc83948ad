"""How vendors of the OpenAI chat-completions format differ, as data. Nothing here acts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

REASONING_ITEMS = "content"
"""The field that thoughts share with the answer, as items of its content."""


class CacheHint(Enum):
    """What `cache_prompt` sends: vendors cache by themselves, by key, or up to marks in the content."""

    NOTHING = "nothing"
    KEY = "key"
    MARKS = "marks"


class PrefillMark(Enum):
    """How an assistant message at the end is marked as one to be continued."""

    AS_IS = "as_is"
    PREFIX = "prefix"
    CONTINUE_FINAL_MESSAGE = "continue_final_message"


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """A vendor's dialect; the defaults are OpenAI's own.

    Attributes:
        max_tokens_field: "max_tokens" for vendors that know only the older name.
        seed_field: "random_seed" for Mistral.
        system_role: "developer" where "system" is not accepted.
        reasoning_field: The field in which readable thoughts go back to the vendor, as
            "reasoning_content" or `REASONING_ITEMS`; empty where it wants none back.
        prefill: How an answer that is to be continued is marked.
        omit: Fields of the request that the vendor refuses, as "seed"; they are left out.
        accepts_top_k: Whether `top_k` may be sent; else it is left out.
        cache_hint: What `cache_prompt` sends.
        asks_logprobs: Ask for token probabilities, from which confidence is taken, in every call.
        asks_stream_usage: Ask for the usage of streams; False for vendors that refuse the question.
    """

    max_tokens_field: str = "max_completion_tokens"
    seed_field: str = "seed"
    system_role: str = "system"
    reasoning_field: str = ""
    prefill: PrefillMark = PrefillMark.AS_IS
    omit: tuple[str, ...] = ()
    accepts_top_k: bool = False
    cache_hint: CacheHint = CacheHint.KEY
    asks_logprobs: bool = False
    asks_stream_usage: bool = True
