"""A provider inside the process, seeded and scriptable: it serves demos, tests and load.

Plays the courses that `simulated_course` decides, on an injected clock. It speaks no wire
format and reaches no network; what a call does is set in `simulated_settings`.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from paceline_server.completion.answer import Ending
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta, fold, merge_adjacent
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.base import Answer, AnswerStream, ProviderRequest
from paceline_server.providers.profile import Profile
from paceline_server.providers.simulated_course import Call, Course
from paceline_server.providers.simulated_rate import CallRate
from paceline_server.providers.simulated_settings import Fail, SimulatedModel, Step

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]

_LOG_LENGTH = 10_000


class CallRecord(NamedTuple):
    """What one call was told to do; `number` is 1 for the model's first call."""

    model: str
    number: int
    step: Step


class SimulatedProvider:
    """A provider whose n-th call to a model depends on the seed, the model's name and n alone.

    Only `max_calls_per_second` looks at the clock; a call that it refuses counts and uses up its
    number. Providers that offer the same models need different seeds to fail independently.

    Attributes:
        log: The latest calls, oldest first.
    """

    def __init__(
        self,
        name: str,
        models: Mapping[str, SimulatedModel],
        *,
        seed: int,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Offer `models` by name; `clock` tells the seconds that `sleep` follows, by default the loop's."""
        self.log: deque[CallRecord] = deque(maxlen=_LOG_LENGTH)
        self._name = name
        self._models = dict(models)
        self._seed = seed
        self._clock: Clock = clock or _loop_time
        self._sleep = sleep
        self._call_counts = dict.fromkeys(models, 0)
        self._call_rates = {
            model_name: CallRate(model.max_calls_per_second)
            for model_name, model in models.items()
            if model.max_calls_per_second is not None
        }
        self._streams: set[SimulatedStream] = set()
        self._unary_call_count = 0
        self._closed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<SimulatedProvider {self._name!r} models={sorted(self._models)!r} seed={self._seed}>"

    @property
    def name(self) -> str:
        """The name that specs use."""
        return self._name

    @property
    def open_stream_count(self) -> int:
        """How many streams hold a connection: opening, or not yet closed, broken or cancelled."""
        return len(self._streams)

    @property
    def running_unary_call_count(self) -> int:
        """How many unary calls are under way."""
        return self._unary_call_count

    def call_count(self, model: str) -> int:
        """How many calls `model` has had, unary or streamed; 0 for one that is not offered."""
        return self._call_counts.get(model, 0)

    def profile(self, model: str) -> Profile:
        """What the settings say of `model`; an empty profile for one that is not offered."""
        settings = self._models.get(model)
        if settings is None:
            return Profile()
        return Profile(
            price=settings.price,
            reasons_unseen=settings.reasons_unseen,
            accepts_prefill=settings.accepts_prefill,
            bills_after_cancel=settings.bills_after_cancel,
        )

    async def complete(self, request: ProviderRequest) -> Answer:
        """Wait as long as the stream would take, then give the whole answer.

        Raises:
            AttemptFailure: The model is not offered, or its course ends in a failure.
        """
        course = self._begin(request)
        self._unary_call_count += 1
        try:
            await self._sleep(course.conclusion_due)
            ending = await _concluded(course, self._closed)
        finally:
            self._unary_call_count -= 1
        return Answer(fold(course.tokens), ending)

    async def open(self, request: ProviderRequest) -> AnswerStream:
        """Open a stream; it is accepted at once unless the course ends before the headers.

        Raises:
            AttemptFailure: The model is not offered, or it refuses the call.
        """
        course = self._begin(request)
        stream = SimulatedStream(
            course,
            merge=self._models[request.model].merge,
            clock=self._clock,
            sleep=self._sleep,
            provider_closed=self._closed,
            on_close=self._streams.discard,
        )
        self._streams.add(stream)
        if course.before_headers:
            await stream.read()

        return stream

    async def aclose(self) -> None:
        """Break all open streams and refuse further calls. Idempotent."""
        self._closed.set()
        for stream in tuple(self._streams):
            await stream.aclose()

    def _begin(self, request: ProviderRequest) -> Course:
        if self._closed.is_set():
            raise _connection_closed(reached_provider=False)
        model = self._models.get(request.model)
        if model is None:
            message = f"{self._name!r} has no model {request.model!r}"
            raise AttemptFailure(FailureClass.MODEL_NOT_FOUND, message, http_status=404)
        number = self._call_counts[request.model] + 1
        self._call_counts[request.model] = number
        call = Call(self._seed, request.model, model, number, request.prompt)
        course = call.course(refusal=self._refusal(request.model))
        self.log.append(CallRecord(request.model, number, course.step))
        return course

    def _refusal(self, model_name: str) -> Fail | None:
        rate = self._call_rates.get(model_name)
        wait = 0.0 if rate is None else rate.admit(self._clock())
        return Fail(FailureClass.RATE_LIMITED, retry_after=wait) if wait else None


class SimulatedStream:
    """One answer on its way. A failed or cancelled read closes it."""

    def __init__(
        self,
        course: Course,
        *,
        merge: bool,
        clock: Clock,
        sleep: Sleep,
        provider_closed: asyncio.Event,
        on_close: Callable[[SimulatedStream], None],
    ) -> None:
        """Start the course now; `on_close` is called once, when the connection is given up."""
        self._course = course
        self._merge = merge
        self._clock = clock
        self._sleep = sleep
        self._provider_closed = provider_closed
        self._on_close = on_close
        self._started_at = clock()
        self._delivered_count = 0
        self._ending: Ending | None = None
        self._closed = False

    @property
    def ending(self) -> Ending:
        """How the answer ended; only after `read` returned None."""
        if self._ending is None:
            raise RuntimeError("the stream has not ended: read it until it returns None")
        return self._ending

    async def read(self) -> Sequence[Delta] | None:
        """Wait for the next token and give it with all others that are due; None at the end.

        Raises:
            AttemptFailure: The course ends in a failure, or the stream was closed.
        """
        if self._ending is not None:
            return None
        try:
            return await self._next()
        except BaseException:
            self._close()
            raise

    async def aclose(self) -> None:
        """Give the connection up. Idempotent."""
        self._close()

    async def _next(self) -> Sequence[Delta] | None:
        course = self._course
        if self._delivered_count < len(course.tokens):
            await self._wait_until(course.token_due[self._delivered_count])
            return self._take_due()
        await self._wait_until(course.conclusion_due)
        self._ending = await _concluded(course, self._provider_closed)
        return None

    async def _wait_until(self, due: float) -> None:
        if self._closed:
            raise _connection_closed()
        # Slept even when nothing is left to wait: a reader of a fast stream must not starve the loop.
        await self._sleep(max(0.0, self._started_at + due - self._clock()))
        if self._closed:
            raise _connection_closed()

    def _take_due(self) -> Sequence[Delta]:
        start = self._delivered_count
        tokens, token_due = self._course.tokens, self._course.token_due
        if not self._merge:
            self._delivered_count = start + 1
            return tokens[start : start + 1]
        # A coarse clock may stand a little before the token that was waited for: that one is due.
        elapsed = max(self._clock() - self._started_at, token_due[start])
        self._delivered_count = bisect_right(token_due, elapsed, lo=start)
        return merge_adjacent(list(tokens[start : self._delivered_count]))

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_close(self)


async def _concluded(course: Course, provider_closed: asyncio.Event) -> Ending:
    """The ending of `course`; its silence lasts until the provider is closed."""
    if course.conclusion is None:
        await provider_closed.wait()
        raise _connection_closed()
    if isinstance(course.conclusion, AttemptFailure):
        raise course.conclusion
    return course.conclusion


def _connection_closed(*, reached_provider: bool = True) -> AttemptFailure:
    message = "the connection to the simulated provider was closed"
    return AttemptFailure(FailureClass.TRANSIENT, message, reached_provider=reached_provider)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
