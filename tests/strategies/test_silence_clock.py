"""The silence clock alone: it ends a body as asyncio.timeout would, and leaves nothing behind (A1)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.strategies.clock import NEVER, SilenceClock
from tests.virtual_time import VirtualTimeLoop, now, virtual_time


def timer_count() -> int:
    """How many timers the loop still has that would do something."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]  # noqa: SLF001


async def silence(clock: SilenceClock, *deadlines: float) -> None:
    """Arm the clock for each deadline in turn, and send nothing."""
    async with clock:
        for deadline in deadlines:
            clock.arm(deadline)
        await asyncio.sleep(100)


@virtual_time
async def test_it_expires_at_its_deadline() -> None:
    """A1: silence until the deadline is a TimeoutError, at that moment."""
    clock = SilenceClock()
    with pytest.raises(TimeoutError):
        await silence(clock, 3.0)

    assert now() == 3.0
    assert clock.expired
    assert timer_count() == 0


@virtual_time
async def test_it_never_expires_while_disarmed() -> None:
    """A1: while nothing is awaited from the provider, no time runs against it."""
    async with SilenceClock() as clock:
        clock.arm(1.0)
        clock.disarm()
        await asyncio.sleep(100)
        clock.arm(NEVER)
        await asyncio.sleep(100)

    assert not clock.expired
    assert timer_count() == 0


@virtual_time
async def test_it_can_be_armed_again_later_and_earlier() -> None:
    """A1: only the latest deadline counts, whether it is later or earlier than the one before."""
    for first, second in ((1.0, 5.0), (5.0, 1.0)):
        began = now()
        with pytest.raises(TimeoutError):
            await silence(SilenceClock(), began + first, began + second)
        assert now() - began == second


@virtual_time
async def test_it_survives_a_ring_while_disarmed() -> None:
    """A1: a timer that found nothing to do does not stop the clock from being armed anew."""

    async def body() -> None:
        async with SilenceClock() as clock:
            clock.arm(1.0)
            clock.disarm()
            await asyncio.sleep(2.0)
            clock.arm(4.0)
            await asyncio.sleep(100)

    with pytest.raises(TimeoutError):
        await body()

    assert now() == 4.0


@virtual_time
async def test_a_cancellation_from_outside_stays_one() -> None:
    """A4: the caller's departure is never taken for the provider's silence."""

    async def body() -> None:
        async with SilenceClock() as clock:
            clock.arm(10.0)
            await asyncio.sleep(100)

    task = asyncio.create_task(body())
    await asyncio.sleep(1.0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert timer_count() == 0


@pytest.mark.parametrize("clock_first", [True, False])
@virtual_time
async def test_both_at_once_is_a_cancellation(*, clock_first: bool) -> None:
    """A4: where the caller leaves at the moment of expiry, his departure counts, in either order."""
    loop = asyncio.get_running_loop()
    caught: list[type[BaseException]] = []

    async def body() -> None:
        try:
            async with SilenceClock() as clock:
                if not clock_first:
                    loop.call_at(3.0, task.cancel)
                clock.arm(3.0)
                if clock_first:
                    loop.call_at(3.0, task.cancel)
                await asyncio.sleep(100)
        except BaseException as error:
            caught.append(type(error))
            raise

    task = asyncio.create_task(body())
    with pytest.raises(asyncio.CancelledError):
        await task

    assert caught == [asyncio.CancelledError]


@virtual_time
async def test_an_enclosing_timeout_at_the_same_moment_wins() -> None:
    """A4: a deadline that passes together with the silence is the caller's deadline."""

    async def body() -> None:
        async with deadline:
            await silence(SilenceClock(), 3.0)

    deadline = asyncio.timeout_at(3.0)
    with pytest.raises(TimeoutError):
        await body()

    assert deadline.expired()


@virtual_time
async def test_an_enclosing_timeout_is_not_disturbed_by_an_expiry() -> None:
    """A1: after the clock has expired inside a timeout, that timeout goes on as ever."""

    async def body() -> None:
        async with asyncio.timeout_at(10.0) as deadline:
            with pytest.raises(TimeoutError):
                await silence(SilenceClock(), 3.0)
            assert now() == 3.0
            assert not deadline.expired()
            await asyncio.sleep(100)

    with pytest.raises(TimeoutError):
        await body()

    assert now() == 10.0
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@virtual_time
async def test_another_error_at_expiry_comes_through() -> None:
    """A2: what the body raises while it is being ended is not hidden by the clock."""

    async def body() -> None:
        async with SilenceClock() as clock:
            clock.arm(1.0)
            try:
                await asyncio.sleep(100)
            finally:
                raise LookupError

    with pytest.raises(LookupError):
        await body()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@virtual_time
async def test_a_body_that_ends_in_time_leaves_no_timer() -> None:
    """A1: an answer in time costs no timer afterwards."""
    async with SilenceClock() as clock:
        for _ in range(100):
            clock.arm(now() + 10.0)
            await asyncio.sleep(0.01)
            clock.disarm()
        assert timer_count() <= 1, "a token must not cost a timer"

    assert timer_count() == 0


@virtual_time
async def test_it_needs_a_task() -> None:
    """A1: without a task there is nothing that the clock could end."""
    errors: list[BaseException] = []

    def outside_any_task() -> None:
        try:
            SilenceClock().__aenter__().send(None)
        except RuntimeError as error:
            errors.append(error)

    asyncio.get_running_loop().call_soon(outside_any_task)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert [str(error) for error in errors] == ["a silence clock needs a task to cancel"]


PAUSES = st.lists(st.tuples(st.floats(0.01, 10.0), st.floats(0.01, 10.0), st.floats(0, 5.0)), max_size=20)


@given(pauses=PAUSES)
@virtual_time
async def test_it_expires_exactly_at_the_first_silence_that_is_too_long(
    pauses: list[tuple[float, float, float]],
) -> None:
    """A1: for any sequence of limits, silences and disarmed times."""
    expected = 0.0
    expires = False
    for limit, silence, disarmed in pauses:
        if silence > limit:
            expected, expires = expected + limit, True
            break
        expected += silence + disarmed
    clock = SilenceClock()

    async def body() -> None:
        async with clock:
            for limit, silence, disarmed in pauses:
                clock.arm(now() + limit)
                # Strictly later or earlier: equal times are decided by the order of timers.
                await asyncio.sleep(silence if silence != limit else silence / 2)
                clock.disarm()
                await asyncio.sleep(disarmed)

    if expires:
        with pytest.raises(TimeoutError):
            await body()
        assert now() == pytest.approx(expected, abs=10.0 * sum(p[0] == p[1] for p in pauses) + 1e-6)
    else:
        await body()
    assert timer_count() == 0
