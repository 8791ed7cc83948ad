"""Writing the contents of generateContent requests. The rest of the request is in `gemini_request`.

The format takes instructions only at the head, and wants its two roles in turn. Foreign thoughts and
those without a signature are left out, as the provider reads nothing from them, and so are empty texts,
which it refuses; what bears this provider's signature goes back as it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from paceline_server.completion.content import (
    Media,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.gemini_models import ModelTraits
from paceline_server.providers.gemini_parts import GENERATED_CALL, UNSIGNED
from paceline_server.providers.gemini_settings import GeminiSettings
from paceline_server.providers.json_faults import NOT_JSON
from paceline_server.providers.request_body import (
    invalid,
    json_object,
    misplaced,
    plain_media_type,
    unsupported,
    untaken_media,
)

_MODEL = "model"
_USER = "user"
_NO_ARGUMENTS = msgspec.Raw(b"{}")
_DATA_URI = "data:"
_MAX_TOLD_ID_CHARACTERS = 64

_UNSIGNED = UNSIGNED.decode()
_UNCHECKED = "skip_thought_signature_validator"
"""The documented signature of calls that another model has made."""


class ContentsWriter:
    """Writes the messages of one prompt.

    Attributes:
        contents: What was said, in turns.
        instructions: The parts of the system's messages, in order.
    """

    def __init__(self, provider: str, settings: GeminiSettings, traits: ModelTraits) -> None:
        self.contents: list[dict[str, Any]] = []
        self.instructions: list[dict[str, Any]] = []
        self._provider = provider
        self._settings = settings
        self._traits = traits
        self._name_of_call: dict[str, str] = {}

    def add(self, message: Message) -> None:
        """Write one message.

        Raises:
            AttemptFailure: UNSUPPORTED, for what the format has no place for; INVALID_REQUEST, for a result
                of no call.
        """
        if message.role is Role.SYSTEM:
            self.instructions.extend(_instruction(part) for part in message.parts)
        elif message.role is Role.ASSISTANT:
            self._add_turn(_MODEL, list(self._answer(message.parts)))
        else:
            parts = [self._asked(part, message.role) for part in message.parts if part.kind != Text("")]
            self._add_turn(_USER, parts or [{"text": ""}])

    def _add_turn(self, role: str, parts: list[dict[str, Any]]) -> None:
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"].extend(parts)
        else:
            self.contents.append({"role": role, "parts": parts})

    def _asked(self, part: Part, role: Role) -> dict[str, Any]:
        kind = part.kind
        if isinstance(kind, ToolResult):
            return self._result(kind)
        if role is Role.USER and isinstance(kind, Text):
            return {"text": kind.text}
        if role is Role.USER and isinstance(kind, Media):
            return _media(kind)
        raise misplaced(part, role)

    def _answer(self, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
        vouches = self._traits.checks_signatures
        for part in parts:
            signature = self._own_signature(part)
            if isinstance(part.kind, ToolCall):
                signature = signature or (_UNCHECKED if vouches else "")
                vouches = False
            written = self._said(part, signature)
            if written and signature and signature != _UNSIGNED:
                written["thoughtSignature"] = signature
            if written:
                yield written

    def _said(self, part: Part, signature: str) -> dict[str, Any]:
        kind = part.kind
        if isinstance(kind, Text):
            return {"text": kind.text} if kind.text or signature else {}
        if isinstance(kind, ToolCall):
            return self._call(kind)
        if isinstance(kind, Media):
            return _media(kind)
        if not isinstance(kind, Reasoning):
            raise misplaced(part, Role.ASSISTANT)
        if not signature:
            return {}
        return _own_part(kind) if kind.redacted_data else {"text": kind.text, "thought": True}

    def _own_signature(self, part: Part) -> str:
        signature = part.signature
        if signature is None or signature.provider != self._provider:
            return ""
        try:
            return signature.value.decode("ascii")
        except UnicodeDecodeError as error:
            raise _not_given() from error

    def _call(self, call: ToolCall) -> dict[str, Any]:
        self._name_of_call[call.id] = call.name
        arguments = call.arguments_json
        try:
            members = json_object(arguments, "the arguments") if arguments else {}
        except AttemptFailure as failure:
            raise unsupported(
                f"this provider's calls have JSON objects as arguments, unlike the call {_told(call.id)}"
            ) from failure
        args = msgspec.Raw(arguments.encode()) if members else _NO_ARGUMENTS
        return {"functionCall": {"name": call.name, "args": args, **self._id(call.id)}}

    def _result(self, result: ToolResult) -> dict[str, Any]:
        name = self._name_of_call.get(result.tool_call_id)
        if name is None:
            raise invalid(f"the tool result for {_told(result.tool_call_id)} answers no earlier call")
        texts: list[str] = []
        media: list[dict[str, Any]] = []
        for part in result.parts:
            if isinstance(part.kind, Text):
                texts.append(part.kind.text)
            elif isinstance(part.kind, Media):
                if part.kind.uri or not self._traits.takes_media_results:
                    raise unsupported("this model's tool results are text only, or hold media by value")
                media.append(_media(part.kind))
            else:
                raise misplaced(part, Role.TOOL)
        response = _response("".join(texts), failed=result.failed)
        written = {"name": name, "response": response, **self._id(result.tool_call_id)}
        return {"functionResponse": {**written, "parts": media} if media else written}

    def _id(self, call_id: str) -> dict[str, str]:
        known = self._settings.sends_call_ids and not call_id.startswith(GENERATED_CALL)
        return {"id": call_id} if known else {}


def _instruction(part: Part) -> dict[str, Any]:
    if isinstance(part.kind, Text):
        return {"text": part.kind.text}
    raise misplaced(part, Role.SYSTEM)


def _response(text: str, *, failed: bool) -> msgspec.Raw | dict[str, Any]:
    try:
        json_object(text, "the result")
    except AttemptFailure:
        return {"error" if failed else "result": text}
    whole = msgspec.Raw(text.encode())
    return {"error": whole} if failed else whole


def _own_part(thought: Reasoning) -> dict[str, Any]:
    # The counterpart of what `gemini_parts` keeps of the provider's own tools.
    try:
        members: dict[str, Any] = msgspec.json.decode(thought.redacted_data, type=dict[str, msgspec.Raw])
    except NOT_JSON as error:
        raise _not_given() from error
    return members


def _media(media: Media) -> dict[str, Any]:
    media_type = plain_media_type(media)
    if media.uri.startswith(_DATA_URI):
        given_type, mark, data = media.uri.removeprefix(_DATA_URI).partition(";base64,")
        if not (mark and (media_type or given_type)):
            raise untaken_media(media)
        return {"inlineData": {"mimeType": media_type or given_type, "data": data}}
    if media.uri:
        file_data = {"mimeType": media_type, "fileUri": media.uri} if media_type else {"fileUri": media.uri}
        return {"fileData": file_data}
    if not media_type:
        raise untaken_media(media)
    return {"inlineData": {"mimeType": media_type, "data": media.data}}


def _told(call_id: str) -> str:
    return repr(call_id[:_MAX_TOLD_ID_CHARACTERS])


def _not_given() -> AttemptFailure:
    return invalid("a signature is not what this provider gave")
