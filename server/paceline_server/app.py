"""The composition root: builds every object once, starts the server and drains it.

With `adapters` and `configuration`, the only importer of concrete implementations. Nothing is decided here
about calls.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from paceline_server.adapters import make_provider
from paceline_server.completion.answer import Target
from paceline_server.configuration import catalog_of, load_checked
from paceline_server.health.budget import AttemptBudget
from paceline_server.health.machine import Record, TargetState
from paceline_server.health.registry import HealthRegistry, Scope
from paceline_server.providers.base import Provider
from paceline_server.providers.fitting import TargetFitter
from paceline_server.routing.directory import Directory
from paceline_server.routing.performance import Performance
from paceline_server.rpc.options import ServerOptions, TlsFiles
from paceline_server.rpc.server import PacelineServer
from paceline_server.settings.schema import Settings
from paceline_server.strategies.assembly import Assembly
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.telemetry.calls import CallLog
from paceline_server.telemetry.log import configure_log, log_caution, log_health_change, log_lifecycle

EXIT_OK = 0
EXIT_CUT_SHORT = 1
LOG_CLOSING_TIME = 1.0
"""Seconds for the last lines of the log; a reader that takes none must not keep the process."""

YOUNG_OBJECT_COUNT = 20_000
"""New objects before the collector looks at them: no call, however it ends, leaves its prompt to it."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that one process consists of."""

    server: PacelineServer
    providers: Mapping[str, Provider]
    health: HealthRegistry
    fitter: TargetFitter

    async def run(self) -> int:
        """Serve until a signal comes, then drain; the exit code says whether every call finished."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, log_lifecycle, "reload is not built; nothing was changed")
        address = await self.server.start()
        _spare_the_collector()
        _announce(address)
        log_lifecycle("started", address=address, providers=sorted(self.providers))
        if self.server.caution:
            log_caution(self.server.caution, address=address)
        async with asyncio.TaskGroup() as group:
            follower = group.create_task(self.server.follow_health())
            await stop.wait()
            for number in STOP_SIGNALS:
                # A second signal ends the process at once, as users expect.
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
            log_lifecycle("draining", in_flight_count=self.server.in_flight_count)
            finished = await self.server.drain()
            follower.cancel()
        await self.close()
        log_lifecycle("stopped", every_call_finished=finished)
        return EXIT_OK if finished else EXIT_CUT_SHORT

    async def close(self) -> None:
        """Close the connections to all providers, and let the threads of the fitter end."""
        self.fitter.close()
        for provider in self.providers.values():
            await provider.aclose()


def serve(config: Path | None, listen: str | None, environ: Mapping[str, str]) -> int:
    """Run a gateway until it is told to stop; returns the exit code.

    Args:
        config: The configuration file; None for the defaults.
        listen: Overrides the configured address.

    Raises:
        ConfigurationError: The configuration cannot be used.
        ListenError: The address cannot be listened on.
    """
    options = {} if listen is None else {"listen": listen}
    settings = load_checked(config, environ, options).settings
    _open_missing_descriptors()
    log = configure_log(settings.log.level, settings.log.format)
    try:
        return uvloop.run(_build_and_run(settings, CallLog(log)))
    finally:
        log.close(LOG_CLOSING_TIME)


async def _build_and_run(settings: Settings, calls: CallLog) -> int:
    return await build(settings, calls).run()


def _announce(address: str) -> None:
    """Say on standard output what scripts wait for; whoever started this may have stopped listening."""
    with suppress(OSError):
        print(f"paceline listening on {address}", flush=True)  # noqa: T201 - the one line for programs


def _spare_the_collector() -> None:
    """Let the garbage collector look at less, and less often.

    A call makes hundreds of objects that go with it; those of the start stay for good. With the defaults a
    seventh of a call's time went into looking for cycles among them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECT_COUNT, *gc.get_threshold()[1:])


def _open_missing_descriptors() -> None:
    """Give the standard descriptors to nobody else: what is opened in their place would get their output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)


def build(settings: Settings, calls: CallLog | None = None) -> Gateway:
    """Build every object of a gateway, which tells `calls` of each call; nothing is opened yet."""
    connect_timeout = settings.attempts.connect_timeout.total_seconds()
    providers = {
        name: make_provider(name, provider, connect_timeout) for name, provider in settings.providers.items()
    }
    catalog = catalog_of(settings)

    def profile_of(target: Target) -> Any:
        return providers[target.provider].profile(target.model)

    health = HealthRegistry(
        settings.health.to_health_config(),
        provider_scope=lambda target: profile_of(target).quota_identity or target.provider,
    )
    health.subscribe(_HealthLog())
    fitter = TargetFitter()
    surroundings = Surroundings(
        health=health,
        budget=AttemptBudget(settings.retry_budget.to_budget_config()),
        config=settings.attempts.to_attempt_config(),
        rng=random.Random(),
        fitter=fitter,
        performance=Performance(),
        hedges=AttemptBudget(settings.hedge_budget.to_budget_config()),
    )
    directory = Directory(catalog, health, profile_of)
    races = {name: model.to_race() for name, model in settings.models.items() if model.race}
    assembly = Assembly(catalog, providers, surroundings, races)
    server = PacelineServer(_server_options(settings), assembly, directory, calls or CallLog())
    return Gateway(server, providers, health, fitter)


class _HealthLog:
    """One line for each change of a scope's state; counts alone are no change."""

    def __init__(self) -> None:
        self._states: dict[Scope, TargetState] = {}

    def __call__(self, scope: Scope, record: Record) -> None:
        if self._states.get(scope, TargetState.ACTIVE) is record.state:
            return
        if record.state is TargetState.ACTIVE:
            del self._states[scope]  # callers name models: what is well again must not be kept for ever
        else:
            self._states[scope] = record.state
        log_health_change(
            str(scope),
            record.state.name,
            cause="" if record.cause is None else record.cause.name,
            until=record.until,
            reason=record.reason,
            by_operator=record.by_operator,
        )


def _server_options(settings: Settings) -> ServerOptions:
    tls = settings.tls
    return ServerOptions(
        address=settings.listen,
        maximum_deadline=settings.call.maximum_deadline.total_seconds(),
        maximum_message_size=settings.call.max_message_size,
        drain_delay=settings.drain.delay.total_seconds(),
        drain_timeout=settings.drain.timeout.total_seconds(),
        reflection=settings.reflection,
        listener=settings.server.listener,
        tls=None
        if tls is None
        else TlsFiles(
            tls.certificate_file.read_bytes(),
            tls.private_key_file.read_bytes(),
            None if tls.client_ca_file is None else tls.client_ca_file.read_bytes(),
        ),
    )
