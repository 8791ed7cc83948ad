"""One attempt: a provider is asked, and its answer is watched to its end.

Enforces rule A1 above the adapters, so that none can forget a clock, and A2: an answer is one
only if it was whole. Whether to try, and what a failure means for others, is decided elsewhere.
"""

from __future__ import annotations

import asyncio

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Fold, FoldError, deltas_of
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.base import Answer, AnswerStream, Provider, ProviderRequest
from paceline_server.strategies.attempt_clocks import Clocks
from paceline_server.strategies.attempt_run import AttemptRun
from paceline_server.strategies.call import Sink
from paceline_server.strategies.clock import NEVER, SilenceClock
from paceline_server.telemetry.log import log_bug


async def stream_answer(run: AttemptRun, provider: Provider, sink: Sink, limits: Clocks) -> Completion:
    """Stream one answer into `sink` and return it whole.

    In a task of its own, whose cancellation is this one's: a token wakes the task that waits for it through
    every coroutine between, and those around an attempt are as many as all within it.

    Raises:
        AttemptFailure: The provider failed, fell silent or sent something that is no answer.
    """
    return await asyncio.get_running_loop().create_task(_streamed(run, provider, sink, limits))


async def _streamed(run: AttemptRun, provider: Provider, sink: Sink, limits: Clocks) -> Completion:
    stream = None
    clock = SilenceClock()
    try:
        async with clock:
            clock.arm(limits.first_content_at, limits.beside)
            stream = await _opened(run, provider)
            await _pump(run, stream, sink, clock, limits.gap)
        return run.completion(stream.ending, run.fold.parts())
    except TimeoutError:
        if not clock.expired:
            raise  # the sink's own: no provider is to blame
        raise _silent(run, limits) from None
    except FoldError as error:
        raise _malformed() from error
    finally:
        if stream is not None:
            await stream.aclose()


async def _pump(run: AttemptRun, stream: AnswerStream, sink: Sink, clock: SilenceClock, gap: float) -> None:
    """Read the stream to its end; what is done here is done for every token."""
    time = asyncio.get_running_loop().time
    add, record = run.fold.add, run.call.record
    while True:
        try:
            deltas = await stream.read()
        except AttemptFailure as failure:
            _note(run, failure)
            raise
        except Exception as error:
            raise _bug(error) from error
        if record.stopped:
            record.go_on()
        if deltas is None:
            return
        if not deltas:
            continue
        clock.disarm()
        if run.first_content_at is None:
            run.has_content(time())
        for delta in deltas:
            add(delta)
            await sink(delta)
        clock.arm(time() + gap)


async def complete_answer(run: AttemptRun, provider: Provider, limits: Clocks) -> Completion:
    """Ask for one whole answer.

    Raises:
        AttemptFailure: The provider failed or took longer than the attempt's clock.
    """
    try:
        if limits.attempt_at == NEVER:
            answer = await _completed(run, provider)
        else:
            async with SilenceClock() as clock:
                clock.arm(limits.attempt_at, limits.beside)
                answer = await _completed(run, provider)
    except TimeoutError:
        waited = limits.attempt_at - run.started_at
        raise AttemptFailure(FailureClass.TIMEOUT, f"no answer within {waited:.1f} s") from None
    if answer.ending.usage is None:
        # An estimate will ask how much text it was.
        run.fold = Fold(deltas_of(answer.parts))
    return run.completion(answer.ending, answer.parts)


async def _opened(run: AttemptRun, provider: Provider) -> AnswerStream:
    try:
        return await provider.open(_request(run))
    except AttemptFailure as failure:
        _note(run, failure)
        raise
    except Exception as error:
        raise _bug(error) from error


async def _completed(run: AttemptRun, provider: Provider) -> Answer:
    try:
        return await provider.complete(_request(run))
    except AttemptFailure as failure:
        _note(run, failure)
        raise
    except Exception as error:
        raise _bug(error) from error


def _note(run: AttemptRun, failure: AttemptFailure) -> None:
    # Should the caller leave before the failure is booked: what never reached the provider cost nothing.
    run.sent = failure.reached_provider


def _bug(error: Exception) -> AttemptFailure:
    """What an exception means that is no failure of the vocabulary: a bug of the adapter's.

    It costs the attempt and not the call, since the next target may well answer.
    """
    log_bug(error)
    return AttemptFailure(FailureClass.MALFORMED_RESPONSE, "the answer could not be read")


def _request(run: AttemptRun) -> ProviderRequest:
    run.sent = True
    return ProviderRequest(run.target.model, run.fitted.prompt, run.fitted.bodies)


def _silent(run: AttemptRun, limits: Clocks) -> AttemptFailure:
    if run.first_content_at is None:
        waited = limits.first_content_at - run.started_at
        return AttemptFailure(FailureClass.TIMEOUT, f"no content within {waited:.1f} s")
    return AttemptFailure(FailureClass.TIMEOUT, f"the stream fell silent for {limits.gap:.1f} s")


def _malformed() -> AttemptFailure:
    return AttemptFailure(FailureClass.MALFORMED_RESPONSE, "the provider's parts are out of order")
