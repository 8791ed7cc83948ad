"""What an engine may ask of a provider, whatever the wire format.

An adapter turns a prompt into the provider's request and the provider's bytes into deltas
and one ending. It keeps no clocks, no retries and no health: those are the engines'. So is the
verdict on an answer that was filtered before any content: the adapter ends it with CONTENT_FILTER
and the usage that was told, which a failure could not carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from paceline_server.completion.answer import Ending
from paceline_server.completion.content import Part
from paceline_server.completion.deltas import Delta
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.profile import Profile


@dataclass(slots=True)
class ProviderRequest:
    """One prompt for one model of a provider.

    Attributes:
        bodies: Encoded request bodies by wire format, shared by all attempts of one call so that
            retries and other targets of the same format encode the prompt only once. The adapter
            fills it and owns the meaning of its keys.
    """

    model: str
    prompt: Prompt
    bodies: dict[str, bytes] = field(default_factory=dict)


@immutable(frozen=True, slots=True)
class Answer:
    """A whole answer of a unary call."""

    parts: tuple[Part, ...]
    ending: Ending


class AnswerStream(Protocol):
    """An open stream of one answer. One reader; after `read` returned None, `ending` is set."""

    @property
    def ending(self) -> Ending:
        """How the answer ended; only after `read` returned None."""
        ...

    async def read(self) -> Sequence[Delta] | None:
        """Wait for bytes and decode all that have come.

        Returns:
            The deltas, neighbours of one part merged; an empty sequence if what came held no
            content (comments, pings, a role); None at the end, once the provider's terminal
            marker was seen.

        Raises:
            AttemptFailure: The provider reported an error, the stream was malformed, or it ended
                without its terminal marker.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back if the answer was read to its end, else close it at once. Idempotent."""
        ...


class PromptFitter(Protocol):
    """Makes a prompt one that a certain target can take (rule A8)."""

    async def fitted(self, prompt: Prompt, provider: str, profile: Profile) -> Prompt:
        """`prompt` for a target of `provider`; the same object if it fits as it is.

        Raises:
            AttemptFailure: UNSUPPORTED for a misfit, which another target may take; INVALID_REQUEST for
                a file that is damaged, which none will.
        """
        ...


__all__ = ["Answer", "AnswerStream", "Profile", "PromptFitter", "Provider", "ProviderRequest"]


class Provider(Protocol):
    """One configured provider. Cancelling any call closes its connection within 50 ms."""

    @property
    def name(self) -> str:
        """The name that specs use."""
        ...

    def profile(self, model: str) -> Profile:
        """What is known of one of its models."""
        ...

    async def complete(self, request: ProviderRequest) -> Answer:
        """Ask for a whole answer.

        Raises:
            AttemptFailure: No answer, or not a whole one.
        """
        ...

    async def open(self, request: ProviderRequest) -> AnswerStream:
        """Ask for a streamed answer and return when the provider has accepted it (its headers came).

        Raises:
            AttemptFailure: The provider refused or could not be reached.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
