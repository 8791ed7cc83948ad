"""What is known of one target, as data: its price, its habits, its limits.

Facts only; nothing here calls anyone. A profile is found by provider and model and may be
overridden in the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

from paceline_server.completion.usage import Price

KEPT_MODEL_COUNT = 1024
"""Of so many models is kept what is asked for at every call, because callers name them as they like."""


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What media a target takes; None or 0 means that no limit is known.

    Attributes:
        media_types: The types that it reads, in lower case and without parameters, as "image/png";
            empty where it takes no media at all.
        takes_uris: It fetches media that are given by reference.
        max_image_bytes: Of one image, before any encoding as text.
        max_image_edge: Pixels of an image's longer side.
        max_document_bytes: Of one document, likewise.
    """

    media_types: frozenset[str] = frozenset()
    takes_uris: bool = True
    max_image_bytes: int = 0
    max_image_edge: int = 0
    max_document_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """Facts about a target.

    Attributes:
        price: None where no price is known: the cost of a call is then unset, not zero.
        context_token_count: The most tokens of prompt and answer together; None where it is not known.
        max_output_token_count: The most tokens of an answer; None where it is not known.
        media: None where nothing is known of its media: they are sent as they are.
        reasons_unseen: The model thinks for minutes without sending anything, so its clocks are longer.
        accepts_prefill: An assistant message at the end of the prompt is continued.
        bills_after_cancel: The provider goes on generating and billing when the connection closes.
        quality: How good its answers are, from 0 to 1, as its operator judges; None where nobody has judged.
        gives_logprobs: It tells the log probabilities of an answer to those who ask; some targets refuse
            a prompt that asks.
        quota_identity: Providers with the same identity share one quota and one set of credentials;
            empty means that the provider stands alone.
    """

    price: Price | None = None
    context_token_count: int | None = None
    max_output_token_count: int | None = None
    media: MediaLimits | None = None
    reasons_unseen: bool = False
    accepts_prefill: bool = False
    bills_after_cancel: bool = False
    quality: float | None = None
    gives_logprobs: bool = False
    quota_identity: str = ""


NOTHING_KNOWN = Profile()
"""The profile of a target of which nothing is known."""
