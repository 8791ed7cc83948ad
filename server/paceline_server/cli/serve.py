"""`paceline serve`: starts a gateway in this process."""

from __future__ import annotations

import os
from pathlib import Path

import click

from paceline_server import app
from paceline_server.cli.exits import UNUSABLE, epilog
from paceline_server.cli.problems import print_problems
from paceline_server.settings.problem import ConfigurationError


@click.command(
    epilog=epilog(
        "paceline serve",
        "paceline serve --config paceline.yaml --listen 127.0.0.1:50052",
    )
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="PACELINE_CONFIG",
    show_envvar=True,
    help="The configuration file. Without one, the providers are simulated.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where to accept calls, over what the configuration says. Port 0 is any free one.",
)
def serve(config: Path | None, listen: str | None) -> int:
    """Start a gateway.

    Its first line on standard output is "paceline listening on HOST:PORT"; its
    log is on standard error. It stops on Ctrl-C or SIGTERM: it takes no new calls,
    and lets those that run finish. A second signal ends it at once.
    """
    try:
        return app.serve(config, listen, os.environ)
    except ConfigurationError as error:
        print_problems(error.problems)
    except OSError as error:
        click.echo(f"error: {error}", err=True)
    return UNUSABLE
