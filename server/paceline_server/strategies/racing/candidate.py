"""An entrant of a race, and what its ending means for the race."""

from __future__ import annotations

from paceline_server.completion.answer import Completion
from paceline_server.completion.content import Media, Text, ToolCall
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.health.classes import CONSEQUENCES, Advance
from paceline_server.strategies.call import Call
from paceline_server.strategies.model import Model, Unanswered


@immutable(frozen=True, slots=True)
class Candidate:
    """One entrant of a race.

    Attributes:
        spec: The model as it was asked for.
        config: Laid over the prompt's own settings; None leaves those as they are.
        priority: Higher ones start first where not all start at once, and win ties.
        quality: How good its answers are, from 0 to 1, as configured; None if nobody has said.
    """

    model: Model
    spec: str
    config: GenerationConfig | None = None
    priority: int = 0
    quality: float | None = None


def is_empty(completion: Completion) -> bool:
    """Whether an answer says nothing: thoughts and white space are no answer (rule R3)."""
    return not any(
        isinstance(part.kind, ToolCall | Media) or (isinstance(part.kind, Text) and part.kind.text.strip())
        for part in completion.parts
    )


def is_request_fault(unanswered: Unanswered | None, call: Call) -> bool:
    """Whether a candidate ended for a fault of the request itself, which no other will mend (rule R4)."""
    if unanswered is None or call.options.advance_on_permanent:
        return False
    return any(
        isinstance(setback, AttemptFailure)
        and CONSEQUENCES[setback.failure_class].advance is Advance.ONLY_ON_REQUEST
        for setback in unanswered.setbacks
    )
