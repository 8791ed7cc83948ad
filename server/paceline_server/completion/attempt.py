"""One call to one target, as it is told to callers, logs and the ledger."""

from __future__ import annotations

from paceline_server.completion.answer import Target
from paceline_server.completion.deltas import Delta
from paceline_server.completion.immutable import Word, immutable
from paceline_server.completion.usage import Usage


class AttemptOutcome(Word):
    """How an attempt ended. SKIPPED and REJECTED attempts never reached the provider."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class FailureClass(Word):
    """What kind of failure it was: decides who is penalised and what is tried next."""

    TRANSIENT = "transient"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    AUTHENTICATION = "authentication"
    QUOTA = "quota"
    MODEL_NOT_FOUND = "model_not_found"
    UNSUPPORTED = "unsupported"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_FILTERED = "content_filtered"
    INVALID_REQUEST = "invalid_request"
    MALFORMED_RESPONSE = "malformed_response"


@immutable(frozen=True, slots=True)
class Attempt:
    """One attempt; while it runs, `outcome` is None.

    Attributes:
        index: Unique in the call, in the order of starting.
        path: Where in the model tree, as "chain[0]" or "race[1]/chain[0]".
        try_number: 1 for the first try on this target in this call.
        message: One sentence on a failure, without secrets.
        start_offset: Seconds from the call's start to the attempt's.
        first_content_latency: Seconds from the attempt's start to its first content; None if none came.
        latency: Seconds from the attempt's start to its end.
        usage: None where nothing can have been used.
        benched_until: Seconds since the epoch: until when the target is not tried, if it is benched.
    """

    index: int
    target: Target
    path: str
    try_number: int
    start_offset: float
    outcome: AttemptOutcome | None = None
    failure_class: FailureClass | None = None
    message: str = ""
    first_content_latency: float | None = None
    latency: float = 0.0
    usage: Usage | None = None
    benched_until: float | None = None
    billed_after_cancel: bool = False

    @property
    def benched(self) -> bool:
        """Whether this attempt found its target benched or benched it."""
        return self.benched_until is not None

    def as_started(self) -> Attempt:
        """The attempt as it was when it started."""
        return Attempt(self.index, self.target, self.path, self.try_number, self.start_offset)


@immutable(frozen=True, slots=True)
class AttemptStarted:
    """An attempt was sent to its target.

    Attributes:
        continues: It goes on with what was delivered before; else that is void.
    """

    attempt: Attempt
    continues: bool = False


@immutable(frozen=True, slots=True)
class AttemptEnded:
    """An attempt ended, or was skipped."""

    attempt: Attempt


@immutable(frozen=True, slots=True)
class OutputDiscarded:
    """All deltas so far are void; what follows starts at part 0."""

    attempt_index: int


CallEvent = Delta | AttemptStarted | AttemptEnded | OutputDiscarded
