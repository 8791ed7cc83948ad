"""The one idea: everything that can answer a prompt is a Model, and models nest.

Who holds a model never asks which kind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.errors import AttemptFailure, CallFailed
from paceline_server.completion.immutable import immutable
from paceline_server.completion.usage import Usage
from paceline_server.health.registry import Held
from paceline_server.strategies.call import Call, Sink, Turn
from paceline_server.strategies.racing.allowance import LimitReached

Setback = AttemptFailure | Held | LimitReached
"""Why one target gave no answer: it failed, or it was not tried."""


Telling = Callable[[], CallFailed]
"""Makes the caller's error, which is raised from what is kept of its causes and so must not be kept there."""


@immutable(frozen=True, slots=True)
class Broken:
    """A stream that broke after content had been delivered.

    Attributes:
        attempt_index: The last attempt of those that had written it.
        usages: What they used, each.
    """

    target: Target
    seen_token_count: int
    attempt_index: int
    usages: tuple[Usage, ...]


class Unanswered(Exception):
    """A model gave no answer. Passes between models only; the engine turns it into the caller's error."""

    def __init__(
        self,
        setbacks: Sequence[Setback],
        *,
        final: bool = False,
        retry_wait: float | None = None,
        broken: Broken | None = None,
        refused: bool = False,
        told: Telling | None = None,
    ) -> None:
        """Make one.

        Args:
            setbacks: First cause first.
            final: No other model may be tried for this call.
            retry_wait: Trying the same model again after so many seconds is worth it; None: it is not.
            broken: Set if content had been delivered that nothing could replace.
            refused: The target does not go on with the answer; from the start it may give one.
            told: Makes what the caller is told, where the setbacks are not what it comes to.
        """
        super().__init__("; ".join(str(setback) for setback in setbacks))
        self.setbacks = tuple(setbacks)
        self.final = final
        self.retry_wait = retry_wait
        self.broken = broken
        self.refused = refused
        self.told = told

    def again(self) -> Unanswered:
        """The same, to be raised once more: what is kept must not know the frames that it came through."""
        return Unanswered(
            self.setbacks,
            final=self.final,
            retry_wait=self.retry_wait,
            broken=self.broken,
            refused=self.refused,
            told=self.told,
        )

    @property
    def held(self) -> tuple[Held, ...]:
        """What was not tried because of its health."""
        return tuple(setback for setback in self.setbacks if isinstance(setback, Held))

    @property
    def nothing_sent(self) -> bool:
        """Whether nothing was tried: each target was held or beyond a limit, or the prompt did not fit."""
        return bool(self.setbacks) and all(
            isinstance(setback, Held | LimitReached) or setback.rejected for setback in self.setbacks
        )


class Model(Protocol):
    """Anything that can answer a prompt."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets that it may call."""
        ...

    @property
    def reasons_unseen(self) -> bool:
        """Whether what answers first may think for minutes without sending anything."""
        ...

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to one of its targets now."""
        ...

    def can_continue(self, call: Call) -> bool:
        """Whether one of these can go on with an answer that broke off."""
        ...

    async def complete(self, call: Call, turn: Turn) -> Completion:
        """Give the whole answer.

        Raises:
            Unanswered: There is none.
        """
        ...

    async def stream(self, call: Call, sink: Sink, turn: Turn) -> Completion:
        """Give the answer in deltas to `sink`, with the events of the attempts, and at the end whole.

        Raises:
            Unanswered: There is no whole answer; what was delivered is void.
        """
        ...
