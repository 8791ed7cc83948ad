"""The errors of a call, and the failure of one attempt.

    PacelineError                 every refusal or failure that a caller is told
    |-- InvalidRequest            fields are wrong (all of them at once)
    |-- InvalidSpec               the model spec cannot be used
    |-- ModelNotFound             a name or provider is not configured
    |-- Refused                   not admitted: draining, overloaded, not built
    `-- CallFailed                admitted, and no answer came of it
        `-- InvalidPrompt         a part of the prompt is damaged
    AttemptFailure                one target failed; never leaves the engines

Messages are for callers: they name the field and the remedy, never a secret or a foreign exception's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.immutable import immutable


class ErrorReason(Enum):
    """The catalogue of reasons, as the contract names them."""

    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_SPEC = "INVALID_SPEC"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    UNSUPPORTED_FEATURE = "UNSUPPORTED_FEATURE"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    PROVIDER_REJECTED_REQUEST = "PROVIDER_REJECTED_REQUEST"
    CREDENTIALS_INVALID = "CREDENTIALS_INVALID"
    NOT_ALLOWED = "NOT_ALLOWED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    OVERLOADED = "OVERLOADED"
    DRAINING = "DRAINING"
    NO_HEALTHY_TARGET = "NO_HEALTHY_TARGET"
    ALL_ATTEMPTS_FAILED = "ALL_ATTEMPTS_FAILED"
    NO_CONSENSUS = "NO_CONSENSUS"
    PROVIDER_MISCONFIGURED = "PROVIDER_MISCONFIGURED"
    STREAM_BROKEN = "STREAM_BROKEN"
    LIMIT_REACHED = "LIMIT_REACHED"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    STATE_UNAVAILABLE = "STATE_UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    NOT_FOUND = "NOT_FOUND"


@immutable(frozen=True, slots=True)
class Violation:
    """One wrong field: its path in the request, and what is wrong with it and how to mend it."""

    field: str
    description: str


class PacelineError(Exception):
    """The root: a reason of the catalogue, a sentence, and what the status details need."""

    def __init__(
        self,
        reason: ErrorReason,
        message: str,
        *,
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Make one; `retry_after` is in seconds."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})


class InvalidRequest(PacelineError):
    """Fields of the request are wrong; all of them are listed."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        """Make one of at least one violation."""
        first, *others = violations
        message = f"{first.field}: {first.description}{_and_more(others)}"
        super().__init__(ErrorReason.INVALID_REQUEST, message)
        self.violations = tuple(violations)


class InvalidSpec(PacelineError):
    """The model spec cannot be parsed, is empty or runs in a circle."""

    def __init__(self, description: str, *, field: str = "model", others: Sequence[Violation] = ()) -> None:
        """Make one for the request field that held the spec, and for `others` in the same request."""
        super().__init__(ErrorReason.INVALID_SPEC, f"{field}: {description}{_and_more(others)}")
        self.violations = (Violation(field, description), *others)


class ModelNotFound(PacelineError):
    """A name or provider is not configured."""

    def __init__(self, name: str, looked_in: str) -> None:
        """Say what was looked for, and where."""
        super().__init__(ErrorReason.MODEL_NOT_FOUND, f"{name!r} is not configured: {looked_in}")
        self.name = name


class Refused(PacelineError):
    """The call was not admitted; nothing was done for it."""


class CallFailed(PacelineError):
    """The call was admitted, and no answer came of it."""


class InvalidPrompt(CallFailed):
    """A part of the prompt was found wrong on its way to a target, and no target would take it."""

    def __init__(self, violation: Violation) -> None:
        """Name the field, what is wrong with it and how to mend it."""
        super().__init__(ErrorReason.INVALID_REQUEST, f"{violation.field}: {violation.description}")
        self.violations = (violation,)


def _and_more(others: Sequence[Violation]) -> str:
    return f" (and {len(others)} more)" if others else ""


_FAULTS_OF_THE_PROMPT = frozenset(
    {FailureClass.UNSUPPORTED, FailureClass.CONTEXT_TOO_LONG, FailureClass.INVALID_REQUEST}
)


@dataclass(slots=True, eq=False)
class AttemptFailure(Exception):
    """One attempt failed.

    Attributes:
        message: One sentence; provider's words only after redaction.
        http_status: 0 where there was none.
        provider_code: The provider's own code or type for the error, if any.
        retry_after: Seconds that the provider asks to wait; None if it asks nothing.
        reached_provider: Whether the request may have been seen, and so billed.
        blameless: No target is at fault, so none is penalised; it or another may be tried, as ever.
        field: Where in the prompt the fault is, as "messages[0].parts[1]", if the gateway itself found it.
        target: Filled in by the engine.
    """

    failure_class: FailureClass
    message: str
    http_status: int = 0
    provider_code: str = ""
    retry_after: float | None = None
    reached_provider: bool = True
    blameless: bool = False
    field: str = ""
    target: Target | None = None

    @property
    def rejected(self) -> bool:
        """Whether nothing was sent because of the prompt: the target cannot take it, or nobody can."""
        return not self.reached_provider and self.failure_class in _FAULTS_OF_THE_PROMPT

    def __str__(self) -> str:
        """The class and the sentence."""
        return f"{self.failure_class.name}: {self.message}"
