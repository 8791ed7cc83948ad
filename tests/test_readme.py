"""The programs of the README run as they stand there, against the gateway that it starts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import process
from tests.cli.test_serve import address_of
from tests.clients.python.fake_gateway import PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent
ADDRESS = "127.0.0.1:50051"
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROGRAMS = PROGRAM.findall((ROOT / "README.md").read_text("utf-8"))
SAID = [("paceline_client.chain", "finished"), ("paceline_client.race", "the winner is candidate 0")]
"""What a program imports, and what it prints when it went well."""


def test_every_program_is_run() -> None:
    """None is added to the README without being run."""
    assert len(PROGRAMS) == len(SAID)


@pytest.mark.parametrize(("imported", "said"), SAID)
def test_a_program_runs_as_it_stands(imported: str, said: str, tmp_path: Path) -> None:
    """Whoever copies it into a file gets an answer; only the address differs."""
    [program] = [one for one in PROGRAMS if f"from {imported} import" in one]
    assert program.count(ADDRESS) == 1
    file = tmp_path / "program.py"
    with process("serve", "--listen", "127.0.0.1:0", stderr=subprocess.DEVNULL) as gateway:
        file.write_text(program.replace(ADDRESS, address_of(gateway)), encoding="utf-8")
        ended = subprocess.run(
            [sys.executable, str(file)], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert said in ended.stdout
