"""Calls of TargetService: the health of targets, benches by hand, the names of models.

Follows page tokens, so that lists come whole. Raises the typed errors of `errors`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration

from paceline.v1.completion_pb2 import Target
from paceline.v1.targets_pb2 import (
    BenchTargetRequest,
    ListModelsRequest,
    ListModelsResponse,
    ListTargetsRequest,
    ListTargetsResponse,
    TargetStatus,
    UnbenchTargetRequest,
    UnbenchTargetResponse,
    WatchTargetsRequest,
    WatchTargetsResponse,
)
from paceline.v1.targets_pb2_grpc import TargetServiceStub
from paceline_client.connect import Channel
from paceline_client.errors import typed_errors
from paceline_client.stream import ResponseStream

P = TypeVar("P", ListModelsResponse, ListTargetsResponse)

TIMEOUT_SECONDS = 20.0
"""For each call that only reads or changes state; no model is asked, so longer means that it hangs."""


async def list_targets(channel: Channel, *, provider: str = "") -> ListTargetsResponse:
    """All targets, or those of one provider, on one page, with their health.

    Raises:
        CallFailed: They cannot be listed.
    """
    stub = TargetServiceStub(channel)
    return await _all_pages(
        ListTargetsResponse(),
        lambda token: stub.ListTargets(
            ListTargetsRequest(provider=provider, page_token=token), timeout=TIMEOUT_SECONDS
        ),
    )


def watch_targets(channel: Channel, *, provider: str = "") -> ResponseStream[WatchTargetsResponse]:
    """A snapshot of the targets, then every change, without end."""
    return ResponseStream(TargetServiceStub(channel).WatchTargets(WatchTargetsRequest(provider=provider)))


async def bench_target(
    channel: Channel, target: Target, *, duration: timedelta | None = None, reason: str = ""
) -> TargetStatus:
    """Take a target out of use, or with an empty model its whole provider; None is the longest bench.

    Raises:
        CallFailed: It was not benched.
    """
    request = BenchTargetRequest(target=target, duration=_duration(duration), reason=reason)
    with typed_errors():
        response = await TargetServiceStub(channel).BenchTarget(request, timeout=TIMEOUT_SECONDS)
    return response.status


async def unbench_target(channel: Channel, target: Target) -> UnbenchTargetResponse:
    """End the benches of a target, or with an empty model those of the provider itself.

    Raises:
        CallFailed: They were not ended.
    """
    with typed_errors():
        return await TargetServiceStub(channel).UnbenchTarget(
            UnbenchTargetRequest(target=target), timeout=TIMEOUT_SECONDS
        )


async def list_models(channel: Channel) -> ListModelsResponse:
    """All names that the caller may use, on one page, with the default model.

    Raises:
        CallFailed: They cannot be listed.
    """
    stub = TargetServiceStub(channel)
    return await _all_pages(
        ListModelsResponse(),
        lambda token: stub.ListModels(ListModelsRequest(page_token=token), timeout=TIMEOUT_SECONDS),
    )


async def _all_pages(whole: P, ask: Callable[[str], Awaitable[P]]) -> P:
    """Every page in `whole`; `ask` gives the page of a token."""
    with typed_errors():
        while True:
            page = await ask(whole.next_page_token)
            # Merging would keep the token of the page before where the last one has none.
            whole.ClearField("next_page_token")
            whole.MergeFrom(page)
            if not page.next_page_token:
                return whole


def _duration(duration: timedelta | None) -> Duration | None:
    if duration is None:
        return None
    message = Duration()
    message.FromTimedelta(duration)
    return message
