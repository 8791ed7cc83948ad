"""Putting the parts of generateContent answers together: wire parts in, merged deltas out.

Neighbouring texts without a signature are one part, and so are neighbouring thoughts. All else is a part
of its own: what bears a signature must go back as it came, never joined with what does not bear it, so a
text that is empty but for its signature is a part, too. What the provider's own tools did (code that it
ran, its results) is reasoning that nobody else can read, and goes back to it unchanged.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any

import msgspec

from paceline_server.completion.content import Media, ProviderSignature
from paceline_server.completion.deltas import DeltaKind, ReasoningDelta, TextDelta, ToolCallDelta
from paceline_server.providers.answer_failures import malformed
from paceline_server.providers.delta_runs import NO_PART, DeltaRuns
from paceline_server.providers.gemini_wire import Blob, FunctionCall, WirePart
from paceline_server.providers.half_characters import mended
from paceline_server.providers.json_faults import NOT_JSON

GENERATED_CALL = "paceline_"
"""How the ids of calls begin to which the provider gave none; it does not get these back."""

UNSIGNED = b"-"
"""Stands for the signature of what goes back to this provider only and bears none."""

_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9_-]")
_MAX_ID_CHARACTERS = 24
_NO_ARGUMENTS = "{}"
_URL_SAFE = str.maketrans("-_", "+/")
_BASE64_GROUP = 4


class PartAssembler(DeltaRuns):
    """Collects the parts of one answer. Whatever adds to it raises AttemptFailure, of MALFORMED_RESPONSE.

    Attributes:
        has_calls: Whether a tool is called.
        response_id: The answer's own id, which makes the ids of its calls differ from those of other answers.
    """

    __slots__ = ("_open_kind", "_open_part", "_provider", "has_calls", "response_id")

    def __init__(self, provider: str) -> None:
        """Make one; `provider` is named in signatures."""
        super().__init__()
        self.has_calls = False
        self._provider = provider
        self.response_id = ""
        self._open_part = NO_PART  # the text or the thought that the next piece may go on
        self._open_kind: type[TextDelta | ReasoningDelta] = TextDelta

    def add(self, part: WirePart) -> None:
        """Take one part, or a piece of one."""
        text = part.text
        if text is not None:
            kind = ReasoningDelta if part.thought else TextDelta
            if part.thought_signature:
                self._put(kind(text), part)
            elif text:
                self._extend(kind, text)
        elif part.function_call is not None:
            self._add_call(part.function_call, part)
        elif part.inline_data is not None:
            if not part.thought:  # sketches that precede the picture
                self._put(_media(part.inline_data), part)
        elif part.file_data is not None:
            self._put(Media(part.file_data.mime_type or "", uri=part.file_data.file_uri or ""), part)
        else:
            self._add_own(part)

    def _extend(self, kind: type[TextDelta | ReasoningDelta], text: str) -> None:
        if self._open_part == NO_PART or kind is not self._open_kind:
            self._open_part = self.new_part()
            self._open_kind = kind
        self.extend(self._open_part, kind, text)

    def _put(self, kind: DeltaKind, part: WirePart) -> None:
        signature = None
        if part.thought_signature:
            signature = ProviderSignature(self._provider, part.thought_signature.encode())
        self.put(self.new_part(), kind, signature)
        self._open_part = NO_PART

    def _add_call(self, call: FunctionCall, part: WirePart) -> None:
        if not call.name:
            raise malformed("the answer calls a tool without naming it")
        self.has_calls = True
        call_id = "" if call.id is None else str(call.id)
        if not call_id:
            answer_id = _NOT_OF_AN_ID.sub("", self.response_id)[-_MAX_ID_CHARACTERS:]
            call_id = f"{GENERATED_CALL}{answer_id}_{self.part_count}"
        self._put(ToolCallDelta(call_id, call.name, _arguments(call.args)), part)

    def _add_own(self, part: WirePart) -> None:
        members: dict[str, Any] = {
            "executableCode": part.executable_code,
            "codeExecutionResult": part.code_execution_result,
            "toolCall": part.tool_call,
            "toolResponse": part.tool_response,
        }
        kept = {name: value for name, value in members.items() if bytes(value) not in (b"", b"null")}
        if kept:
            signature = ProviderSignature(self._provider, (part.thought_signature or "").encode() or UNSIGNED)
            data = msgspec.json.encode(kept)
            self.put(self.new_part(), ReasoningDelta(redacted_data=data), signature)
            self._open_part = NO_PART
        elif part.thought_signature:
            self._put(TextDelta(""), part)


def _arguments(args: msgspec.Raw) -> str:
    data = bytes(args)
    if data in (b"", b"null"):
        return _NO_ARGUMENTS
    try:
        return mended(msgspec.json.format(data, indent=-1)).decode()
    except NOT_JSON as error:
        raise malformed("the arguments of a tool call are not JSON") from error


def _media(blob: Blob) -> Media:
    text = (blob.data or "").translate(_URL_SAFE).rstrip("=")
    try:
        data = b64decode(text + "=" * (-len(text) % _BASE64_GROUP), validate=True)
    except ValueError as error:
        raise malformed("the media of the answer are not base64") from error
    return Media(blob.mime_type or "", data)
