"""Reading chat-completions answers: chunks in, deltas and one ending out, for streams and whole answers.

Here is decided what counts as the end of an answer, what as its usage and what as a failure inside
a status of 200. Bytes and connections are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from paceline_server.completion.answer import Ending, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.answer_document import decoded_document
from paceline_server.providers.answer_failures import check_for_error, malformed, told_reason, unreadable
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.half_characters import HalfCharacters
from paceline_server.providers.json_faults import NOT_JSON
from paceline_server.providers.openai_confidence import ConfidenceMeter
from paceline_server.providers.openai_parts import PartAssembler
from paceline_server.providers.openai_usage import USAGE_MENDER, usage_of
from paceline_server.providers.openai_wire import (
    Choice,
    Chunk,
    WireUsage,
    decode_chunk,
    decode_usual_events,
)

_DONE = b"[DONE]"
_OK = 200
_REFUSAL = "refusal"
_ANSWER = "chat completion"
_MAX_MODEL_CHARACTERS = 128

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
}

_FAILED_REASONS: Mapping[str, FailureClass] = {
    "error": FailureClass.TRANSIENT,
    "network_error": FailureClass.TRANSIENT,
    "insufficient_system_resource": FailureClass.OVERLOADED,
}
"""Finish reasons with which a provider says that the answer is not whole."""


class OpenAIReader:
    """Reads the chunks of one answer, or the one document of a whole answer; see `AnswerReader`."""

    def __init__(self, provider: str, classifier: FailureClassifier) -> None:
        self._parts = PartAssembler(provider)
        self._classifier = classifier
        self._reason = ""
        self._model: str | None = None
        self._usage: WireUsage | None = None
        self._halves = HalfCharacters()
        self._meter = ConfidenceMeter()

    @property
    def finished(self) -> bool:
        """Whether the terminal marker, a finish reason, was seen."""
        return bool(self._reason)

    def read_usual_events(self, data: bytes) -> bytes:
        """Take the usual events that stand whole at the start of `data`; returns what is left of it.

        Raises:
            AttemptFailure: One of them says that the provider gave up.
        """
        if self._halves.kept:
            return data
        chunks, left = decode_usual_events(data)
        for chunk in chunks:
            self._add(chunk)
        return left

    def read_event(self, data: bytes, name: bytes) -> bool:
        """Take one event of a stream; returns whether it was the last one.

        Raises:
            AttemptFailure: The data tell an error, or are no chunk.
        """
        if data == _DONE:
            return True
        if self._halves.kept and not _is_aside(data):
            data = self._released(data)
        is_error = name == b"error"
        try:
            chunk = decode_chunk(data)
        except NOT_JSON as error:
            mended = self._halves.mended(data, keeps=not is_error)
            if mended is None:
                mended = USAGE_MENDER.mended(data)
            if mended is None:
                raise unreadable(self._classifier, data, _ANSWER, is_error=is_error) from error
            return bool(mended) and self.read_event(mended, name)
        if chunk.error or is_error or chunk.choices is None:
            check_for_error(self._classifier, data, is_error=is_error)
        self._add(chunk)
        return False

    def read_document(self, data: bytes) -> None:
        """Take an answer that is one document.

        Raises:
            AttemptFailure: The data tell an error, or are no answer.
        """
        chunk = decoded_document(data, decode_chunk, USAGE_MENDER, self._classifier, _ANSWER)
        if chunk.error or chunk.choices is None:
            check_for_error(self._classifier, data)
        if chunk.choices is None:
            raise malformed("the answer has no choices")
        self._add(chunk)

    def take(self) -> list[Delta]:
        """The deltas of what was read since the last time."""
        return self._parts.take()

    def finish(self) -> None:
        """Complete the parts, after which `take` gives the last deltas and `ending` the end.

        Raises:
            AttemptFailure: As in `read_event`.
        """
        if self._halves.kept:
            self._released(b"")
        self._parts.finish()

    def ending(self) -> Ending:
        """How the answer ended.

        Raises:
            AttemptFailure: There was no finish reason.
        """
        if not self._reason:
            raise AttemptFailure(
                FailureClass.TRANSIENT, "the answer ended without a finish reason", http_status=_OK
            )
        finish_reason = _FINISH_REASONS.get(self._reason, FinishReason.OTHER)
        # A refusal is an answer, in the model's own words; only the provider's reason tells it apart.
        refused = self._parts.refused and finish_reason is FinishReason.STOP
        return Ending(
            finish_reason,
            provider_reason=_REFUSAL if refused else self._reason,
            served_model=self._model or "",
            usage=None if self._usage is None else usage_of(self._usage),
            confidence=self._meter.confidence(),
        )

    def _released(self, following: bytes) -> bytes:
        kept, following = self._halves.released(following)
        self.read_event(kept, b"")
        return following

    def _add(self, chunk: Chunk) -> None:
        if chunk.model and self._model is None:
            self._model = self._classifier.told(chunk.model, _MAX_MODEL_CHARACTERS)
        usage = chunk.usage
        if usage is None and chunk.x_groq is not None:
            usage = chunk.x_groq.usage
        if usage is not None and (usage.prompt_tokens is not None or usage.completion_tokens is not None):
            self._usage = usage
        for choice in chunk.choices or ():
            if choice.index:  # only one was asked for, and its index may be missing
                continue
            message = choice.delta or choice.message
            if message is not None:
                self._parts.add(message)
            if choice.logprobs is not None:
                self._meter.add(choice, choice.logprobs)
            if choice.finish_reason or choice.finish_details is not None:
                self._read_reason(choice)

    def _read_reason(self, choice: Choice) -> None:
        reason = choice.finish_reason
        if not reason and choice.finish_details is not None:
            reason = choice.finish_details.type
        if not reason:
            return
        failure_class = _FAILED_REASONS.get(reason)
        if failure_class is not None:
            raise AttemptFailure(
                failure_class,
                "the provider gave up in the middle of its answer",
                http_status=_OK,
                provider_code=reason,
            )
        if reason not in _FINISH_REASONS and reason != self._reason:
            reason = told_reason(self._classifier, reason)
        self._reason = reason


def _is_aside(data: bytes) -> bool:
    # Usage may come between the two halves of a character, in a chunk of its own.
    try:
        chunk = decode_chunk(data)
    except NOT_JSON:
        return False
    return chunk.usage is not None and not (chunk.choices or chunk.error)
