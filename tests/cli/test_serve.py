"""`paceline serve` and the commands that talk to it, as processes, from end to end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Paceline, process
from tests.clients.python.fake_gateway import PATIENCE_SECONDS

CONFIG = """\
providers:
  sim:
    format: simulated
    targets:
      breaks: {answer: "wrong words", script: [{cut: {after_tokens: 1}}], after_script: last}
      answers: {answer: "right words", price: {input_usd_per_million: 1, output_usd_per_million: 2}}
models:
  demo: {chain: [sim/breaks, sim/answers]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gateway whose first target breaks every answer."""
    file = tmp_path / "paceline.yaml"
    file.write_text(CONFIG)
    return file


def address_of(gateway: subprocess.Popen[str]) -> str:
    """The address that a gateway says it listens on."""
    assert gateway.stdout is not None
    line = gateway.stdout.readline()
    assert line.startswith("paceline listening on ")
    return line.split()[-1]


@pytest.fixture
def gateway(config: Path) -> Iterator[str]:
    """The address of a real gateway."""
    with process(
        "serve", "--config", str(config), "--listen", "127.0.0.1:0", stderr=subprocess.DEVNULL
    ) as running:
        yield address_of(running)


def test_a_call_recovers_from_end_to_end(paceline: Paceline, gateway: str) -> None:
    """A chain whose first target breaks gives the second one's answer, and its cost."""
    result = paceline("chain", "demo", "hello", "--address", gateway)
    assert (result.code, result.out) == (0, "right words\n")
    assert "attempt 0 (sim/breaks) failed" in result.err
    assert "answered by sim/answers" in result.err


def test_operators_see_and_change_health(paceline: Paceline, gateway: str) -> None:
    """A bench by hand shows in the list and ends by hand; names and health are told."""
    at = ["--address", gateway]
    assert paceline("bench-target", "sim/answers", "--for", "10m", "--reason", "test", *at).code == 0
    listed = json.loads(paceline("targets", "--json", *at).out)
    states = {status["target"]["model"]: status["state"] for status in listed["targets"]}
    assert states["answers"] == "TARGET_STATE_BENCHED"
    assert paceline("unbench-target", "sim/answers", *at).code == 0
    assert "BENCHED" not in paceline("targets", *at).out
    assert "demo" in paceline("models", *at).out
    assert paceline("health", "model/demo", *at).code == 0


def test_errors_of_a_real_gateway_are_told(paceline: Paceline, gateway: str) -> None:
    """A name that does not exist is refused with its reason and a remedy."""
    result = paceline("chain", "nobody", "hello", "--address", gateway)
    assert result.code == 1
    assert "MODEL_NOT_FOUND" in result.err
    assert "paceline models" in result.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_gateway_well(config: Path, number: signal.Signals) -> None:
    """A gateway without calls stops at once, with 0 and without a traceback."""
    with process("serve", "--config", str(config), "--listen", "127.0.0.1:0") as running:
        address_of(running)
        running.send_signal(number)
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0
    assert "Traceback" not in err


def test_a_bad_configuration_is_refused(paceline: Paceline, tmp_path: Path) -> None:
    """Every problem is a line on standard error, as the check has them, and nothing is started."""
    file = tmp_path / "paceline.yaml"
    file.write_text("listen: nowhere\nunknown: 1\n")
    result = paceline("serve", "--config", str(file))
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 4
    assert f"{file}:1" in result.err
    assert result.err == paceline("config", "check", str(file)).err


def test_a_taken_address_is_told(config: Path) -> None:
    """An address that another program holds ends the start with one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with process("serve", "--config", str(config), "--listen", address) as running:
            _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 2
    [line] = err.splitlines()
    assert line.startswith(f"error: cannot listen on {address}")
    assert "name another with `listen:` or --listen" in line
