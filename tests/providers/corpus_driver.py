"""What the tests of all formats do with a recorded exchange: it is sent in pieces, and its end checked.

What the bytes of an answer say, and what an adapter must make of that, is each format's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.base import Answer, Provider, ProviderRequest
from tests.providers.openai_support import drained
from tests.providers.recordings_reader import Recording
from tests.providers.replay import answering

R = TypeVar("R")

_WAITING = {
    (200, ""): FailureClass.TRANSIENT,
    (200, '"overloaded_error"'): FailureClass.OVERLOADED,
    (429, ""): FailureClass.RATE_LIMITED,
    (429, "tier capacity exceeded"): FailureClass.OVERLOADED,
    (498, ""): FailureClass.OVERLOADED,
    (502, ""): FailureClass.TRANSIENT,
    (503, ""): FailureClass.OVERLOADED,
    (529, ""): FailureClass.OVERLOADED,
}
"""What is judged to pass, by its status and a word of it; the longest word counts."""

_JUDGED = {
    "transient(long)": FailureClass.RATE_LIMITED,
    "transient(retryDelay misleads on per-day quota)": FailureClass.QUOTA,
    "transient(may be sticky until midnight)": FailureClass.RATE_LIMITED,
    "permanent(request)": FailureClass.CONTEXT_TOO_LONG,  # all of them are too large for the target
    "permanent(context)": FailureClass.CONTEXT_TOO_LONG,
    "permanent(quota)": FailureClass.QUOTA,
    "permanent(model)": FailureClass.MODEL_NOT_FOUND,
    "permanent(config)": FailureClass.AUTHENTICATION,
    "ambiguous": FailureClass.RATE_LIMITED,  # "quota exceeded" may mean that of a minute
}


@dataclass(frozen=True)
class Format(Generic[R]):
    """One wire format.

    Attributes:
        connected: A provider of the format and the server that it calls, which follows a script.
        read: What a recorded answer of status 200 says.
        failed: Whether it says that there is no answer.
        check: Whether an answer is what was read.
        errors: The class of what nobody has judged, by its status and a word of it.
        check_failure: What else must hold of a failure.
        unary_streams: An answer that was recorded as unary may have been asked for as a stream.
    """

    connected: Callable[[Any], AbstractAsyncContextManager[tuple[Provider, Any]]]
    request: ProviderRequest
    read: Callable[[Recording], R]
    failed: Callable[[R], bool]
    check: Callable[[str, R, Answer], None]
    errors: Mapping[tuple[int, str], FailureClass] = field(default_factory=dict)
    check_failure: Callable[[Recording, AttemptFailure], None] = lambda *_: None
    unary_streams: bool = False

    async def replayed(self, recording: Recording, seed: int) -> str:
        """What came of a recording, cut into pieces by `seed`: "answered" or "failed"."""
        script = answering(recording.body, status=recording.status, headers=recording.headers, seed=seed)
        async with self.connected(script) as (provider, server):
            if recording.kind == "error":
                await self._fails(recording, lambda: provider.complete(self.request))
                await self._fails(recording, lambda: provider.open(self.request))
                return "failed"
            reading = self.read(recording)
            if self.failed(reading):
                await self._fails(recording, lambda: self._answer(provider, recording))
                return "failed"
            self.check(recording.name, reading, await self._answer(provider, recording))
            assert server.connection_count == 1
            return "answered"

    async def _answer(self, provider: Provider, recording: Recording) -> Answer:
        if recording.streamed:
            return await self._streamed(provider)
        answer = await provider.complete(self.request)
        assert not self.unary_streams or await self._streamed(provider) == answer
        return answer

    async def _streamed(self, provider: Provider) -> Answer:
        deltas, ending = await drained(await provider.open(self.request))
        return Answer(fold(deltas), ending)

    async def _fails(self, recording: Recording, ask: Callable[[], Any]) -> None:
        with pytest.raises(AttemptFailure) as caught:
            await ask()
        failure = caught.value
        assert failure.failure_class is self._class_of(recording), recording.name
        assert failure.http_status == recording.status
        assert failure.reached_provider
        self.check_failure(recording, failure)

    def _class_of(self, recording: Recording) -> FailureClass:
        judged = recording.expected_class()
        if judged in _JUDGED:
            return _JUDGED[judged]
        assert judged in (None, "transient"), recording.name
        said = recording.body.decode("utf-8", "replace").lower()
        table = {(200, ""): FailureClass.TRANSIENT, **self.errors} if judged is None else _WAITING
        words = [word for status, word in table if status == recording.status and word in said]
        return table[recording.status, max(words, key=len)]
