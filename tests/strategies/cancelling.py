"""Cancels a coroutine at one of its waits, and looks at what a cancelled call left behind (A4, A6, C6, H2).

The waits of a call in virtual time are the same each time, so they can be counted once and tried one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.errors import CallFailed
from paceline_server.completion.usage import Price, UsageState
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.profile import Profile
from paceline_server.strategies import engine
from paceline_server.strategies.call import Call, ChainOptions
from paceline_server.strategies.delivery import NEVER_SENT
from paceline_server.strategies.model import Model
from tests.strategies.fitter import Fitting, ScriptedFitter
from tests.strategies.scripted import Script
from tests.strategies.world import Client, World
from tests.virtual_time import now, run_virtual

PROVIDER_FAULTS = {FailureClass.QUOTA, FailureClass.AUTHENTICATION}
BUDGET = BudgetConfig(share_of_calls=0.0, per_second=8.0, burst=8.0)
"""What `check_left_behind` counts on."""

PRICED = Profile(price=Price(1000, 2000), accepts_prefill=True)
PLAIN = ChainOptions(overtake_after=0.0)


@dataclass(slots=True)
class Stepper:
    """A coroutine, step by step: counts how often it waits, and cancels its task at one of those times.

    The tasks that it starts are stepped likewise, and its own task is what is cancelled at their waits.

    Attributes:
        at: The wait to cancel at; None only counts.
        late: Cancel when what is waited for has come, before the task goes on; else when the wait begins.
    """

    coroutine: Coroutine[Any, Any, Completion]
    at: int | None = None
    late: bool = False
    count: int = 0
    _task: asyncio.Task[Any] | None = None

    def __await__(self) -> Generator[Any, Any, Completion]:
        """Pass every wait on to the loop, and look at each."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        before = loop.get_task_factory()
        loop.set_task_factory(self._started)
        try:
            answer: Completion = yield from self._steps(self.coroutine)
        finally:
            loop.set_task_factory(before)
        return answer

    def _started(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        async def stepped() -> Any:
            return await _Steps(self._steps(coroutine))

        task = asyncio.Task(stepped(), loop=loop, **options)
        # A task that is cancelled before its first step closes its own coroutine, and not the one within.
        task.add_done_callback(lambda _task: coroutine.close())
        return task

    def _steps(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = partial(coroutine.send, None)
        while True:
            try:
                waited_for = step()
            except StopIteration as stop:
                return stop.value
            if self.count == self.at:
                self._cancel(waited_for)
            self.count += 1
            step = partial(coroutine.send, None)
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - whatever the loop throws in is for the coroutine
                step = partial(coroutine.throw, error)

    def _cancel(self, waited_for: asyncio.Future[Any] | None) -> None:
        task = self._task
        assert task is not None
        if self.late and waited_for is not None:
            waited_for.add_done_callback(lambda _future: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)


@dataclass(slots=True)
class _Steps:
    """What a task can wait for, of a generator."""

    generator: Generator[Any, Any, Any]

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.generator


def check_left_behind(world: World, call: Call, client: Client, failed_before: set[str]) -> None:
    """Hold what a cancelled call left to the rules."""
    assert world.open_count == 0, "a connection was left open (A6)"
    assert world.probes_out == [], "a probe was left out (H2)"
    sent = [attempt for attempt in call.record.attempts if attempt.outcome not in NEVER_SENT]
    assert len(sent) == call.record.started_count, "an attempt was not booked exactly once (A6)"
    assert len({attempt.index for attempt in call.record.attempts}) == len(call.record.attempts)
    assert set(client.running) <= {attempt.index for attempt in call.record.attempts}
    cancelled = [attempt for attempt in sent if attempt.outcome is AttemptOutcome.CANCELLED]
    if call.options.overtake_after == 0.0:
        assert len(cancelled) <= 1
        for attempt in client.running.values():
            (booked,) = (one for one in sent if one.index == attempt.index)
            assert booked is sent[-1], "only the last attempt can have been under way"
    reached = sum(call.reached for call in world.calls)
    unsent = [attempt for attempt in cancelled if attempt.usage is None]
    assert len(sent) - len(unsent) == reached, "what was sent is booked with what it used, nothing else (A6)"
    for attempt in cancelled:
        if attempt.usage is not None:
            assert attempt.usage.state is not UsageState.UNKNOWN
            assert attempt.usage.cost_nano_usd is not None
    blamed = {str(attempt.target) for attempt in sent if attempt.failure_class is not None}
    blamed |= {attempt.target.provider for attempt in sent if attempt.failure_class in PROVIDER_FAULTS}
    # A target that answered to the end and whose probe succeeded ramps up, which `penalised` shows, too.
    answered = {str(attempt.target) for attempt in sent if attempt.outcome is AttemptOutcome.SUCCEEDED}
    assert world.penalised <= blamed | failed_before | answered, (
        "somebody was blamed for the caller's end (A4)"
    )
    additional = max(0, call.record.started_count - 1)
    remaining = 0
    while world.budget.spend():
        remaining += 1
    assert 8 - additional <= remaining <= 8, "the fleet's budget paid for something else (C6)"


@dataclass(frozen=True, slots=True)
class Scene:
    """A call with a course of its own.

    Attributes:
        model: Makes what is called of the world; a chain of all targets, if nothing is said.
        raced: A race takes part.
    """

    scripts: dict[str, Script | list[Script]]
    benched: tuple[str, ...] = ()
    options: ChainOptions = PLAIN
    unary: bool = False
    fitting: dict[str, Fitting] = field(default_factory=dict)
    model: Callable[[World], Model] = World.chain
    raced: bool = False

    def world(self) -> World:
        """The world of the scene, with all that is benched."""
        priced = dict.fromkeys(self.scripts, PRICED)
        fitter = ScriptedFitter(self.fitting)
        world = World(self.scripts, budget=BUDGET, profiles=priced, fitter=fitter)
        for name in self.benched:
            world.bench(name)
        return world

    def client(self) -> Client:
        """Who calls, if it is streamed."""
        return Client(beside=self.options.overtake_after != 0.0, raced=self.raced)

    def answer(self, world: World, call: Call, client: Client) -> Coroutine[Any, Any, Completion]:
        """The call, which has not begun."""
        call.options = self.options
        model = self.model(world)
        if self.unary:
            return engine.complete(call, model, now=world.health.now)
        return engine.stream(call, model, client, now=world.health.now)


async def run(scene: Scene, *, at: int | None, late: bool) -> int:
    """Run a scene, cancelled at a step; returns how many steps it took."""
    world = scene.world()
    failed_before = world.penalised
    call, client = world.call(), scene.client()
    stepper = Stepper(scene.answer(world, call, client), at, late)

    async def follow() -> Completion:
        return await stepper

    task = asyncio.create_task(follow())
    await asyncio.wait([task])

    if at is None:
        assert not task.cancelled()
        error = task.exception()
        assert error is None or isinstance(error, CallFailed), error
    else:
        assert task.cancelled(), f"a cancellation at step {at} was swallowed"
    check_left_behind(world, call, client, failed_before)
    return stepper.count


def cancel_everywhere(scene: Scene, *, late: bool) -> None:
    """Run a scene to its end, and then again for each of its steps, cancelled there."""
    count = run_virtual(partial(run, scene, at=None, late=late))
    assert count >= 1
    for at in range(count):
        run_virtual(partial(run, scene, at=at, late=late))


async def limited(scene: Scene, within: float) -> None:
    """Run a scene with so much time."""
    world = scene.world()
    failed_before = world.penalised
    call, client = world.call(within=within), scene.client()
    with suppress(CallFailed):
        await scene.answer(world, call, client)
    assert now() <= within
    check_left_behind(world, call, client, failed_before)
