"""From what went wrong in a call to the one error that its caller is told (rules C3 to C5)."""

from __future__ import annotations

from collections.abc import Sequence

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import (
    AttemptFailure,
    CallFailed,
    ErrorReason,
    InvalidPrompt,
    Violation,
)
from paceline_server.health.classes import CONSEQUENCES, Advance
from paceline_server.health.registry import Held
from paceline_server.strategies.model import Setback, Unanswered
from paceline_server.strategies.racing.allowance import LimitReached

UNANIMOUS: dict[FailureClass, tuple[ErrorReason, str]] = {
    FailureClass.UNSUPPORTED: (
        ErrorReason.UNSUPPORTED_FEATURE,
        "no target of the model can do what the prompt needs",
    ),
    FailureClass.CONTEXT_TOO_LONG: (
        ErrorReason.CONTEXT_TOO_LONG,
        "the prompt is longer than the context window of every target of the model; shorten it",
    ),
    FailureClass.MODEL_NOT_FOUND: (
        ErrorReason.MODEL_NOT_FOUND,
        "no provider of the model's targets knows the model that was asked for; check its spelling",
    ),
    FailureClass.AUTHENTICATION: (
        ErrorReason.PROVIDER_MISCONFIGURED,
        "every provider refused the gateway's own credentials; ask its operators to check the keys",
    ),
}
"""Where all setbacks are of one class, that class is the answer; any mixture is ALL_ATTEMPTS_FAILED."""

_SAID_OF_THE_PROMPT = frozenset({FailureClass.UNSUPPORTED, FailureClass.CONTEXT_TOO_LONG})


def verdict(unanswered: Unanswered, now: float) -> CallFailed:
    """The caller's error; `now` in seconds since the epoch."""
    if unanswered.told is not None:
        return unanswered.told()
    setbacks = unanswered.setbacks
    failures = [setback for setback in setbacks if isinstance(setback, AttemptFailure)]
    if unanswered.broken is not None:
        return _broken(unanswered, failures)
    if not setbacks:
        return CallFailed(ErrorReason.ALL_ATTEMPTS_FAILED, "no attempt could be made")
    at_fault = bool(failures) and _is_request_fault(failures[-1])
    if at_fault and (unanswered.final or all(map(_is_request_fault, failures))):
        return _rejected(failures[-1])
    reached = _limit_reached(setbacks)
    if reached is not None:
        return CallFailed(ErrorReason.LIMIT_REACHED, reached.message, metadata={"limit": reached.limit})
    if unanswered.nothing_sent and unanswered.held:
        return _nobody_well(unanswered.held, now)
    unanimous = _unanimous_class(setbacks)
    if unanimous in UNANIMOUS:
        reason, message = UNANIMOUS[unanimous]
        return CallFailed(reason, message + _told(failures), metadata=_cause(failures))
    delays = [failure.retry_after for failure in failures if failure.retry_after is not None]
    return CallFailed(
        ErrorReason.ALL_ATTEMPTS_FAILED,
        f"every attempt failed; the first cause: {failures[0]}",
        retry_after=min(delays) if delays else None,
        metadata=_cause(failures),
    )


def deadline_exceeded() -> CallFailed:
    """The caller's deadline, or the configured maximum, passed before the answer was whole."""
    return CallFailed(ErrorReason.DEADLINE_EXCEEDED, "the deadline passed before the answer was whole")


def _broken(unanswered: Unanswered, failures: Sequence[AttemptFailure]) -> CallFailed:
    broken = unanswered.broken
    assert broken is not None  # noqa: S101 - the caller has looked
    return CallFailed(
        ErrorReason.STREAM_BROKEN,
        f"the stream of {broken.target} broke after about {broken.seen_token_count} tokens; "
        "what was delivered is void",
        metadata={
            **_cause(failures),
            "target": str(broken.target),
            "tokens_seen": str(broken.seen_token_count),
        },
    )


def _nobody_well(held: Sequence[Held], now: float) -> CallFailed:
    soonest = min(held, key=lambda one: one.until)
    wait = max(0.0, soonest.until - now)
    return CallFailed(
        ErrorReason.NO_HEALTHY_TARGET,
        f"every target that could be asked is benched; {soonest.target} returns first, in {wait:.1f} s",
        retry_after=wait,
        metadata={"target": str(soonest.target), "held_count": str(len({one.target for one in held}))},
    )


def _rejected(failure: AttemptFailure) -> CallFailed:
    if failure.rejected:
        # What the gateway itself found in the request is not put in the provider's mouth.
        field = f"prompt.{failure.field}" if failure.field else "prompt"
        return InvalidPrompt(Violation(field, failure.message.removeprefix(failure.field).strip()))
    return CallFailed(
        ErrorReason.PROVIDER_REJECTED_REQUEST,
        f"the request itself was refused by {failure.target}: {failure.message}",
        metadata={
            "target": str(failure.target),
            "provider_message": failure.message,
            "provider_code": failure.provider_code,
            "failure_class": failure.failure_class.name,
        },
    )


def _is_request_fault(failure: AttemptFailure) -> bool:
    return CONSEQUENCES[failure.failure_class].advance is Advance.ONLY_ON_REQUEST


def _unanimous_class(setbacks: Sequence[Setback]) -> FailureClass | None:
    """The one class of all setbacks; a target held for the same cause agrees."""
    classes = {_class_of(setback) for setback in setbacks}
    return classes.pop() if len(classes) == 1 else None


def _class_of(setback: Setback) -> FailureClass | None:
    if isinstance(setback, LimitReached):
        return None
    return setback.failure_class if isinstance(setback, AttemptFailure) else setback.cause


def _limit_reached(setbacks: Sequence[Setback]) -> LimitReached | None:
    """The limit that is to blame: one that is used up, or one that let no target at all be tried."""
    reached = [setback for setback in setbacks if isinstance(setback, LimitReached)]
    used_up = next((one for one in reached if not one.of_target), None)
    return reached[0] if reached and len(reached) == len(setbacks) and not used_up else used_up


def _told(failures: Sequence[AttemptFailure]) -> str:
    """What the first failure says of the prompt, since that names what its sender can change."""
    if not failures or failures[0].failure_class not in _SAID_OF_THE_PROMPT or not failures[0].message:
        return ""
    return f"; the first cause: {failures[0].message}"


def _cause(failures: Sequence[AttemptFailure]) -> dict[str, str]:
    if not failures:
        return {}
    first = failures[0]
    return {
        "attempt_count": str(len(failures)),
        "first_cause": first.failure_class.name,
        "first_cause_message": first.message,
        "first_cause_target": str(first.target),
    }
