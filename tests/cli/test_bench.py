"""`paceline bench-target` and `paceline unbench-target` pass the operator's word on."""

from __future__ import annotations

import json

import pytest

from paceline.v1.completion_pb2 import Target
from tests.cli.conftest import Paceline
from tests.clients.python.fake_gateway import FakeGateway, serving


@pytest.mark.parametrize(
    ("spec", "target"), [("p/a/b", Target(provider="p", model="a/b")), ("p/", Target(provider="p"))]
)
def test_a_bench_and_its_end_name_the_target(paceline: Paceline, spec: str, target: Target) -> None:
    """A target, or with nothing after the slash a whole provider, is benched and taken back."""
    gateway = FakeGateway()
    with serving(gateway) as address:
        benched = paceline("bench-target", spec, "--for", "10m", "--reason", "why", "--address", address)
        unbenched = paceline("unbench-target", spec, "--address", address)
    assert (benched.code, unbenched.code) == (0, 0)
    bench, unbench = gateway.requests
    assert (bench.target, bench.duration.seconds, bench.reason) == (target, 600, "why")
    assert unbench.target == target
    assert spec in benched.out
    assert spec in unbenched.out


def test_json_is_the_answer_of_the_gateway(paceline: Paceline) -> None:
    """Programs get the status, and whether there was a bench."""
    with serving(FakeGateway()) as address:
        benched = paceline("bench-target", "p/m", "--for", "1h", "--address", address, "--json")
        unbenched = paceline("unbench-target", "p/m", "--address", address, "--json")
    assert json.loads(benched.out)["target"] == {"provider": "p", "model": "m"}
    assert json.loads(unbenched.out)["wasBenched"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        ["bench-target", "name", "--for", "10m"],
        ["bench-target", "p/m"],
        ["bench-target", "p/m", "--for", "long"],
        ["unbench-target", "/m"],
    ],
)
def test_nothing_is_guessed(paceline: Paceline, arguments: list[str]) -> None:
    """A bench needs a target and a time; without them nobody is asked."""
    result = paceline(*arguments)
    assert result.code == 2
    assert "Usage:" in result.err
