"""The one table from errors to gRPC statuses, with details, call id and pushback built together.

Together, because an abort discards trailers that were set before it. All details stay small:
trailers above 8 KiB are rejected at random on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from paceline.v1 import completion_pb2, errors_pb2
from paceline_server.completion.attempt import Attempt, AttemptOutcome
from paceline_server.completion.errors import (
    ErrorReason,
    InvalidPrompt,
    InvalidRequest,
    InvalidSpec,
    ModelNotFound,
    PacelineError,
    Violation,
)
from paceline_server.rpc import enums
from paceline_server.rpc.encoding import duration, encodable, encode_target, encode_usage
from paceline_server.strategies.call import Call

DOMAIN = "paceline"
CALL_ID = "paceline-call-id"
PUSHBACK = "grpc-retry-pushback-ms"
DETAILS = "grpc-status-details-bin"
MAXIMUM_DETAILS_BYTES = 4608
"""They travel as Base64, which makes 6 KiB of it; the sentence with its escapes comes on top."""

MAXIMUM_SENTENCE_BYTES = 512
MAXIMUM_SUMMARY_BYTES = 256
LONGEST_PUSHBACK = 86_400.0
"""Seconds; clients read the pushback as a 32-bit number of milliseconds."""
DO_NOT_RETRY = -1
"""Pushback by which clients leave retrying to the gateway, which has done it already."""

CODE: dict[ErrorReason, grpc.StatusCode] = {
    ErrorReason.INVALID_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorReason.INVALID_SPEC: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorReason.MODEL_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.UNSUPPORTED_FEATURE: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.CONTEXT_TOO_LONG: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorReason.PROVIDER_REJECTED_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorReason.CREDENTIALS_INVALID: grpc.StatusCode.UNAUTHENTICATED,
    ErrorReason.NOT_ALLOWED: grpc.StatusCode.PERMISSION_DENIED,
    ErrorReason.QUOTA_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.OVERLOADED: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.DRAINING: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.NO_HEALTHY_TARGET: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.ALL_ATTEMPTS_FAILED: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.NO_CONSENSUS: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.PROVIDER_MISCONFIGURED: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.STREAM_BROKEN: grpc.StatusCode.ABORTED,
    ErrorReason.LIMIT_REACHED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.IDEMPOTENCY_MISMATCH: grpc.StatusCode.ALREADY_EXISTS,
    ErrorReason.STATE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    ErrorReason.CANCELLED: grpc.StatusCode.CANCELLED,
    ErrorReason.INTERNAL: grpc.StatusCode.INTERNAL,
    ErrorReason.UNIMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    ErrorReason.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
}

PUSHED_BACK = frozenset({ErrorReason.OVERLOADED, ErrorReason.DRAINING, ErrorReason.NO_HEALTHY_TARGET})
"""Refusals that a client may repeat later: the pushback says when."""


class _Status(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


class RichStatus(_Status, grpc.Status):
    """What `abort_with_status` takes."""


def to_status(error: PacelineError, call_id: str, call: Call | None = None) -> RichStatus:
    """The status of an error; `call` is set if the call was admitted, and then its bill is told."""
    code = CODE[error.reason]
    sentence = cut(error.message, MAXIMUM_SENTENCE_BYTES)
    status = status_pb2.Status(code=code.value[0], message=sentence)
    for detail in _details(error, call_id):
        _append_if_it_fits(status, detail)
    if call is not None:
        _append_call_failure(status, call)
    trailers: list[tuple[str, str | bytes]] = [(CALL_ID, call_id), (DETAILS, status.SerializeToString())]
    pushback = _pushback(error)
    if pushback is not None:
        trailers.append((PUSHBACK, str(pushback)))
    return RichStatus(code, sentence, tuple(trailers))


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8, cut between characters."""
    text = encodable(text)
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[: limit - 3].decode("utf-8", "ignore") + "..."


