"""Server-sent events: bytes in, in whatever pieces the network made of them, whole events out.

Lines end at LF, CR and CRLF and nowhere else, because models emit U+2028, U+0085 and their like
inside JSON strings. What an event means is the adapters' business; text is never decoded here.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT_BYTES = 4 * 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LF = 0x0A
_NOWHERE = -1


class SseEvent(NamedTuple):
    """One event: its data, several lines joined by LF, and its name, empty where none was given."""

    data: bytes
    name: bytes = b""


_new_event = tuple.__new__
"""A named tuple's own constructor is a Python function, and costs more than all else that an event does."""


class EventTooLargeError(ValueError):
    """An event, or a line of one, is larger than the bound."""


class SseDecoder:
    """Decodes one stream. What `feed` returned is decoded for good; the rest waits for its next bytes."""

    __slots__ = (
        "_data",
        "_data_size",
        "_max_event_bytes",
        "_name",
        "_skips_lf",
        "_started",
        "_tail",
        "_tail_size",
    )

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._tail: list[bytes] = []  # pieces of a line whose end has not come
        self._tail_size = 0
        self._data: list[bytes] = []  # lines of an event whose end has not come
        self._data_size = 0
        self._name = b""
        self._skips_lf = False  # the last line ended in CR; an LF now belongs to it
        self._started = False

    def start(self, chunk: bytes) -> None:
        """Take note that the stream starts with `chunk`, which may be read elsewhere: no mark comes later."""
        self._started = not _BYTE_ORDER_MARK.startswith(chunk[:1])

    def can_leave(self, chunk: bytes) -> bool:
        """Whether whoever reads `chunk` elsewhere meets a new event first, and none above the bound."""
        between_events = not (self._tail or self._data or self._name or self._skips_lf)
        return between_events and len(chunk) <= self._max_event_bytes

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes.

        Raises:
            EventTooLargeError: One of them would be larger than the bound.
        """
        chunk = self._without_stream_start(chunk)
        if self._skips_lf and chunk:
            self._skips_lf = False
            if chunk[0] == _LF:
                chunk = chunk[1:]

        if self._tail:
            if b"\n" not in chunk and b"\r" not in chunk:
                self._keep(chunk)
                return []

            self._tail.append(chunk)
            chunk = b"".join(self._tail)
            self._tail.clear()
            self._tail_size = 0
        return self._decoded(chunk)

    def end(self) -> list[SseEvent]:
        """The event that the stream broke off in, if it has any data.

        A strict reader would drop it. Here the data decide: JSON that is cut cannot be read, and JSON
        that is whole lacks only the blank line, which some servers never send.
        """
        self._started = True
        line = b"".join(self._tail)
        self._tail.clear()
        if line:
            self._take_line(line)
        event = self._taken_event()
        return [] if event is None else [event]

    def _decoded(self, chunk: bytes) -> list[SseEvent]:
        events: list[SseEvent] = []
        position = 0
        # Both are searched only when passed, so that no mixture of line ends is searched twice.
        next_lf = chunk.find(b"\n")
        next_cr = chunk.find(b"\r")
        while next_lf != _NOWHERE or next_cr != _NOWHERE:
            if next_cr == _NOWHERE or _NOWHERE < next_lf < next_cr:
                if (
                    chunk.startswith(b"\n", next_lf + 1)
                    and chunk.startswith(b"data: ", position, next_lf)
                    and not (self._data or self._name)
                    and next_lf - position < self._max_event_bytes
                ):
                    # The usual event: one line and a blank one.
                    events.append(_new_event(SseEvent, (chunk[position + 6 : next_lf], b"")))
                    position = next_lf + 2
                    next_lf = chunk.find(b"\n", position)
                    continue
                named = chunk.startswith(b"event: ", position)
                end = self._end_of_named(chunk, position, next_lf, next_cr) if named else _NOWHERE
                if end != _NOWHERE:
                    # The other usual event: a name, one line and a blank one.
                    event = (chunk[next_lf + 7 : end], chunk[position + 7 : next_lf])
                    events.append(_new_event(SseEvent, event))
                    position = end + 2
                    next_lf = chunk.find(b"\n", position)
                    continue
                line, position = chunk[position:next_lf], next_lf + 1
            else:
                if chunk.startswith(b"\r\n\r\n", next_cr) and self._is_whole(chunk, position, next_cr):
                    # The usual event of Google's servers.
                    events.append(_new_event(SseEvent, (chunk[position + 6 : next_cr], b"")))
                    position = next_cr + 4
                    next_cr = chunk.find(b"\r", position)
                    next_lf = chunk.find(b"\n", position)
                    continue
                line, position = chunk[position:next_cr], self._after_cr(chunk, next_cr)
                next_cr = chunk.find(b"\r", position)

            if _NOWHERE < next_lf < position:
                next_lf = chunk.find(b"\n", position)
            if line:
                self._take_line(line)
            elif (taken := self._taken_event()) is not None:
                events.append(taken)

        if position < len(chunk):
            self._keep(chunk[position:])
        return events

    def _end_of_named(self, chunk: bytes, position: int, next_lf: int, next_cr: int) -> int:
        if self._data or not chunk.startswith(b"data: ", next_lf + 1):
            return _NOWHERE
        end = chunk.find(b"\n", next_lf + 7)
        ends_so = end != _NOWHERE and chunk.startswith(b"\n", end + 1) and not _NOWHERE < next_cr < end
        return end if ends_so and end - position < self._max_event_bytes else _NOWHERE

    def _is_whole(self, chunk: bytes, start: int, end: int) -> bool:
        if self._data or self._name or end - start >= self._max_event_bytes:
            return False
        return chunk.startswith(b"data: ", start, end)

    def _after_cr(self, chunk: bytes, position: int) -> int:
        following = position + 1
        self._skips_lf = following == len(chunk)
        return following + 1 if chunk.startswith(b"\n", following) else following

    def _take_line(self, line: bytes) -> None:
        if line.startswith(b"data: "):
            value = line[6:]
        elif line.startswith(b"data:"):
            value = line[5:]
        elif line == b"data":
            value = b""
        else:
            # All other fields, and comments, say nothing that a reader of completions needs.
            if line.startswith(b"event:"):
                self._name = line[6:].removeprefix(b" ")
            elif line == b"event":
                self._name = b""
            return

        self._data_size += len(value) + 1
        if self._data_size > self._max_event_bytes:
            raise EventTooLargeError(f"an event is larger than {self._max_event_bytes} bytes")
        self._data.append(value)

    def _taken_event(self) -> SseEvent | None:
        name, self._name = self._name, b""
        lines = self._data
        if not lines:
            return None
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        self._data_size = 0
        lines.clear()
        return _new_event(SseEvent, (data, name))

    def _keep(self, piece: bytes) -> None:
        self._tail_size += len(piece)
        if self._tail_size + self._data_size > self._max_event_bytes + len(b"data: "):
            raise EventTooLargeError(f"an event is larger than {self._max_event_bytes} bytes")
        self._tail.append(piece)

    def _without_stream_start(self, chunk: bytes) -> bytes:
        # A byte order mark may stand before the first line, and may itself come in pieces.
        if self._started:
            return chunk
        start = b"".join(self._tail) + chunk
        self._tail.clear()
        self._tail_size = 0
        if len(start) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(start):
            if start:
                self._keep(start)
            return b""
        self._started = True
        return start.removeprefix(_BYTE_ORDER_MARK)
