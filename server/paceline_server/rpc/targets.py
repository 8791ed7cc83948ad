"""TargetService: what operators see of targets and names, and the bench by hand."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TypeVar

from paceline.v1 import targets_pb2
from paceline_server.completion.answer import Target
from paceline_server.completion.errors import ErrorReason, Refused
from paceline_server.routing.directory import Directory, TargetState, TargetStatus
from paceline_server.rpc import enums
from paceline_server.rpc.bounds import check_count
from paceline_server.rpc.encoding import timestamp
from paceline_server.rpc.shell import DRAIN_PUSHBACK, Rpc, Shell
from paceline_server.rpc.target_encoding import encode_model, encode_status
from paceline_server.rpc.violations import Violations
from paceline_server.strategies.racing.spec import RaceSpec

T = TypeVar("T")

DEFAULT_PAGE_SIZE = 100
MAXIMUM_PAGE_SIZE = 1000
MAXIMUM_FILTER_COUNT = 100
SHORTEST_BENCH = 1.0
LONGEST_BENCH = 30 * 86_400.0
MAXIMUM_REASON_BYTES = 1024
MAXIMUM_QUEUED_CHANGE_COUNT = 1000
"""A watcher that falls further behind gets a new snapshot instead."""


class TargetRpc:
    """The methods of TargetService that exist: listing, benching by hand, watching."""

    def __init__(self, directory: Directory, races: Mapping[str, RaceSpec], shell: Shell) -> None:
        """Show `directory` and its `races`; watches end when `shell` drains."""
        self._directory = directory
        self._races = races
        self._shell = shell

    async def list_targets(
        self, request: targets_pb2.ListTargetsRequest, _rpc: Rpc
    ) -> targets_pb2.ListTargetsResponse:
        """The targets and their health, a page of them."""
        violations = Violations()
        few = check_count(request.states, MAXIMUM_FILTER_COUNT, "states", violations)
        states = {
            state
            for index, wire in enumerate(request.states if few else ())
            if (state := violations.choice(wire, _STATES, f"states[{index}]")) is not None
        }
        size = _page_size(request.page_size, violations)
        after = _after(request.page_token, violations)
        violations.check()
        page, token = _page(self._found(request.provider, states, after), size)
        return targets_pb2.ListTargetsResponse(targets=map(encode_status, page), next_page_token=token)

    async def bench_target(
        self, request: targets_pb2.BenchTargetRequest, _rpc: Rpc
    ) -> targets_pb2.BenchTargetResponse:
        """Take a target, or a whole provider, out of use."""
        violations = Violations()
        target = _target(request, violations)
        seconds = violations.seconds(request, "duration", "", SHORTEST_BENCH, LONGEST_BENCH)
        violations.at_most_bytes(request.reason, MAXIMUM_REASON_BYTES, "reason")
        violations.check()
        status = self._directory.bench(target, LONGEST_BENCH if seconds is None else seconds, request.reason)
        return targets_pb2.BenchTargetResponse(status=encode_status(status))

    async def unbench_target(
        self, request: targets_pb2.UnbenchTargetRequest, _rpc: Rpc
    ) -> targets_pb2.UnbenchTargetResponse:
        """Take it into use again."""
        violations = Violations()
        target = _target(request, violations)
        violations.check()
        status, was_benched = self._directory.unbench(target)
        return targets_pb2.UnbenchTargetResponse(status=encode_status(status), was_benched=was_benched)

    async def watch_targets(self, request: targets_pb2.WatchTargetsRequest, rpc: Rpc) -> None:
        """A snapshot, then every change, until the client leaves or this replica drains."""
        changes: asyncio.Queue[targets_pb2.TargetChange | None] = asyncio.Queue(MAXIMUM_QUEUED_CHANGE_COUNT)

        def on_change(status: TargetStatus, previous: TargetState) -> None:
            if request.provider not in ("", status.target.provider):
                return
            if changes.full():
                # Too slow: what is queued is void, and the watcher starts again from a snapshot.
                while not changes.empty():
                    changes.get_nowait()
                changes.put_nowait(None)
                return
            changes.put_nowait(self._change(status, previous))

        unsubscribe = self._directory.subscribe(on_change)
        watch = asyncio.create_task(self._tell(request.provider, rpc, changes))
        drain = asyncio.create_task(self._shell.draining.wait())
        try:
            # Beside one another: a watcher that does not read must not hold up the drain.
            await asyncio.wait((watch, drain), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
        finally:
            unsubscribe()
            watch.cancel()
            drain.cancel()
            await asyncio.wait((watch, drain))
        raise Refused(
            ErrorReason.DRAINING, "this replica is shutting down; watch another", retry_after=DRAIN_PUSHBACK
        )

    async def list_models(
        self, request: targets_pb2.ListModelsRequest, _rpc: Rpc
    ) -> targets_pb2.ListModelsResponse:
        """The names of the configuration, a page of them."""
        violations = Violations()
        if check_count(request.kinds, MAXIMUM_FILTER_COUNT, "kinds", violations):
            for index, kind in enumerate(request.kinds):
                violations.choice(kind, _KINDS, f"kinds[{index}]")
        size = _page_size(request.page_size, violations)
        after = _after(request.page_token, violations)
        violations.check()
        definitions = self._directory.catalog.definitions
        found = (
            (name, name)
            for name in self._directory.names()
            if name > after
            and (not request.kinds or enums.MODEL_KIND[definitions[name].kind] in request.kinds)
        )
        page, token = _page(found, size)
        return targets_pb2.ListModelsResponse(
            models=(encode_model(self._directory.model(name), self._races) for name in page),
            default_model=self._directory.catalog.default_model,
            next_page_token=token,
        )

    def _found(
        self, provider: str, states: set[TargetState], after: str
    ) -> Iterator[tuple[str, TargetStatus]]:
        """The targets that are asked for with their keys, looked at one by one as they are taken."""
        for target in self._directory.known_targets(provider):
            # "/" would not do between the two, since a provider's name may hold what comes before it.
            key = f"{target.provider}\0{target.model}"
            if key > after:
                status = self._directory.status(target)
                if not states or not states.isdisjoint(_states_of(status)):
                    yield key, status

    async def _tell(
        self, provider: str, rpc: Rpc, changes: asyncio.Queue[targets_pb2.TargetChange | None]
    ) -> None:
        """Write a snapshot and each change, without end."""
        await rpc.write(self._snapshot(provider))
        while True:
            change = await changes.get()
            if change is None:
                await rpc.write(self._snapshot(provider))
            else:
                await rpc.write(targets_pb2.WatchTargetsResponse(change=change))

    def _snapshot(self, provider: str) -> targets_pb2.WatchTargetsResponse:
        statuses = self._directory.targets(provider)
        snapshot = targets_pb2.TargetSnapshot(
            targets=map(encode_status, statuses), snapshot_time=timestamp(self._directory.now())
        )
        return targets_pb2.WatchTargetsResponse(snapshot=snapshot)

    def _change(self, status: TargetStatus, previous: TargetState) -> targets_pb2.TargetChange:
        return targets_pb2.TargetChange(
            status=encode_status(status),
            previous_state=enums.TARGET_STATE[previous],
            change_time=timestamp(self._directory.now()),
        )


_STATES = {wire: state for state, wire in enums.TARGET_STATE.items()}
_KINDS: dict[int, str] = {wire: name for name, wire in targets_pb2.ModelKind.items() if wire}


def _states_of(status: TargetStatus) -> set[TargetState]:
    """A target's own state, and that of its provider's hold if there is one."""
    hold = status.provider.state
    return {status.own.state} if hold is TargetState.ACTIVE else {status.own.state, hold}


def _target(
    request: targets_pb2.BenchTargetRequest | targets_pb2.UnbenchTargetRequest, violations: Violations
) -> Target:
    if not request.target.provider:
        violations.add("target.provider", "is empty; name the target's provider")
    return Target(request.target.provider, request.target.model)


def _page_size(wanted: int, violations: Violations) -> int:
    if not 0 <= wanted <= MAXIMUM_PAGE_SIZE:
        violations.add("page_size", f"is {wanted}; must be from 0 (the default) to {MAXIMUM_PAGE_SIZE}")
    return wanted or DEFAULT_PAGE_SIZE


def _page(found: Iterator[tuple[str, T]], size: int) -> tuple[list[T], str]:
    """The first entries of those that are left, which have their keys, and the token of the next page."""
    page = list(islice(found, size))
    is_last = next(found, None) is None
    following = "" if is_last else base64.urlsafe_b64encode(page[-1][0].encode()).decode()
    return [entry for _, entry in page], following


def _after(token: str, violations: Violations) -> str:
    """The key of the last entry that was told; empty, and so before all keys, at the start."""
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        violations.add("page_token", "is none of this method's tokens; start again without one")
        return ""
