"""A status becomes a typed error."""

from __future__ import annotations

from datetime import timedelta

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2 as details_pb2

from paceline.v1.completion_pb2 import FAILURE_CLASS_TRANSIENT, Target
from paceline.v1.errors_pb2 import AttemptSummary, CallFailure
from paceline_client.chain import chain, chain_request
from paceline_client.connect import connect
from paceline_client.errors import CallFailed, Violation, call_failed, typed_errors
from tests.clients.python.fake_gateway import FakeGateway, Refusal, serving


async def failure_of(refusal: Refusal) -> CallFailed:
    """What a client makes of `refusal`, over a real connection."""
    with serving(FakeGateway(refusals=[refusal])) as address:
        async with connect(address, retry=False) as channel:
            with pytest.raises(CallFailed) as caught:
                await chain(channel, chain_request("m", "hello"))
    return caught.value


async def test_everything_that_a_status_tells_is_read() -> None:
    """Reason, metadata, call id, attempts, wait and pushback of one status arrive typed."""
    summary = AttemptSummary(target=Target(provider="p", model="m"), failure_class=FAILURE_CLASS_TRANSIENT)
    told = CallFailure(call_id="c1", attempts=[summary])
    info = details_pb2.ErrorInfo(
        domain="paceline", reason="ALL_ATTEMPTS_FAILED", metadata={"attempt_count": "1"}
    )
    retry = details_pb2.RetryInfo()
    retry.retry_delay.FromTimedelta(timedelta(seconds=1.5))
    failure = await failure_of(
        Refusal(
            grpc.StatusCode.UNAVAILABLE,
            "every attempt failed",
            [info, told, retry],
            [("paceline-call-id", "c1"), ("grpc-retry-pushback-ms", "-1")],
        )
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "ALL_ATTEMPTS_FAILED")
    assert str(failure) == "ALL_ATTEMPTS_FAILED: every attempt failed"
    assert failure.metadata == {"attempt_count": "1"}
    assert failure.call_failure == told
    assert (failure.retry_after, failure.pushback) == (timedelta(seconds=1.5), timedelta(milliseconds=-1))
    assert failure.call_id == "c1"
    assert not failure.unreachable


@pytest.mark.parametrize(
    "detail",
    [
        details_pb2.BadRequest(
            field_violations=[details_pb2.BadRequest.FieldViolation(field="model", description="is too long")]
        ),
        details_pb2.PreconditionFailure(
            violations=[details_pb2.PreconditionFailure.Violation(subject="model", description="is too long")]
        ),
        details_pb2.QuotaFailure(
            violations=[details_pb2.QuotaFailure.Violation(subject="model", description="is too long")]
        ),
        details_pb2.ResourceInfo(resource_name="model", description="is too long"),
    ],
)
async def test_violations_come_from_each_detail_that_has_some(
    detail: details_pb2.BadRequest
    | details_pb2.PreconditionFailure
    | details_pb2.QuotaFailure
    | details_pb2.ResourceInfo,
) -> None:
    """Whatever kind of detail names the fault, it is read alike."""
    failure = await failure_of(Refusal(grpc.StatusCode.INVALID_ARGUMENT, details=[detail]))
    assert failure.violations == (Violation("model", "is too long"),)


async def test_the_reason_is_that_of_paceline() -> None:
    """What a proxy says under another domain is not mistaken for a reason of the catalogue."""
    foreign = details_pb2.ErrorInfo(domain="proxy.example", reason="BLOCKED")
    failure = await failure_of(Refusal(grpc.StatusCode.PERMISSION_DENIED, "blocked", [foreign]))
    assert failure.reason == ""
    assert str(failure) == "PERMISSION_DENIED: blocked"


async def test_a_gateway_that_is_not_there_is_unreachable() -> None:
    """Nobody listening is told apart from a gateway that is unavailable."""
    with serving(FakeGateway()) as address:
        pass
    async with connect(address) as channel:
        with pytest.raises(CallFailed) as caught:
            await chain(channel, chain_request("m", "hello"))
    assert caught.value.unreachable


def status_error(trailers: grpc.aio.Metadata) -> grpc.aio.AioRpcError:
    """An error with `trailers`, as from a peer that may be anyone."""
    return grpc.aio.AioRpcError(grpc.StatusCode.UNKNOWN, grpc.aio.Metadata(), trailers, details=None)


@pytest.mark.parametrize(
    "trailers",
    [
        grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff")),
        grpc.aio.Metadata(("grpc-retry-pushback-ms", "soon")),
        grpc.aio.Metadata(),
    ],
)
def test_trailers_that_cannot_be_read_are_left_out(trailers: grpc.aio.Metadata) -> None:
    """A broken detail never hides the status itself."""
    failure = call_failed(status_error(trailers))
    assert (failure.code, failure.reason, failure.pushback) == (grpc.StatusCode.UNKNOWN, "", None)


def test_the_cause_is_kept() -> None:
    """The error of gRPC stays reachable from the typed one."""
    with pytest.raises(CallFailed) as caught, typed_errors():
        raise status_error(grpc.aio.Metadata())
    assert isinstance(caught.value.__cause__, grpc.aio.AioRpcError)
