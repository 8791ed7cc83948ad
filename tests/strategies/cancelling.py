"""Cancels a coroutine at one of its waits, and looks at what a cancelled call left behind (A4, A6, C6, H2).

The waits of a call in virtual time are the same each time, so they can be counted once and tried one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.usage import UsageState
from paceline_server.health.budget import BudgetConfig
from paceline_server.strategies.call import Call
from paceline_server.strategies.delivery import NEVER_SENT
from tests.strategies.world import Client, World

PROVIDER_FAULTS = {FailureClass.QUOTA, FailureClass.AUTHENTICATION}
BUDGET = BudgetConfig(share_of_calls=0.0, per_second=8.0, burst=8.0)
"""What `check_left_behind` counts on."""


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
