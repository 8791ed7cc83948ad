"""What a caller gets who asks for a target: the right to call it once, or the word that it is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.immutable import immutable


@immutable(frozen=True, slots=True)
class ProviderScope:
    """All targets of a provider, or of the providers that share a quota identity."""

    identity: str

    def __str__(self) -> str:
        """The identity, as lists show it."""
        return self.identity


Scope = Target | ProviderScope


@immutable(frozen=True, slots=True)
class Held:
    """A target that may not be called now.

    Attributes:
        until: Seconds since the epoch: when it may be tried again, as far as is known.
        ramping: It is well and coming back; this call is not in the share that goes through.
    """

    target: Target
    scope: Scope
    until: float
    cause: FailureClass | None
    reason: str
    ramping: bool = False
    by_operator: bool = False


class Reports(Protocol):
    """Who takes the report of a ticket."""

    def record_success(self, ticket: Ticket) -> None:
        """The call succeeded."""

    def record_failure(self, ticket: Ticket, failure: AttemptFailure, *, counts: bool) -> None:
        """The call failed."""

    def return_probes(self, ticket: Ticket) -> None:
        """The call was given up."""

    def held(self, target: Target) -> Held | None:
        """Why a target may not be called now, or None if it may."""


@dataclass(slots=True)
class Ticket:
    """The right to call a target once. End it with exactly one report; a second one counts for nothing.

    Attributes:
        probes: The scopes whose probe it took, each with the end of the lease.
    """

    registry: Reports
    target: Target
    generations: tuple[tuple[Scope, int], ...]
    probes: tuple[tuple[Scope, float], ...] = ()
    open: bool = True

    def succeeded(self) -> None:
        """The provider answered to the end."""
        if self._close():
            self.registry.record_success(self)

    def failed(self, failure: AttemptFailure, *, counts: bool = True) -> float | None:
        """The attempt failed.

        Args:
            counts: False if this call was counted before (one call adds at most one).

        Returns:
            Until when the target is benched (seconds since the epoch), or None if it is not.
        """
        if self._close():
            self.registry.record_failure(self, failure, counts=counts)
        held = self.registry.held(self.target)
        return None if held is None else held.until

    def abandoned(self) -> None:
        """The caller left or his deadline passed: nobody is to blame, a probe goes back."""
        if self._close():
            self.registry.return_probes(self)

    def _close(self) -> bool:
        was_open, self.open = self.open, False
        return was_open
