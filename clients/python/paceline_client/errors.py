"""What goes wrong with a call, as typed errors.

    PacelineError
    ├── CallFailed           a call ended with a status other than OK
    └── UnfinishedStream     a stream ended with OK, but without its answer

Reads the details that the gateway puts into a status; decides nothing about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from paceline.v1 import errors_pb2

DOMAIN = "paceline"
CALL_ID_KEY = "paceline-call-id"

T = TypeVar("T", bound=Message)

_DETAILS_KEY = "grpc-status-details-bin"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"


class PacelineError(Exception):
    """The root of all errors of this package."""


class UnfinishedStream(PacelineError):
    """A stream ended with OK and without `finished`: its answer may be cut and must not be used."""

    def __init__(self) -> None:
        super().__init__("the stream ended without its `finished` event")


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a request.

    Attributes:
        subject: The field, as a path; or the feature or quota that the violation is about.
    """

    subject: str
    description: str


@dataclass(eq=False)
class CallFailed(PacelineError):
    """A call ended with a status other than OK.

    Attributes:
        code: The gRPC code.
        message: The sentence of the status; for people, and free to change.
        reason: A value of `ErrorReason` without its prefix. Empty: the transport decided, not Paceline.
        metadata: What the reason comes with, such as the number of attempts.
        violations: What is wrong with the request.
        retry_after: When another try is worth it.
        pushback: The word to gRPC's own retries; negative means that they must not try again.
        call_failure: What was tried and what it cost, if the call had been admitted.
        call_id: The call, by which the audit and the logs know it. Empty: it did not reach a gateway.
        begun: A stream had given something before it failed.
    """

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after: timedelta | None = None
    pushback: timedelta | None = None
    call_failure: errors_pb2.CallFailure | None = None
    call_id: str = ""
    begun: bool = False

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"

    @property
    def unreachable(self) -> bool:
        """Whether no gateway was there to answer."""
        told = self.reason or self.call_id or self.begun
        return self.code is grpc.StatusCode.UNAVAILABLE and not told


def call_failed(error: grpc.aio.AioRpcError, *, begun: bool = False) -> CallFailed:
    """The typed form of `error`. Details that cannot be read are left out."""
    trailers = dict(error.trailing_metadata() or ())
    details = _details(trailers.get(_DETAILS_KEY))
    info = _info(details)
    retry = _first(details, error_details_pb2.RetryInfo)
    return CallFailed(
        code=error.code(),
        message=error.details() or "",
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(_violations(details)),
        retry_after=None if retry is None else retry.retry_delay.ToTimedelta(),
        pushback=_pushback(trailers.get(_PUSHBACK_KEY)),
        call_failure=_first(details, errors_pb2.CallFailure),
        call_id=_text(trailers.get(CALL_ID_KEY)),
        begun=begun,
    )


@contextmanager
def typed_errors() -> Iterator[None]:
    """Raise `CallFailed` for each `AioRpcError` of the body. A cancellation stays what it is."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise call_failed(error) from error


def _details(raw: str | bytes | None) -> list[Message]:
    """The details that this client knows, in order."""
    if not isinstance(raw, bytes):
        return []
    found: list[Message] = []
    # What was read before a broken one still helps.
    with suppress(DecodeError):
        for packed in status_pb2.Status.FromString(raw).details:
            for kind in _KINDS:
                detail = kind()
                if packed.Unpack(detail):
                    found.append(detail)
    return found


_KINDS: tuple[type[Message], ...] = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.RetryInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.QuotaFailure,
    error_details_pb2.ResourceInfo,
    errors_pb2.CallFailure,
)


def _first(details: list[Message], kind: type[T]) -> T | None:
    return next((detail for detail in details if isinstance(detail, kind)), None)


def _info(details: list[Message]) -> error_details_pb2.ErrorInfo:
    """Paceline's own; a proxy on the way may have added that of another domain."""
    infos = (detail for detail in details if isinstance(detail, error_details_pb2.ErrorInfo))
    return next((info for info in infos if info.domain == DOMAIN), error_details_pb2.ErrorInfo())


def _violations(details: list[Message]) -> Iterator[Violation]:
    for detail in details:
        match detail:
            case error_details_pb2.BadRequest():
                for field_violation in detail.field_violations:
                    yield Violation(field_violation.field, field_violation.description)
            case error_details_pb2.PreconditionFailure() | error_details_pb2.QuotaFailure():
                for violation in detail.violations:
                    yield Violation(violation.subject, violation.description)
            case error_details_pb2.ResourceInfo():
                yield Violation(detail.resource_name, detail.description)
            case _:
                pass


def _pushback(raw: str | bytes | None) -> timedelta | None:
    try:
        return timedelta(milliseconds=int(_text(raw)))
    except ValueError:
        return None


def _text(raw: str | bytes | None) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw or ""
