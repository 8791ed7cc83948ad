"""The console script `paceline`, and `python -m paceline_server`."""

from __future__ import annotations

import sys

from paceline_server.cli.main import run


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
