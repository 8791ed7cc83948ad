"""One streamed chat-completions answer: bytes to events, events to deltas, and when it is over.

What an event says is read in `openai_answer`; requests are sent in `openai`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from paceline_server.completion.answer import Ending
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta, ReasoningDelta, ToolCallDelta, character_count
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.http import ProviderResponse, too_large
from paceline_server.providers.openai_answer import AnswerReader
from paceline_server.providers.sse import EventTooLargeError, SseDecoder, SseEvent

_DONE = b"[DONE]"
_DOCUMENT_STARTS = b"{[<"
_OK = 200
FINISH_PATIENCE = 2.0
"""Seconds that the end of the stream, or its usage, is waited for once the finish reason has come."""

_SETTLING_TIME = 0.05
"""Seconds that a finished stream is given to end its HTTP body, without which its connection is lost."""


class OpenAIStream:
    """One streamed answer; see `AnswerStream` in `base`."""

    def __init__(
        self,
        response: ProviderResponse,
        reader: AnswerReader,
        *,
        max_event_bytes: int,
        max_answer_bytes: int,
        finish_patience: float,
    ) -> None:
        """Make one.

        Args:
            max_answer_bytes: Bounds what the answer says, or its body if it is one document.
            finish_patience: Seconds after the finish reason, or after content that follows it.
        """
        self._response = response
        self._reader = reader
        self._events = SseDecoder(max_event_bytes)
        self._max_answer_bytes = max_answer_bytes
        self._size = 0
        self._finish_patience = finish_patience
        self._waits_until: float | None = None
        self._document: list[bytes] | None = None  # the pieces of an answer that is no stream of events
        self._started = False
        self._ended = False
        self._done = False
        self._failure: AttemptFailure | None = None
        self._ending: Ending | None = None

    @property
    def ending(self) -> Ending:
        """How the answer ended; only after `read` returned None."""
        if self._ending is None:
            raise RuntimeError("the ending of an answer is known only at its end")
        return self._ending

    async def read(self) -> Sequence[Delta] | None:
        """Wait for bytes and return the deltas in them; None at the end.

        A failure is raised only after the deltas before it were returned, so that what a caller gets
        does not depend on how the network cut the stream.

        Raises:
            AttemptFailure: As in `AnswerStream`.
        """
        if self._failure is not None:
            raise self._failure
        if self._ended:
            return None
        failure = await self._advance()
        deltas = self._reader.take()
        if self._document is None and failure is None:
            self._size += sum(map(_size, deltas))
            if self._size > self._max_answer_bytes:
                failure = await self._refused()
        self._failure = failure
        if deltas:
            self._waits_until = None
        if failure is not None and not deltas:
            raise failure
        return deltas if deltas or self._ending is None else None

    async def aclose(self) -> None:
        """Give the connection back if the answer was read to its end, else close it at once. Idempotent."""
        try:
            if self._done:
                await self._settle()
        finally:
            await self._response.aclose()

    async def _advance(self) -> AttemptFailure | None:
        try:
            self._take(await self._next_bytes())
        except AttemptFailure as failure:
            await self._response.aclose()
            return failure
        return None

    async def _refused(self) -> AttemptFailure:
        self._done = False
        await self._response.aclose()
        return too_large(self._max_answer_bytes, http_status=_OK)

    async def _next_bytes(self) -> bytes:
        if not self._reader.finished:
            return await self._response.read()
        # After the finish reason only the usage can still be lost, and the answer is whole without it.
        if self._waits_until is None:
            self._waits_until = asyncio.get_running_loop().time() + self._finish_patience
        try:
            async with asyncio.timeout_at(self._waits_until):
                return await self._response.read()
        except TimeoutError:
            return b""
        except AttemptFailure as failure:
            if failure.failure_class is FailureClass.TRANSIENT:
                return b""
            raise

    def _take(self, chunk: bytes) -> None:
        if not chunk:
            self._end()
            return
        if not self._started:
            start = chunk.lstrip()[:1]
            if not start:
                return  # blank lines before the first event, which would be read one by one for nothing
            self._started = True
            if start in _DOCUMENT_STARTS:
                self._document = []
        if self._document is not None:
            self._size += len(chunk)
            if self._size > self._max_answer_bytes:
                raise too_large(self._max_answer_bytes, http_status=_OK)
            self._document.append(chunk)
            return
        try:
            self._read_events(self._events.feed(chunk))
        except EventTooLargeError as error:
            raise AttemptFailure(FailureClass.MALFORMED_RESPONSE, str(error), http_status=_OK) from error

    def _read_events(self, events: Sequence[SseEvent]) -> None:
        for data, name in events:
            if data == _DONE:
                self._done = True
                self._finish()
                return
            if data and not data.isspace():
                self._reader.read(data, is_error=name == b"error")

    def _end(self) -> None:
        if self._document is not None:
            self._reader.read(b"".join(self._document), whole=True)
        else:
            self._read_broken_off(self._events.end())
        if not self._ended:
            self._finish()

    def _read_broken_off(self, events: Sequence[SseEvent]) -> None:
        try:
            self._read_events(events)
        except AttemptFailure as failure:
            # What cannot be read here was cut, and the missing finish reason says so better.
            if failure.failure_class is not FailureClass.MALFORMED_RESPONSE:
                raise

    def _finish(self) -> None:
        self._ended = True
        self._reader.finish()
        self._ending = self._reader.ending()

    async def _settle(self) -> None:
        # The end of the body is a packet of its own with many servers, a moment after the last event.
        self._done = False
        try:
            async with asyncio.timeout(_SETTLING_TIME):
                while await self._response.read():
                    pass
        except (TimeoutError, AttemptFailure):
            # The answer is whole; only its connection is not to be used again.
            return


def _size(delta: Delta) -> int:
    # What a delta adds to what its collector holds, in characters and bytes.
    kind = delta.kind
    size = character_count(kind)
    if isinstance(kind, ReasoningDelta):
        size += len(kind.redacted_data)
    elif isinstance(kind, ToolCallDelta):
        size += len(kind.id)
    return size if delta.signature is None else size + len(delta.signature.value)
