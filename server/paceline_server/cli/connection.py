"""What all commands share that talk to a gateway: options, the channel, and one way out for errors."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from paceline_client.connect import DEFAULT_ADDRESS, Channel, connect
from paceline_client.errors import CallFailed, PacelineError
from paceline_server.cli.exits import FAILED, UNUSABLE
from paceline_server.cli.failure import show_failure, show_failure_as_json

Command = TypeVar("Command", bound=Callable[..., Any])
Work = Callable[[Channel], Awaitable[int]]
Remedy = Callable[[CallFailed], str]
"""What a command knows to do about a failure in its own words; empty where that is no more than others do."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Which gateway to talk to, and in what form to print what it says."""

    address: str
    tls: bool
    tls_ca: Path | None
    as_json: bool

    def run(
        self, work: Work, *, failed: int = FAILED, attempts_told: bool = False, remedy: Remedy | None = None
    ) -> int:
        """Do `work` with a channel; returns its exit code, or that of its failure, which is printed.

        Ctrl-C cancels the work, and with it the call, before the command ends.

        Args:
            failed: The code of failures other than an unreachable gateway.
            attempts_told: The work prints attempts itself, so a failure need not repeat them.
            remedy: What the command itself knows to do about a failure.
        """
        try:
            return asyncio.run(self._connected(work))
        except PacelineError as error:
            if self.as_json:
                show_failure_as_json(error)
            else:
                tls = self.tls or self.tls_ca is not None
                own = remedy(error) if remedy is not None and isinstance(error, CallFailed) else ""
                show_failure(error, self.address, tls=tls, with_attempts=not attempts_told, remedy=own)
            return UNUSABLE if isinstance(error, CallFailed) and error.unreachable else failed

    async def _connected(self, work: Work) -> int:
        # Without retries: a person would wait in silence for as long as the gateway asks.
        async with connect(self.address, tls=self.tls, tls_roots=self.tls_ca, retry=False) as channel:
            return await work(channel)


def connection_options(command: Command) -> Command:
    """Give a command the common options; it gets them as `connection`."""

    @functools.wraps(command)
    def with_connection(*, address: str, tls: bool, tls_ca: Path | None, as_json: bool, **rest: Any) -> Any:
        return command(connection=Connection(address, tls, tls_ca, as_json), **rest)

    options = (
        click.option(
            "--address",
            metavar="HOST:PORT",
            default=DEFAULT_ADDRESS,
            envvar="PACELINE_ADDRESS",
            show_default=True,
            show_envvar=True,
            help="The gateway to talk to.",
        ),
        click.option("--tls", is_flag=True, help="Speak TLS."),
        click.option(
            "--tls-ca",
            type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
            help="Speak TLS, and trust the certificate authorities in this PEM file.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print protobuf's JSON, one object a line."),
    )
    decorated: Any = with_connection
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
