"""Reading generateContent answers: chunks in, deltas and one ending out, for streams and whole answers.

Here is decided what counts as the end of an answer, what as its usage and what as a failure inside
a status of 200. Bytes and connections are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from paceline_server.completion.answer import Ending, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.answer_failures import check_for_error, malformed, told_reason, unreadable
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.gemini_confidence import ConfidenceMeter
from paceline_server.providers.gemini_parts import PartAssembler
from paceline_server.providers.gemini_usage import USAGE_MENDER, tells_counts, usage_of
from paceline_server.providers.gemini_wire import (
    Candidate,
    Chunk,
    WireUsage,
    decode_array,
    decode_chunk,
)
from paceline_server.providers.half_characters import HalfCharacters, mended
from paceline_server.providers.json_faults import NOT_JSON

_OK = 200
_ANSWER = "generateContent answer"
_MAX_MODEL_CHARACTERS = 128
_MAX_MESSAGE_CHARACTERS = 200

_NAMES: Mapping[str, str] = {"1": "STOP", "2": "MAX_TOKENS", "3": "SAFETY", "4": "RECITATION"}
"""Finish reasons as numbers; from 5 on AI Studio and Vertex AI count differently."""

_UNSET = frozenset({"", "0", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})
_FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}

_FAILED_REASONS: Mapping[str, FailureClass] = {
    # The model failed at its tools; asked again it may manage.
    "MALFORMED_FUNCTION_CALL": FailureClass.MALFORMED_RESPONSE,
    "UNEXPECTED_TOOL_CALL": FailureClass.MALFORMED_RESPONSE,
    "TOO_MANY_TOOL_CALLS": FailureClass.MALFORMED_RESPONSE,
    "MALFORMED_RESPONSE": FailureClass.MALFORMED_RESPONSE,
    "MISSING_THOUGHT_SIGNATURE": FailureClass.UNSUPPORTED,
}
"""Finish reasons with which the provider says that the answer is not whole."""


class GeminiReader:
    """Reads the chunks of one answer, or the one document of a whole answer; see `AnswerReader`."""

    def __init__(self, provider: str, classifier: FailureClassifier) -> None:
        self._parts = PartAssembler(provider)
        self._classifier = classifier
        self._reason = ""
        self._block_reason = ""
        self._model: str | None = None
        self._usage: WireUsage | None = None
        self._halves = HalfCharacters()
        self._answered = False
        self._meter = ConfidenceMeter()

    @property
    def finished(self) -> bool:
        """Whether the terminal marker, a finish reason or a reason not to answer, was seen."""
        return bool(self._reason or self._block_reason)

    def read_usual_events(self, data: bytes) -> bytes:
        """Leave all to be read one by one: google's events end in CR and LF."""
        return data

    def read_event(self, data: bytes, name: bytes) -> bool:
        """Take one event of a stream; the format has no last one, so it ends where its body does.

        Raises:
            AttemptFailure: The data tell an error, or are no chunk.
        """
        self._read(data, is_error=name == b"error")
        return False

    def read_document(self, data: bytes) -> None:
        """Take an answer that is one document: an object, or all chunks of a stream in one array.

        Raises:
            AttemptFailure: The data tell an error, or are no answer.
        """
        if data.lstrip().startswith(b"["):
            for chunk in self._members(data):
                self._read(chunk)
        else:
            self._read(data, whole=True)
        if not (self._answered or self.finished):
            raise malformed("the answer has no candidates")

    def take(self) -> list[Delta]:
        """The deltas of what was read since the last time."""
        return self._parts.take()

    def finish(self) -> None:
        """Read what was kept, after which `take` gives the last deltas and `ending` the end.

        Raises:
            AttemptFailure: As in `read_event`.
        """
        if self._halves.kept:
            self._read(self._halves.released()[0])

    def ending(self) -> Ending:
        """How the answer ended.

        Raises:
            AttemptFailure: There was no finish reason.
        """
        if not self.finished:
            raise AttemptFailure(
                FailureClass.TRANSIENT, "the answer ended without a finish reason", http_status=_OK
            )
        finish_reason = FinishReason.CONTENT_FILTER
        if self._reason:
            finish_reason = _FINISH_REASONS.get(self._reason, FinishReason.OTHER)
        if finish_reason is FinishReason.STOP and self._parts.has_calls:
            finish_reason = FinishReason.TOOL_CALLS
        return Ending(
            finish_reason,
            provider_reason=self._reason or self._block_reason,
            served_model=self._model or "",
            usage=None if self._usage is None else usage_of(self._usage),
            confidence=self._meter.confidence(self._usage),
        )

    def _read(self, data: bytes, *, is_error: bool = False, whole: bool = False) -> None:
        if self._halves.kept and not _is_aside(data):
            kept, data = self._halves.released(data)
            self._read(kept)
        try:
            chunk = decode_chunk(data)
        except NOT_JSON as error:
            readable = self._halves.mended(data, keeps=not (whole or is_error))
            if readable is None:
                readable = USAGE_MENDER.mended(data)
            if readable is None:
                raise unreadable(self._classifier, data, _ANSWER, is_error=is_error) from error
            if readable:
                self._read(readable, is_error=is_error, whole=whole)
            return
        if chunk.error or is_error or not chunk.candidates:
            check_for_error(self._classifier, data, is_error=is_error)
        self._add(chunk)

    def _members(self, data: bytes) -> list[bytes]:
        try:
            try:
                members = decode_array(data)
            except msgspec.DecodeError:
                members = decode_array(mended(data))
        except NOT_JSON as error:
            raise unreadable(self._classifier, data, _ANSWER) from error
        return [bytes(member) for member in members]

    def _add(self, chunk: Chunk) -> None:
        if chunk.model_version and self._model is None:
            self._model = self._classifier.told(chunk.model_version, _MAX_MODEL_CHARACTERS)
        if chunk.response_id:
            self._parts.response_id = chunk.response_id
        usage = chunk.usage_metadata
        if usage is not None and tells_counts(usage):
            self._usage = usage
        if chunk.prompt_feedback is not None:
            block_reason = chunk.prompt_feedback.block_reason
            self._block_reason = self._told_reason(str(block_reason or "")) or self._block_reason
        for candidate in chunk.candidates or ():
            if not candidate.index:  # only one was asked for, and its index may be missing
                self._add_candidate(candidate)

    def _add_candidate(self, candidate: Candidate) -> None:
        self._answered = True
        if candidate.content is not None and candidate.content.parts:
            add = self._parts.add
            for part in candidate.content.parts:
                add(part)
        if candidate.avg_logprobs is not None or candidate.logprobs_result is not None:
            self._meter.add(candidate)
        if candidate.finish_reason is not None:
            self._read_reason(candidate)

    def _read_reason(self, candidate: Candidate) -> None:
        named = str(candidate.finish_reason)
        reason = self._told_reason(_NAMES.get(named, named))
        failure_class = _FAILED_REASONS.get(reason)
        if failure_class is not None:
            said = self._classifier.told(candidate.finish_message or "", _MAX_MESSAGE_CHARACTERS)
            raise AttemptFailure(
                failure_class,
                said or "the provider gave up in the middle of its answer",
                http_status=_OK,
                provider_code=reason,
            )
        self._reason = reason or self._reason

    def _told_reason(self, reason: str) -> str:
        if reason in _FINISH_REASONS or reason in _FAILED_REASONS:
            return reason
        if reason in _UNSET:
            return ""
        return told_reason(self._classifier, reason)


def _is_aside(data: bytes) -> bool:
    # Usage may come between the two halves of a character, in a chunk of its own.
    try:
        chunk = decode_chunk(data)
    except NOT_JSON:
        return False
    if chunk.usage_metadata is None or chunk.error:
        return False
    return not any(
        candidate.finish_reason or (candidate.content is not None and candidate.content.parts)
        for candidate in chunk.candidates or ()
    )
