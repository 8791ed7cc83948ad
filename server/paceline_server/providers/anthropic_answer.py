"""Reading Anthropic answers: events in, deltas and one ending out, for streams and whole answers.

A stream is whole when `message_stop` has come, a document when it has a stop reason. Here is decided
what counts as usage and what as a failure inside a status of 200. Bytes and connections are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from paceline_server.completion.answer import Ending, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.answer_document import decoded_document
from paceline_server.providers.answer_failures import check_for_error, malformed, told_reason, unreadable
from paceline_server.providers.anthropic_parts import BlockAssembler
from paceline_server.providers.anthropic_usage import USAGE_MENDER, later, usage_of
from paceline_server.providers.anthropic_wire import (
    Event,
    Message,
    WireUsage,
    decode_event,
    decode_message,
    decode_type,
)
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.half_characters import HalfCharacters
from paceline_server.providers.json_faults import NOT_JSON

_OK = 200
_PING = b"ping"
_ERROR = b"error"
_BLOCK_DELTA = "content_block_delta"
_ANSWER = "message"
_MAX_MODEL_CHARACTERS = 128

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.OTHER,
    "refusal": FinishReason.CONTENT_FILTER,
}
_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        _BLOCK_DELTA,
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)
_DELTAS = frozenset({"text_delta", "input_json_delta", "thinking_delta", "signature_delta"})


class AnthropicReader:
    """Reads the events of one answer, or the one document of a whole answer; see `AnswerReader`."""

    def __init__(self, provider: str, classifier: FailureClassifier) -> None:
        self._parts = BlockAssembler(provider)
        self._classifier = classifier
        self._halves = HalfCharacters()
        self._reason = ""
        self._model = ""
        self._usage: WireUsage | None = None
        self._stopped = False

    @property
    def finished(self) -> bool:
        """Whether the terminal marker was seen."""
        return self._stopped

    def read_usual_events(self, data: bytes) -> bytes:
        """Leave all to be read one by one: events of this format have names."""
        return data

    def read_event(self, data: bytes, name: bytes) -> bool:
        """Take one event of a stream; returns whether it was the last one.

        Raises:
            AttemptFailure: The data tell an error, or are no event.
        """
        if name != _PING:
            self._read(data, name)
        return self._stopped

    def read_document(self, data: bytes) -> None:
        """Take an answer that is one document.

        Raises:
            AttemptFailure: The data tell an error, or are no answer.
        """
        message = decoded_document(data, decode_message, USAGE_MENDER, self._classifier, _ANSWER)
        if message.error or message.content is None:
            check_for_error(self._classifier, data)
            raise malformed("the answer has no content")
        for index, block in enumerate(message.content):
            self._parts.start(index, block)
        self._start(message)
        self._read_reason(message.stop_reason)
        self._stopped = bool(self._reason)

    def take(self) -> list[Delta]:
        """The deltas of what was read since the last time."""
        return self._parts.take()

    def finish(self) -> None:
        """Complete the parts, after which `take` gives the last deltas and `ending` the end.

        Raises:
            AttemptFailure: As in `read_event`.
        """
        if self._halves.kept:
            self._read(self._halves.released()[0], b"")
        self._parts.finish()

    def ending(self) -> Ending:
        """How the answer ended.

        Raises:
            AttemptFailure: The provider did not say that the answer is whole.
        """
        if not (self._stopped and self._reason):
            missing = "a stop reason" if self._stopped else "its last event"
            raise AttemptFailure(
                FailureClass.TRANSIENT, f"the answer ended without {missing}", http_status=_OK
            )
        return Ending(
            _FINISH_REASONS.get(self._reason, FinishReason.OTHER),
            provider_reason=self._reason,
            served_model=self._model,
            usage=usage_of(self._usage),
        )

    def _read(self, data: bytes, name: bytes) -> None:
        if self._halves.kept:
            kept, data = self._halves.released(data)
            self._read(kept, b"")
        try:
            event = decode_event(data)
        except NOT_JSON as error:
            mended = self._halves.mended(data, keeps=name != _ERROR)
            if mended is None:
                mended = USAGE_MENDER.mended(data)
            if mended:
                self._read(mended, name)
            elif mended is None and not self._is_unknown(data, name):
                raise unreadable(self._classifier, data, _ANSWER, is_error=name == _ERROR) from error
            return
        kind = event.type or name.decode("ascii", "replace")
        if event.error or name == _ERROR or kind == "error":
            raise self._classifier.of_error(data)
        if kind != _BLOCK_DELTA:
            self._add(event, kind)
        elif event.delta is not None:
            self._parts.add(event.index or 0, event.delta)

    def _add(self, event: Event, kind: str) -> None:
        index = event.index or 0
        if kind == "content_block_start":
            self._parts.start(index, event.content_block)
        elif kind == "content_block_stop":
            self._parts.stop(index)
        elif kind == "message_start":
            self._start(event.message or Message())
        elif kind == "message_delta":
            self._usage = later(self._usage, event.usage)
            if event.delta is not None:
                self._read_reason(event.delta.stop_reason)
        elif kind == "message_stop":
            self._stopped = True

    def _start(self, message: Message) -> None:
        self._usage = later(self._usage, message.usage)
        if message.model and not self._model:
            self._model = self._classifier.told(message.model, _MAX_MODEL_CHARACTERS)

    def _read_reason(self, reason: str | None) -> None:
        if not reason:
            return
        if reason not in _FINISH_REASONS:
            reason = told_reason(self._classifier, reason)
        self._reason = reason

    def _is_unknown(self, data: bytes, name: bytes) -> bool:
        # What the format may have one day can hold anything, and means nothing to us.
        if name == _ERROR:
            return False
        try:
            told = decode_type(data)
            kind = told.type or name.decode("ascii", "replace")
            if kind not in _EVENTS:
                return bool(kind)
            return kind == _BLOCK_DELTA and decode_type(told.delta).type not in _DELTAS
        except NOT_JSON:
            return False
