"""Targets and names are listed whole, watched and benched."""

from __future__ import annotations

from datetime import timedelta

from paceline.v1.completion_pb2 import Target
from paceline.v1.targets_pb2 import (
    ListModelsResponse,
    ListTargetsResponse,
    ModelEntry,
    TargetChange,
    TargetSnapshot,
    TargetStatus,
    WatchTargetsResponse,
)
from paceline_client.connect import connect
from paceline_client.targets import bench_target, list_models, list_targets, unbench_target, watch_targets
from tests.clients.python.fake_gateway import FakeGateway, Silence, serving

TARGET = Target(provider="p", model="m")


async def test_all_pages_of_targets_are_read() -> None:
    """A list is whole, however many pages it has."""
    statuses = [TargetStatus(target=Target(provider="p", model=model)) for model in "abc"]
    pages = {
        "": ListTargetsResponse(targets=statuses[:2], next_page_token="next"),
        "next": ListTargetsResponse(targets=statuses[2:]),
    }
    gateway = FakeGateway(pages=pages)
    with serving(gateway) as address:
        async with connect(address) as channel:
            targets = await list_targets(channel, provider="p")
    assert targets == ListTargetsResponse(targets=statuses)
    assert [request.provider for request in gateway.requests] == ["p", "p"]


async def test_all_pages_of_models_are_read() -> None:
    """The names of all pages come in one list, with the default model and no token."""
    pages = {
        "": ListModelsResponse(models=[ModelEntry(name="a")], default_model="a", next_page_token="next"),
        "next": ListModelsResponse(models=[ModelEntry(name="b")], default_model="a"),
    }
    with serving(FakeGateway(pages=pages)) as address:
        async with connect(address) as channel:
            models = await list_models(channel)
    assert [entry.name for entry in models.models] == ["a", "b"]
    assert (models.default_model, models.next_page_token) == ("a", "")


async def test_a_bench_says_for_how_long_and_why() -> None:
    """Duration and reason reach the gateway; without a duration it takes its longest."""
    gateway = FakeGateway()
    with serving(gateway) as address:
        async with connect(address) as channel:
            status = await bench_target(channel, TARGET, duration=timedelta(minutes=10), reason="maintenance")
            await bench_target(channel, TARGET)
    assert status.target == TARGET
    said, unsaid = gateway.requests
    assert (said.duration.seconds, said.reason) == (600, "maintenance")
    assert not unsaid.HasField("duration")


async def test_a_bench_is_ended_by_hand() -> None:
    """The answer says whether there was one."""
    with serving(FakeGateway()) as address:
        async with connect(address) as channel:
            assert (await unbench_target(channel, TARGET)).was_benched


async def test_a_watch_gives_the_snapshot_and_the_changes() -> None:
    """Every event of a watch arrives while the stream is open."""
    changes = [
        WatchTargetsResponse(snapshot=TargetSnapshot(targets=[TargetStatus(target=TARGET)])),
        WatchTargetsResponse(change=TargetChange(status=TargetStatus(target=TARGET, round_count=1))),
    ]
    with serving(FakeGateway(changes=[*changes, Silence()])) as address:
        async with connect(address) as channel, watch_targets(channel) as events:
            assert [await anext(events), await anext(events)] == changes
