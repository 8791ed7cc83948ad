"""One streamed answer over HTTP: bytes to events, events to deltas, and when it is over.

The same for every wire format: what an event says is the format's `AnswerReader` to tell. An answer that
turns out to be one document instead of a stream is handed over whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from paceline_server.completion.answer import Ending
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Media
from paceline_server.completion.deltas import Delta, ReasoningDelta, TextDelta, ToolCallDelta, character_count
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.http import ProviderResponse, too_large
from paceline_server.providers.sse import EventTooLargeError, SseDecoder, SseEvent

_DOCUMENT_STARTS = b"{[<"
_OK = 200
FINISH_PATIENCE = 2.0
"""Seconds that the end of the stream, or its usage, is waited for once the finish reason has come."""

_SETTLING_TIME = 0.05
"""Seconds that a finished stream is given to end its HTTP body, without which its connection is lost."""


class AnswerReader(Protocol):
    """Reads one answer of a wire format, streamed or whole. Whatever it raises is an AttemptFailure."""

    @property
    def finished(self) -> bool:
        """Whether the answer is whole as it is, and what is still to come could be done without."""
        ...

    def read_usual_events(self, data: bytes) -> bytes:
        """Take events that stand whole at the start of `data`, faster than one by one; gives what is left.

        It may leave everything, and does where something about them is not as usual.
        """
        ...

    def read_event(self, data: bytes, name: bytes) -> bool:
        """Take one event of a stream; returns whether it was the last one."""
        ...

    def read_document(self, data: bytes) -> None:
        """Take an answer that is one document; white space that kept the connection alive may precede it."""
        ...

    def take(self) -> list[Delta]:
        """The deltas of what was read since the last time, neighbours of one part merged."""
        ...

    def finish(self) -> None:
        """Nothing more comes: complete the parts, after which `take` gives the last deltas."""
        ...

    def ending(self) -> Ending:
        """How the answer ended; fails if the provider's terminal marker was not seen (rule A2)."""
        ...


class EventStream:
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
        reader = self._reader
        try:
            self._take(await (self._late_bytes() if reader.finished else self._response.read()))
            deltas = reader.take()
            self._measure(deltas)
        except AttemptFailure as failure:
            self._done = False
            await self._response.aclose()
            deltas = reader.take()
            self._failure = failure
            if not deltas:
                raise
        if deltas:
            self._waits_until = None
            return deltas
        return deltas if self._ending is None else None

    async def aclose(self) -> None:
        """Give the connection back if the answer was read to its end, else close it at once. Idempotent."""
        # Its traceback holds the frame of `read`, which holds this.
        self._failure = None
        try:
            if self._done:
                await self._settle()
        finally:
            await self._response.aclose()

    async def _late_bytes(self) -> bytes:
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

    def _measure(self, deltas: Sequence[Delta]) -> None:
        if self._document is None:
            for delta in deltas:
                kind = delta.kind
                self._size += len(kind.text) if type(kind) is TextDelta else _size(delta)
            self._check_size()

    def _check_size(self) -> None:
        if self._size > self._max_answer_bytes:
            raise too_large(self._max_answer_bytes, http_status=_OK)

    def _take(self, chunk: bytes) -> None:
        if not chunk:
            self._end()
            return
        if not self._started:
            # White space before the first event would hide its field name, and begins no document.
            chunk = chunk.lstrip()
            if not chunk:
                return
            self._started = True
            self._events.start(chunk)
            if chunk[:1] in _DOCUMENT_STARTS:
                self._document = []
        if self._document is not None:
            self._size += len(chunk)
            self._check_size()
            self._document.append(chunk)
            return
        if self._events.can_leave(chunk):
            chunk = self._reader.read_usual_events(chunk)
        try:
            if chunk:
                self._read_events(self._events.feed(chunk))
        except EventTooLargeError as error:
            raise AttemptFailure(FailureClass.MALFORMED_RESPONSE, str(error), http_status=_OK) from error

    def _read_events(self, events: Sequence[SseEvent]) -> None:
        read = self._reader.read_event
        for data, name in events:
            if data and not data.isspace() and read(data, name):
                self._done = True
                self._finish()
                return

    def _end(self) -> None:
        if self._document is not None:
            self._reader.read_document(b"".join(self._document))
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
            return  # the answer is whole; only its connection is not to be used again


def _size(delta: Delta) -> int:
    kind = delta.kind
    size = character_count(kind)
    if isinstance(kind, ReasoningDelta):
        size += len(kind.redacted_data)
    elif isinstance(kind, Media):
        size += len(kind.data)
    elif isinstance(kind, ToolCallDelta):
        size += len(kind.id)
    return size if delta.signature is None else size + len(delta.signature.value)
