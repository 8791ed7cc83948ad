"""`paceline targets` shows health, once or as it changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from paceline.v1.completion_pb2 import FAILURE_CLASS_QUOTA, FAILURE_CLASS_TRANSIENT
from paceline.v1.targets_pb2 import (
    TARGET_STATE_ACTIVE,
    TARGET_STATE_BENCHED,
    TARGET_STATE_PROBING,
    ListTargetsResponse,
    ProviderHold,
    TargetChange,
    TargetPrice,
    TargetSnapshot,
    TargetStatus,
    WatchTargetsResponse,
)
from paceline_server.cli.targets import change_line, print_targets
from tests.cli.conftest import Paceline
from tests.cli.messages import SICK, WELL
from tests.clients.python.fake_gateway import FakeGateway, Refusal, serving

NOW = datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)


def benched(**rest: object) -> TargetStatus:
    """The sick target on its second bench, which ends 5 s from `NOW`."""
    status = TargetStatus(
        target=SICK, state=TARGET_STATE_BENCHED, cause=FAILURE_CLASS_TRANSIENT, round_count=2, reason="broke"
    )
    status.until_time.FromDatetime(NOW + timedelta(seconds=5))
    return status


def rows(capsys: pytest.CaptureFixture[str], *statuses: TargetStatus) -> list[list[str]]:
    """The words of the table of `statuses`."""
    print_targets(statuses, NOW)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_row_has_all_that_an_operator_asks(capsys: pytest.CaptureFixture[str]) -> None:
    """State, cause, time of return, rounds and price stand beside the target."""
    price = TargetPrice(input_nano_usd=5 * 10**8, output_nano_usd=15 * 10**8)
    well = TargetStatus(target=WELL, state=TARGET_STATE_ACTIVE, price=price)
    assert rows(capsys, benched(), well) == [
        ["TARGET", "STATE", "CAUSE", "UNTIL", "ROUNDS", "PRICE", "REASON"],
        ["p/sick", "BENCHED", "TRANSIENT", "in", "5.0", "s", "2", "broke"],
        ["p/well", "ACTIVE", "$0.50", "/", "$1.50"],
    ]


def test_the_hold_of_a_provider_is_that_of_its_targets(capsys: pytest.CaptureFixture[str]) -> None:
    """A target whose provider is benched is not shown as active."""
    hold = ProviderHold(name="p", state=TARGET_STATE_BENCHED, cause=FAILURE_CLASS_QUOTA)
    status = TargetStatus(target=WELL, state=TARGET_STATE_ACTIVE, provider_hold=hold)
    assert rows(capsys, status)[1] == ["p/well", "BENCHED", "(provider)", "QUOTA"]
    status.provider_hold.benched_by_operator = True
    assert rows(capsys, status)[1][-1] == "operator"


def test_a_pipe_gets_long_names_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no terminal sets a width, nothing is folded or cut."""
    status = benched()
    status.target.model = "m" * 300
    assert rows(capsys, status)[1][0] == "p/" + "m" * 300


def test_a_change_is_one_line() -> None:
    """Time, target, both states, cause and return, so that it can be searched."""
    change = TargetChange(status=benched(), previous_state=TARGET_STATE_PROBING)
    change.change_time.FromDatetime(NOW)
    assert change_line(change) == "12:00:01 p/sick: PROBING -> BENCHED TRANSIENT in 5.0 s (broke)"


def test_targets_are_listed(paceline: Paceline) -> None:
    """The table of one provider, or all as protobuf's JSON."""
    gateway = FakeGateway(pages={"": ListTargetsResponse(targets=[benched()])})
    with serving(gateway) as address:
        table = paceline("targets", "--provider", "p", "--address", address)
        listed = paceline("targets", "--json", "--address", address)
    assert (table.code, listed.code) == (0, 0)
    assert "p/sick" in table.out
    assert json.loads(listed.out)["targets"][0]["state"] == "TARGET_STATE_BENCHED"
    assert [request.provider for request in gateway.requests] == ["p", ""]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_watch_follows_until_its_end(paceline: Paceline, options: list[str]) -> None:
    """Snapshot, then changes; events of a newer gateway are passed over."""
    change = TargetChange(status=benched(), previous_state=TARGET_STATE_ACTIVE)
    changes = [
        WatchTargetsResponse(snapshot=TargetSnapshot(targets=[TargetStatus(target=SICK)])),
        WatchTargetsResponse(),
        WatchTargetsResponse(change=change),
    ]
    with serving(FakeGateway(changes=changes)) as address:
        result = paceline("targets", "--watch", "--address", address, *options)
    assert result.code == 0
    lines = result.out.splitlines()
    assert len(lines) == 3
    assert "BENCHED" in lines[-1]


def test_a_refusal_is_told(paceline: Paceline) -> None:
    """A list that cannot be had is an error, not an empty table."""
    with serving(FakeGateway(refusals=[Refusal(grpc.StatusCode.UNIMPLEMENTED, "not here")])) as address:
        result = paceline("targets", "--address", address)
    assert (result.code, result.out) == (1, "")
    assert "may be older" in result.err
