"""The compiled half of the bench: builds `bench/load`, and says what is missing where it cannot be built.

Why it is Go is written down in docs/decisions/0007-compiled-load-generator.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from bench.processes import ROOT

SOURCE = ROOT / "bench" / "load"
PROGRAM = ROOT / "build" / "bench" / "load"


class Missing(RuntimeError):
    """Something that the bench needs is not on this machine; the message says what to install."""


def build() -> None:
    """Build the program; nothing is compiled again that has not changed.

    Raises:
        Missing: There is no Go, or one that is too old, or the modules could not be fetched.
    """
    wanted = _wanted_version()
    if shutil.which("go") is None:
        raise Missing(
            f"the bench needs Go {wanted} or newer, which compiles bench/load: install it from go.dev"
        )
    finished = subprocess.run(  # noqa: S603 - of the project itself
        ["go", "build", "-o", str(PROGRAM), "."],  # noqa: S607 - whichever Go the path names
        cwd=SOURCE,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise Missing(
            f"bench/load does not build with this Go; it needs {wanted} or newer:\n{finished.stderr}"
        )


def go_version() -> str:
    """The version of Go that built the program, as in "go1.26.8"."""
    finished = subprocess.run(  # noqa: S603 - as above
        ["go", "version", str(PROGRAM)],  # noqa: S607 - as above
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.split()[-1]


def _wanted_version() -> str:
    found = re.search(r"^go (\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    assert found is not None
    return found.group(1)
