"""`paceline health` is for probes: its exit code is the answer."""

from __future__ import annotations

import json
import signal

import pytest

from tests.cli.conftest import Paceline, process
from tests.clients.python.fake_gateway import PATIENCE_SECONDS, FakeGateway, serving


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [("", 0, "SERVING"), ("model/auto", 1, "NOT_SERVING"), ("model/none", 1, "SERVICE_UNKNOWN")],
)
def test_the_exit_code_is_the_answer(paceline: Paceline, service: str, code: int, status: str) -> None:
    """Only SERVING is success."""
    with serving(FakeGateway(), healthy=[""], sick=["model/auto"]) as address:
        plain = paceline("health", service, "--address", address)
        as_json = paceline("health", service, "--address", address, "--json")
    assert (plain.code, plain.out) == (code, status + "\n")
    assert json.loads(as_json.out) == {"service": service, "status": status}


def test_nobody_listening_exits_with_2(paceline: Paceline) -> None:
    """A probe can tell a gateway that is away from one that is not ready."""
    with serving(FakeGateway()) as address:
        pass
    assert paceline("health", "--address", address).code == 2


def test_a_watch_goes_on_until_interrupted() -> None:
    """The status is printed as it comes, and Ctrl-C ends the watch without a traceback."""
    with (
        serving(FakeGateway(), healthy=[""]) as address,
        process("health", "--watch", "--address", address, environ={"PYTHONUNBUFFERED": "1"}) as running,
    ):
        assert running.stdout is not None
        assert running.stdout.readline() == "SERVING\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130
    assert "Traceback" not in err
