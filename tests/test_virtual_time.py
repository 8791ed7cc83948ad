"""The loop that the other tests trust: it jumps, it never hangs, and it tells what was left behind."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtual_time import LoopWouldWaitForeverError, TasksLeftError, now, run_virtual, virtual_time


@virtual_time
async def test_a_sleep_takes_no_real_time_and_exact_virtual_time() -> None:
    """The clock jumps to the next timer."""
    began = time.monotonic()

    await asyncio.sleep(3 * 24 * 3600)

    assert now() == 3 * 24 * 3600
    assert time.monotonic() - began < 1


@virtual_time
async def test_timers_fire_in_the_order_of_their_times() -> None:
    """Concurrent sleepers wake in order, each at its own time."""
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, now()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 2.5))
        group.create_task(sleeper("early", 0.5))

    assert woken == [("early", 0.5), ("late", 2.5)]


@virtual_time
async def test_timeouts_follow_the_virtual_clock() -> None:
    """asyncio.timeout ends a wait without end, at its virtual time."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await asyncio.Event().wait()

    assert now() == 60


def test_a_wait_without_end_is_an_error_that_names_the_waiting_task() -> None:
    """A test that could only hang fails at once and says where it hangs."""

    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(LoopWouldWaitForeverError, match="in hang"):
        run_virtual(hang)


def test_a_task_left_behind_is_an_error() -> None:
    """A test must not return before its tasks are done."""
    tasks: list[asyncio.Task[None]] = []

    async def leave() -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(1), name="forgotten"))

    with pytest.raises(TasksLeftError, match="forgotten"):
        run_virtual(leave)
    assert tasks[0].cancelled()


@virtual_time
async def test_threads_are_waited_for_while_the_clock_stands_still() -> None:
    """Work in a thread does not let timeouts fire that would not fire in earnest."""
    async with asyncio.timeout(0.5):
        await asyncio.to_thread(time.sleep, 0.02)

    assert now() == 0


@virtual_time
async def test_a_foreign_thread_can_wake_the_loop() -> None:
    """call_soon_threadsafe works though no timer is set."""
    woken = asyncio.Event()
    loop = asyncio.get_running_loop()
    thread = threading.Timer(0.02, loop.call_soon_threadsafe, [woken.set])
    thread.start()

    await woken.wait()

    thread.join()


@pytest.fixture
def seconds() -> float:
    """A fixture, to show that fixtures reach the test."""
    return 7.0


@pytest.mark.parametrize("factor", [1, 2])
@virtual_time
async def test_fixtures_and_parameters_reach_the_test(seconds: float, factor: int) -> None:
    """The decorator keeps the signature."""
    await asyncio.sleep(seconds * factor)

    assert now() == seconds * factor


@given(pauses=st.lists(st.floats(0, 1e5), max_size=10))
@virtual_time
async def test_any_pauses_add_up(pauses: list[float]) -> None:
    """Hypothesis can drive a virtual test, and no pause is lost."""
    for pause in pauses:
        await asyncio.sleep(pause)

    assert now() == pytest.approx(sum(pauses))


def test_errors_of_the_test_come_through() -> None:
    """What the test raises is what the caller sees."""

    async def fail() -> None:
        await asyncio.sleep(1)
        raise LookupError

    with pytest.raises(LookupError):
        run_virtual(fail)
