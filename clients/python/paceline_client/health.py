"""Asks a gateway whether it can serve, by the standard health protocol of gRPC."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from paceline_client.connect import Channel
from paceline_client.errors import CallFailed, typed_errors
from paceline_client.stream import ResponseStream

TIME_LIMIT = timedelta(seconds=5)


class ServingStatus(Enum):
    """What a gateway says of one of its services."""

    UNKNOWN = "UNKNOWN"
    SERVING = "SERVING"
    NOT_SERVING = "NOT_SERVING"
    SERVICE_UNKNOWN = "SERVICE_UNKNOWN"


async def check_health(
    channel: Channel, service: str = "", *, time_limit: timedelta = TIME_LIMIT
) -> ServingStatus:
    """Ask once. The service "" is the whole gateway; one that it does not have is SERVICE_UNKNOWN.

    Raises:
        CallFailed: There is no answer.
    """
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )
    try:
        with typed_errors():
            response = await check(HealthCheckRequest(service=service), timeout=time_limit.total_seconds())
    except CallFailed as error:
        if error.code is grpc.StatusCode.NOT_FOUND:
            return ServingStatus.SERVICE_UNKNOWN
        raise
    return _status(response)


def watch_health(channel: Channel, service: str = "") -> ResponseStream[ServingStatus]:
    """The status now, then each change of it, without end."""
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=lambda raw: _status(HealthCheckResponse.FromString(raw)),
    )
    return ResponseStream(watch(HealthCheckRequest(service=service)))


def _status(response: HealthCheckResponse) -> ServingStatus:
    return ServingStatus(HealthCheckResponse.ServingStatus.Name(response.status))
