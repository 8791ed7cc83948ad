"""A provider inside the process, seeded and scriptable: it serves demos, tests and load.

Keeps the books of its calls and starts their courses; `simulated_course` decides those,
`simulated_stream` plays them. It speaks no wire format and reaches no network; what a call
does is set in `simulated_settings`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.base import Answer, AnswerStream, ProviderRequest
from paceline_server.providers.profile import Profile
from paceline_server.providers.simulated_course import Call, Course
from paceline_server.providers.simulated_rate import CallRate
from paceline_server.providers.simulated_script import Fail, Step
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.providers.simulated_stream import (
    Clock,
    SimulatedStream,
    Sleep,
    concluded,
    connection_closed,
)

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
            quality=settings.quality,
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
            ending = await concluded(course, self._closed)
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
            raise connection_closed(reached_provider=False)
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


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
