"""Virtual time for tests: an event loop whose clock jumps to the next timer instead of waiting for it.

A test of ten minutes of timeouts takes milliseconds and is exact: with nothing else to do,
`asyncio.sleep(5)` moves `loop.time()` by 5. Real threads are waited for in real time while the
virtual clock stands still. Real sockets are not: a test that talks to one must not use this loop.

    @virtual_time
    async def test_the_clock_jumps() -> None:
        await asyncio.sleep(3600)
        assert now() == 3600
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SLICE = 0.05
"""Real seconds to wait at a time for threads that are at work."""

_PATIENCE = 0.2
"""Real seconds in which a foreign thread may still wake a loop that has nothing to do."""


class LoopWouldWaitForeverError(RuntimeError):
    """Nothing is ready, no timer is set and no thread is at work: the test could only hang."""


class TasksLeftError(AssertionError):
    """The test returned and left tasks that are not done."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at 0 seconds and never waits for its timers."""

    def __init__(self) -> None:
        """Make one on the platform's own selector."""
        self._virtual_now = 0.0
        self._outside_count = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    @property
    def awaits_threads(self) -> bool:
        """Whether a thread of this loop's executors is at work, so that time has to stand still."""
        return self._outside_count > 0

    def advance(self, seconds: float) -> None:
        """Move the clock on; for the selector."""
        self._virtual_now += seconds

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """As ever; until it is done the clock stands still."""
        future = super().run_in_executor(executor, func, *args)
        if not future.done():
            self._outside_count += 1
            future.add_done_callback(self._came_back)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """As ever; until it is done the clock stands still."""
        with self._outside():
            await super().shutdown_default_executor(*args)

    def waiting_tasks(self) -> list[str]:
        """A line for each task that is not done: its name and where it waits."""
        tasks = [task for task in asyncio.all_tasks(self) if not task.done()]
        return sorted(f"{task.get_name()} {_where(task)}" for task in tasks)

    def _came_back(self, _future: asyncio.Future[Any]) -> None:
        self._outside_count -= 1

    @contextmanager
    def _outside(self) -> Iterator[None]:
        self._outside_count += 1
        try:
            yield
        finally:
            self._outside_count -= 1


class _JumpingSelector(selectors.BaseSelector):
    """A real selector that moves the loop's clock on where it would have waited."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.awaits_threads:
            return self._real.select(_SLICE)
        if timeout is not None:
            self._loop.advance(timeout)
            return []
        ready = self._real.select(_PATIENCE)
        if not ready:
            waiting = "\n  ".join(self._loop.waiting_tasks()) or "no task"
            raise LoopWouldWaitForeverError(f"nothing can wake the loop any more; waiting:\n  {waiting}")
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main` on a loop of virtual time and close the loop.

    Raises:
        LoopWouldWaitForeverError: `main` waits for something that cannot come.
        TasksLeftError: `main` returned while tasks that it started were not done; they are cancelled.
    """
    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main())
        left = loop.waiting_tasks()
        if left:
            raise TasksLeftError("the test left tasks behind:\n  " + "\n  ".join(left))

    return result


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make an async test a plain one that runs in virtual time.

    Fixtures and parameters work as ever, but an async fixture would run on another loop: make
    such things inside the test. Under hypothesis, `@given` goes above `@virtual_time`.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(lambda: test(*args, **kwargs))

    # Pytest asks for fixtures by the signature; without the wrapped function nobody takes it for async.
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    del run.__wrapped__
    return run


def now() -> float:
    """Virtual seconds since the test began."""
    return asyncio.get_running_loop().time()


def _where(task: asyncio.Task[Any]) -> str:
    stack = task.get_stack(limit=1)
    if not stack:
        return "(nowhere)"
    frame = stack[-1]
    return f"({frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name})"