def _details(error: PacelineError, call_id: str) -> Iterable[Message]:
    yield error_details_pb2.ErrorInfo(
        reason=error.reason.value, domain=DOMAIN, metadata=_metadata(error.metadata)
    )
    if isinstance(error, InvalidRequest | InvalidSpec | InvalidPrompt):
        yield _bad_request(error.violations)
    if error.reason in (ErrorReason.MODEL_NOT_FOUND, ErrorReason.NOT_FOUND):
        name = (
            error.name if isinstance(error, ModelNotFound) else error.metadata.get("first_cause_target", "")
        )
        yield error_details_pb2.ResourceInfo(
            resource_type="paceline.v1.Model",
            resource_name=cut(name, MAXIMUM_SUMMARY_BYTES),
            description=cut(error.message, MAXIMUM_SENTENCE_BYTES),
        )
    if error.reason is ErrorReason.UNSUPPORTED_FEATURE:
        violation = error_details_pb2.PreconditionFailure.Violation(
            type="UNSUPPORTED_FEATURE",
            subject=cut(error.metadata.get("first_cause_target", ""), MAXIMUM_SUMMARY_BYTES),
            description=cut(error.metadata.get("first_cause_message", error.message), MAXIMUM_SENTENCE_BYTES),
        )
        yield error_details_pb2.PreconditionFailure(violations=[violation])
    if error.retry_after is not None:
        yield error_details_pb2.RetryInfo(retry_delay=duration(error.retry_after))
    if error.reason is ErrorReason.INTERNAL:
        yield error_details_pb2.RequestInfo(request_id=call_id)


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: cut(value, MAXIMUM_SUMMARY_BYTES) for key, value in metadata.items()}


def _bad_request(violations: Iterable[Violation]) -> error_details_pb2.BadRequest:
    """As many violations as leave room for the rest."""
    wire = error_details_pb2.BadRequest()
    for violation in violations:
        wire.field_violations.add(
            field=cut(violation.field, MAXIMUM_SUMMARY_BYTES),
            description=cut(violation.description, MAXIMUM_SENTENCE_BYTES),
        )
        if wire.ByteSize() > MAXIMUM_DETAILS_BYTES - 2048:
            del wire.field_violations[-1]
            break
    return wire


def _append_call_failure(status: status_pb2.Status, call: Call) -> None:
    """Add what the call cost, with as many attempts as fit, cut from the end."""
    attempts = call.record.attempts
    failure = errors_pb2.CallFailure(
        call_id=call.call_id, total_usage=encode_usage(call.record.total_usage())
    )
    for index, attempt in enumerate(attempts):
        failure.attempts.append(_summary(attempt))
        failure.omitted_attempt_count = len(attempts) - index - 1
        if _size_with(status, _packed(failure)) > MAXIMUM_DETAILS_BYTES:
            del failure.attempts[-1]
            failure.omitted_attempt_count = len(attempts) - index
            break
    _append_if_it_fits(status, failure)


def _summary(attempt: Attempt) -> errors_pb2.AttemptSummary:
    outcome = attempt.outcome or AttemptOutcome.CANCELLED
    failure_class = attempt.failure_class
    return errors_pb2.AttemptSummary(
        target=encode_target(attempt.target),
        outcome=enums.ATTEMPT_OUTCOME[outcome],
        failure_class=(
            completion_pb2.FAILURE_CLASS_UNSPECIFIED
            if failure_class is None
            else enums.FAILURE_CLASS[failure_class]
        ),
        message=cut(attempt.message, MAXIMUM_SUMMARY_BYTES),
    )


def _append_if_it_fits(status: status_pb2.Status, detail: Message) -> None:
    packed = _packed(detail)
    if _size_with(status, packed) <= MAXIMUM_DETAILS_BYTES:
        status.details.append(packed)


def _size_with(status: status_pb2.Status, packed: any_pb2.Any) -> int:
    return status.ByteSize() + status_pb2.Status(details=[packed]).ByteSize()


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _pushback(error: PacelineError) -> int | None:
    if error.reason is ErrorReason.ALL_ATTEMPTS_FAILED:
        return DO_NOT_RETRY
    if error.reason in PUSHED_BACK and error.retry_after is not None:
        # Never 0: clients of gRPC 1.85 hang on it until their deadline.
        return max(1, round(min(error.retry_after, LONGEST_PUSHBACK) * 1000))
    return None
