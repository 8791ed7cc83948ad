"""Writing the messages of chat-completions requests. The rest of the request is in `openai_request`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
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
from paceline_server.providers.json_faults import NOT_JSON
from paceline_server.providers.openai_settings import REASONING_ITEMS, OpenAISettings, PrefillMark
from paceline_server.providers.request_body import (
    invalid,
    misplaced,
    plain_media_type,
    unsupported,
    untaken_media,
)

_AUDIO_FORMATS: Mapping[str, str] = {
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
_PDF = "application/pdf"
_NO_ARGUMENTS = "{}"
"""What vendors parse where a call has no arguments; an empty text is no JSON to them."""

_CACHE_MARK = {"type": "ephemeral"}


def wire_messages(
    messages: Sequence[Message], provider: str, settings: OpenAISettings, *, cache_marks: bool
) -> list[dict[str, Any]]:
    """`messages` as the format has them; with `cache_marks`, the first and the last end in a mark.

    Raises:
        AttemptFailure: UNSUPPORTED, for what the format has no place for.
    """
    written: list[dict[str, Any]] = []
    for message in messages:
        written.extend(_written(message, provider, settings))
    if settings.prefill is PrefillMark.PREFIX and is_prefill(written[-1]):
        written[-1]["prefix"] = True
    if cache_marks:
        for marked in (written[0], written[-1]) if len(written) > 1 else written:
            _mark(marked)
    return written


def is_prefill(message: Mapping[str, Any]) -> bool:
    """Whether the last message is the beginning of the answer that is asked for."""
    return message["role"] == "assistant" and bool(message["content"]) and "tool_calls" not in message


def _written(message: Message, provider: str, settings: OpenAISettings) -> Iterator[dict[str, Any]]:
    # Results of tools are messages of their own here, and stand before what is said beside them.
    for part in message.parts:
        if isinstance(part.kind, ToolResult):
            yield _result(part.kind)
    parts = [part for part in message.parts if not isinstance(part.kind, ToolResult)]
    if message.role is Role.ASSISTANT:
        yield _assistant(parts, provider, settings)
    elif message.role is Role.TOOL:
        if parts:
            raise misplaced(parts[0], message.role)
    elif parts or not message.parts:
        role = settings.system_role if message.role is Role.SYSTEM else message.role.value
        yield {"role": role, "content": _content([_item(part, message.role) for part in parts])}


def _assistant(parts: Sequence[Part], provider: str, settings: OpenAISettings) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[str] = []
    details: list[dict[str, Any]] = []
    for part in parts:
        kind = part.kind
        if isinstance(kind, Text):
            items.append({"type": "text", "text": kind.text})
        elif isinstance(kind, ToolCall):
            function = {"name": kind.name, "arguments": kind.arguments_json or _NO_ARGUMENTS}
            calls.append({"id": kind.id, "type": "function", "function": function})
        elif isinstance(kind, Reasoning):
            # A thought that another provider has signed is that provider's alone.
            if part.signature is None:
                thoughts.append(kind.text)
            elif part.signature.provider == provider:
                details.append(_detail(kind, part.signature.value))
        else:
            raise misplaced(part, Role.ASSISTANT)

    message: dict[str, Any] = {"role": "assistant", "content": _content(items) if items else None}
    thought = "".join(thoughts)
    if thought and settings.reasoning_field:
        message[settings.reasoning_field] = _thought(thought, settings, items)
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    return message


def _thought(
    thought: str, settings: OpenAISettings, answer: Sequence[dict[str, Any]]
) -> str | list[dict[str, Any]]:
    if settings.reasoning_field != REASONING_ITEMS:
        return thought
    return [{"type": "thinking", "thinking": [{"type": "text", "text": thought}]}, *answer]


def _detail(thought: Reasoning, signature: bytes) -> dict[str, Any]:
    # The counterpart of what `openai_parts` keeps of a reasoning detail.
    try:
        detail = msgspec.json.decode(signature, type=dict[str, Any])
    except NOT_JSON as error:
        raise invalid("a signature is not what this provider gave") from error
    if thought.text:
        detail["summary" if detail.get("type") == "reasoning.summary" else "text"] = thought.text
    if thought.redacted_data:
        detail["data"] = thought.redacted_data.decode("utf-8", "replace")
    return detail


def _result(result: ToolResult) -> dict[str, Any]:
    # The format cannot tell that a tool failed, so the parts go alone: words of ours would be the tool's.
    items = [_item(part, Role.TOOL) for part in result.parts]
    if all(item["type"] == "text" for item in items):
        return {
            "role": "tool",
            "tool_call_id": result.tool_call_id,
            "content": "".join(item["text"] for item in items),
        }
    raise unsupported("this provider's tool results are text only")


def _item(part: Part, role: Role) -> dict[str, Any]:
    kind = part.kind
    if isinstance(kind, Text):
        return {"type": "text", "text": kind.text}
    if isinstance(kind, Media) and role is not Role.SYSTEM:
        return _media(kind)
    raise misplaced(part, role)


def _media(media: Media) -> dict[str, Any]:
    media_type = plain_media_type(media)
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": media.uri or _data_uri(media_type, media.data)}}
    if media_type in _AUDIO_FORMATS and not media.uri:
        audio = {"data": b64encode(media.data).decode(), "format": _AUDIO_FORMATS[media_type]}
        return {"type": "input_audio", "input_audio": audio}
    if media_type == _PDF and not media.uri:
        return {
            "type": "file",
            "file": {"filename": "document.pdf", "file_data": _data_uri(_PDF, media.data)},
        }
    raise untaken_media(media)


def _data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def _content(items: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if not items:
        return ""
    if len(items) == 1 and items[0]["type"] == "text":
        text: str = items[0]["text"]
        return text
    return items


def _mark(message: dict[str, Any]) -> None:
    content = message["content"]
    if isinstance(content, str):
        content = message["content"] = [{"type": "text", "text": content}]
    if content:
        content[-1]["cache_control"] = _CACHE_MARK
