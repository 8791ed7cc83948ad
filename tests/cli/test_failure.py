"""Failures say what happened and what to do."""

from __future__ import annotations

import json
from datetime import timedelta

import grpc
import pytest

from paceline.v1.completion_pb2 import ATTEMPT_OUTCOME_FAILED, FAILURE_CLASS_TRANSIENT
from paceline.v1.errors_pb2 import AttemptSummary, CallFailure, ErrorReason
from paceline_client.errors import CallFailed, UnfinishedStream, Violation
from paceline_server.cli.failure import REMEDIES, show_failure, show_failure_as_json
from tests.cli.messages import SICK, USAGE

Captured = pytest.CaptureFixture[str]

ATTEMPT = AttemptSummary(
    target=SICK, outcome=ATTEMPT_OUTCOME_FAILED, failure_class=FAILURE_CLASS_TRANSIENT, message="broke"
)
EXHAUSTED = CallFailed(
    grpc.StatusCode.UNAVAILABLE,
    "every attempt failed",
    "ALL_ATTEMPTS_FAILED",
    retry_after=timedelta(seconds=2),
    call_failure=CallFailure(attempts=[ATTEMPT], omitted_attempt_count=1, total_usage=USAGE),
    call_id="c1",
)


def test_a_failure_tells_all_that_helps(capsys: Captured) -> None:
    """Reason, attempts, cost, call, remedy and the time to wait, a line each, on standard error."""
    show_failure(EXHAUSTED, "here:1", tls=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "error: ALL_ATTEMPTS_FAILED: every attempt failed",
        "  tried p/sick: FAILED TRANSIENT broke",
        "  and 1 more",
        "  cost so far: 3 input + 4 output tokens, $0.00005",
        "  call c1",
        "  see how the targets are with: paceline targets",
        "  try again in 2.0 s",
    ]


def test_attempts_are_not_told_twice(capsys: Captured) -> None:
    """Where the events have told the attempts, the failure does not."""
    show_failure(EXHAUSTED, "here:1", tls=False, with_attempts=False)
    assert "tried" not in capsys.readouterr().err


def test_every_violation_is_listed_once(capsys: Captured) -> None:
    """All that is wrong with a request is told at once, and nothing twice."""
    violations = (Violation("a", "is too long"), Violation("b", "is empty"))
    failed = CallFailed(
        grpc.StatusCode.INVALID_ARGUMENT, "a is too long", "INVALID_REQUEST", violations=violations
    )
    show_failure(failed, "here:1", tls=False)
    assert capsys.readouterr().err.splitlines() == [
        "error: INVALID_REQUEST: a is too long",
        "  b: is empty",
    ]


@pytest.mark.parametrize(("tls", "advice"), [(False, "then add --tls"), (True, "leave out --tls")])
def test_an_unreachable_gateway_comes_with_advice(capsys: Captured, *, tls: bool, advice: str) -> None:
    """Nobody listening is the most common failure of all, so it says how to start a server."""
    failed = CallFailed(grpc.StatusCode.UNAVAILABLE, "connecting: here:1: Connection refused")
    show_failure(failed, "here:1", tls=tls)
    err = capsys.readouterr().err
    assert err.startswith("error: no gateway answers at here:1: Connection refused\n")
    assert "start one with: paceline serve" in err
    assert advice in err


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            "resolving x: [field:lookup error:lookup failed for x: Domain name not found]",
            "Domain name not found",
        ),
        ("resolving [: [field:lookup error: Unparsable name: []", "[]"),
    ],
)
def test_a_cause_keeps_no_bracket_that_opened_before_it(capsys: Captured, message: str, cause: str) -> None:
    """Of gRPC's whole way to the cause only its end is told."""
    show_failure(CallFailed(grpc.StatusCode.UNAVAILABLE, message), "x", tls=False)
    assert capsys.readouterr().err.startswith(f"error: no gateway answers at x: {cause}\n")


def test_a_cut_stream_is_told(capsys: Captured) -> None:
    """An answer without its end is an error of its own."""
    show_failure(UnfinishedStream(), "here:1", tls=False)
    assert "without its `finished` event" in capsys.readouterr().err


def test_json_is_one_object_of_what_is_known(capsys: Captured) -> None:
    """Programs get code and reason as words, and no empty fields."""
    show_failure_as_json(EXHAUSTED)
    show_failure_as_json(UnfinishedStream())
    first, second = (json.loads(line)["error"] for line in capsys.readouterr().err.splitlines())
    assert first == {
        "code": "UNAVAILABLE",
        "reason": "ALL_ATTEMPTS_FAILED",
        "message": "every attempt failed",
        "callId": "c1",
        "retryAfterSeconds": 2.0,
    }
    assert list(second) == ["message"]


def test_remedies_are_for_reasons_that_exist() -> None:
    """A reason that is renamed in the contract cannot leave its remedy behind."""
    assert {f"ERROR_REASON_{reason}" for reason in REMEDIES} <= set(ErrorReason.keys())
