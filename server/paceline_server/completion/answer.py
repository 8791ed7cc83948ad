"""What a model gives back: where it came from, how it ended, and what it used."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from paceline_server.completion.content import Part
from paceline_server.completion.immutable import Word, immutable
from paceline_server.completion.usage import Usage


class Target(NamedTuple):
    """One provider and one of its models: the unit that is called, benched and billed.

    A tuple, because targets are looked up a dozen times a call and a tuple is hashed without Python code.
    """

    provider: str
    model: str

    def __str__(self) -> str:
        """The target as a spec writes it."""
        return f"{self.provider}/{self.model}"


class FinishReason(Word):
    """Why an answer ended, in one vocabulary for all providers."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    OTHER = "other"


class ConfidenceSource(Enum):
    """Where a confidence comes from."""

    LOGPROBS = "logprobs"
    JUDGE = "judge"
    AGREEMENT = "agreement"
    REPORTED = "reported"


@immutable(frozen=True, slots=True)
class Confidence:
    """How sure an answer is, from 0 to 1."""

    value: float
    source: ConfidenceSource


@immutable(frozen=True, slots=True)
class Ending:
    """How a provider ended an answer: known only once its terminal marker was seen.

    Attributes:
        provider_reason: The provider's own word for the finish reason.
        served_model: The model that the provider says has answered; empty if it says nothing.
        usage: None if the provider told none.
    """

    finish_reason: FinishReason
    provider_reason: str = ""
    served_model: str = ""
    usage: Usage | None = None
    confidence: Confidence | None = None


@immutable(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    parts: tuple[Part, ...]
    finish_reason: FinishReason
    provider_reason: str
    target: Target
    served_model: str
    usage: Usage
    confidence: Confidence | None = None
