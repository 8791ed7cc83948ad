"""The errors of a call: one tree, one reason each, and a sentence that names the field and the remedy."""

from __future__ import annotations

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import Attempt, AttemptOutcome, FailureClass
from paceline_server.completion.errors import (
    AttemptFailure,
    CallFailed,
    ErrorReason,
    InvalidRequest,
    InvalidSpec,
    ModelNotFound,
    PacelineError,
    Refused,
    Violation,
)


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (InvalidRequest([Violation("a", "is wrong")]), ErrorReason.INVALID_REQUEST, "a: is wrong"),
        (InvalidSpec("is empty"), ErrorReason.INVALID_SPEC, "model: is empty"),
        (
            ModelNotFound("x", "there is no x"),
            ErrorReason.MODEL_NOT_FOUND,
            "'x' is not configured: there is no x",
        ),
        (Refused(ErrorReason.DRAINING, "leaving"), ErrorReason.DRAINING, "leaving"),
        (CallFailed(ErrorReason.LIMIT_REACHED, "spent"), ErrorReason.LIMIT_REACHED, "spent"),
    ],
)
def test_every_error_has_a_reason_and_a_sentence(
    error: PacelineError, reason: ErrorReason, message: str
) -> None:
    """C4: whoever catches the root knows the reason of the catalogue and what to tell the caller."""
    assert isinstance(error, PacelineError)
    assert error.reason is reason
    assert error.message == str(error) == message
    assert error.retry_after is None
    assert error.metadata == {}


def test_all_violations_are_kept_and_the_first_is_told() -> None:
    """S5, contract: a request is judged whole, with every wrong field listed."""
    error = InvalidRequest([Violation("a", "one"), Violation("b", "two"), Violation("c", "three")])

    assert [violation.field for violation in error.violations] == ["a", "b", "c"]
    assert error.message == "a: one (and 2 more)"


def test_a_spec_error_names_the_field_that_held_the_spec() -> None:
    """R1, contract: a spec can stand in other fields than `model`."""
    error = InvalidSpec("has a cycle", field="candidates[1].model")

    assert error.violations == (Violation("candidates[1].model", "has a cycle"),)


def test_an_attempts_failure_is_no_error_for_callers() -> None:
    """C4: it never leaves the engines; what a caller is told is a PacelineError."""
    failure = AttemptFailure(FailureClass.OVERLOADED, "busy")

    assert not isinstance(failure, PacelineError)
    assert str(failure) == "OVERLOADED: busy"
    assert failure.target is None
    assert failure.reached_provider


def test_failures_are_told_apart_by_identity() -> None:
    """C4: two attempts that failed alike are two reasons."""
    assert AttemptFailure(FailureClass.QUOTA, "x") != AttemptFailure(FailureClass.QUOTA, "x")


def test_metadata_is_the_errors_own() -> None:
    """C4: what is given as metadata can change afterwards without changing the error."""
    metadata = {"target": "a/x"}
    error = CallFailed(ErrorReason.STREAM_BROKEN, "broken", retry_after=1.5, metadata=metadata)
    metadata.clear()

    assert error.metadata == {"target": "a/x"}
    assert error.retry_after == 1.5


def test_a_target_reads_as_a_spec_writes_it() -> None:
    """P5: keyed by provider and model, ordered, usable as a key."""
    targets = [Target("b", "x/y"), Target("a", "z")]

    assert [str(target) for target in sorted(targets)] == ["a/z", "b/x/y"]


def test_an_attempt_is_benched_if_it_says_until_when() -> None:
    """C1: the mark and the time are one fact."""
    attempt = Attempt(0, Target("a", "x"), "", 1, 0.0, AttemptOutcome.SKIPPED)

    assert not attempt.benched
    assert Attempt(0, Target("a", "x"), "", 1, 0.0, benched_until=5.0).benched
