"""The demo tells its story, and cleans up after itself; `make demo` runs it to its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paceline_server.configuration import load_checked

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_SECONDS = 30.0


@contextmanager
def demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo of a folder, running."""
    with subprocess.Popen(
        [sys.executable, str(folder / "demo.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PACELINE__LISTEN": "nowhere"},
    ) as running:
        try:
            yield running
        finally:
            running.terminate()


def is_listening(address: str) -> bool:
    """Whether somebody takes connections there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


def test_its_configuration_is_valid() -> None:
    """The first configuration that a new user reads has no problem."""
    load_checked(EXAMPLES / "demo.yaml", {})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_gateway_too(number: signal.Signals) -> None:
    """Whoever stops the demo leaves no gateway behind."""
    with demo(EXAMPLES) as running:
        assert running.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", running.stdout.readline())
        assert found is not None
        assert is_listening(found[0])
        running.send_signal(number)
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert not is_listening(found[0])


RACES_ALONE = """
import asyncio
from demo_races import tell_races
from demo_stage import gateway
from paceline_client.connect import connect

async def run():
    async with gateway() as address, connect(address) as channel:
        await tell_races(channel)

asyncio.run(run())
"""


def staged(folder: Path, configuration: str) -> None:
    """Put the demo into a folder, with another configuration."""
    (folder / "demo.yaml").write_text(configuration)
    for module in EXAMPLES.glob("demo*.py"):
        (folder / module.name).write_text(module.read_text())


def test_another_story_is_a_failure(tmp_path: Path) -> None:
    """The demo asserts what it tells: with an alpha that is well it ends with 1, and shows the log."""
    script = (EXAMPLES / "demo.yaml").read_text()
    well = re.sub(r"cut: \{.*?\}", "ok: {}", script)
    assert well != script
    staged(tmp_path, well)
    with demo(tmp_path) as running:
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 1
    assert "This did not happen: beta answers after alpha broke." in err
    assert "The log of the gateway:" in err


@pytest.mark.parametrize(
    ("told", "changed", "surprise"),
    [
        ("first_content: 300ms", "first_content: 0s", "alpha is the first, and the others stop"),
        ("delay: 200ms", "delay: 9s", "the losers cost something"),
        ('answer: "yes"', 'answer: "maybe"', "NO_CONSENSUS"),
    ],
)
def test_another_race_is_a_failure(tmp_path: Path, told: str, changed: str, surprise: str) -> None:
    """The demo asserts who wins, why, and what the losers cost."""
    # The faults belong to the story before.
    script = re.sub(r"(cut|fail): \{.*?\}", "ok: {}", (EXAMPLES / "demo.yaml").read_text())
    assert told in script
    staged(tmp_path, script.replace(told, changed))
    (tmp_path / "races_alone.py").write_text(RACES_ALONE)
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "races_alone.py")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert surprise in ended.stderr
