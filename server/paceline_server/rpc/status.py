"""The one table from errors to gRPC statuses, with details, call id and pushback built together.

Together, because an abort discards trailers that were set before it. All details stay small:
trailers above 8 KiB are rejected at random on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from paceline_server.completion.errors import (
    ErrorReason,
    InvalidPrompt,
    InvalidRequest,
    InvalidSpec,
    ModelNotFound,
    PacelineError,
    Violation,
)
from paceline_server.rpc.call_failure import encode_call_failure
from paceline_server.rpc.encoding import cut, duration
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
        _append_if_it_fits(status, encode_call_failure(call, error.reason, partial(_fits, status)))
    trailers: list[tuple[str, str | bytes]] = [(CALL_ID, call_id), (DETAILS, status.SerializeToString())]
    pushback = _pushback(error)
    if pushback is not None:
        trailers.append((PUSHBACK, str(pushback)))
    return RichStatus(code, sentence, tuple(trailers))


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


def _append_if_it_fits(status: status_pb2.Status, detail: Message) -> None:
    if _fits(status, detail):
        status.details.append(_packed(detail))


def _fits(status: status_pb2.Status, detail: Message) -> bool:
    size = status.ByteSize() + status_pb2.Status(details=[_packed(detail)]).ByteSize()
    return size <= MAXIMUM_DETAILS_BYTES


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
