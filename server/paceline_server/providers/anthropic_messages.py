"""Writing the messages of Anthropic requests. The rest of the request is in `anthropic_request`.

Neighbours of one role become one message, in which results of tools stand first, as the API wants them.
Left out is what says nothing, which the API refuses: blank texts, messages of which nothing remains,
white space at the end of an answer that is to be continued; and thoughts without a signature of this
provider, which only it can give. Ids of calls that other providers gave are rewritten where they have
characters that the API does not take.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

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
from paceline_server.providers.request_body import (
    invalid,
    misplaced,
    plain_media_type,
    raw_object,
    unsupported,
    untaken_media,
)

Block = dict[str, Any]

_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
_PLAIN_TEXT = "text/plain"
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+")
_ID_BYTES = 12
THOUGHTS = frozenset({"thinking", "redacted_thinking"})
"""The types of the blocks that thoughts are."""


def wire_system(messages: Iterable[Message]) -> list[Block]:
    """What the messages of the system say, wherever they stand: the format has one place for it.

    Raises:
        AttemptFailure: UNSUPPORTED; one holds more than text.
    """
    return [
        block
        for message in messages
        if message.role is Role.SYSTEM
        for part in message.parts
        for block in _said(part, Role.SYSTEM)
    ]


def wire_messages(messages: Iterable[Message], provider: str) -> list[dict[str, Any]]:
    """All other messages, as lists of blocks.

    Raises:
        AttemptFailure: UNSUPPORTED, for what the format has no place for; INVALID_REQUEST, for a call
            whose arguments are no JSON object.
    """
    written: list[dict[str, Any]] = []
    for message in messages:
        if message.role is Role.SYSTEM:
            continue
        role = "assistant" if message.role is Role.ASSISTANT else "user"
        blocks = [block for part in message.parts for block in _blocks(part, message.role, provider)]
        if blocks and written and written[-1]["role"] == role:
            written[-1]["content"] += blocks
        elif blocks:
            written.append({"role": role, "content": blocks})
    for turn in written:
        turn["content"].sort(key=_is_no_result)
    if written and written[-1]["role"] == "assistant":
        _trim(written)
    if not written:
        raise unsupported("this provider answers to messages of the user only; say something in one")
    return written


def plain(content: list[Block]) -> str | list[Block]:
    """`content`, as a text where it is one unmarked text."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        text: str = content[0]["text"]
        return text
    return content


def _blocks(part: Part, role: Role, provider: str) -> Iterator[Block]:
    kind = part.kind
    if isinstance(kind, ToolResult) and role is not Role.ASSISTANT:
        yield _result(kind)
    elif role is Role.ASSISTANT and isinstance(kind, ToolCall):
        what = f"the arguments of tool call {kind.id!r}"
        arguments = raw_object(kind.arguments_json, what) if kind.arguments_json else {}
        yield {"type": "tool_use", "id": _plain_id(kind.id), "name": kind.name, "input": arguments}
    elif role is Role.ASSISTANT and isinstance(kind, Reasoning):
        if part.signature is not None and part.signature.provider == provider:
            yield _thought(kind, part.signature.value)
    else:
        yield from _said(part, role)


def _said(part: Part, role: Role) -> Iterator[Block]:
    kind = part.kind
    if isinstance(kind, Text):
        if kind.text.strip():
            yield {"type": "text", "text": kind.text}
    elif isinstance(kind, Media) and role in (Role.USER, Role.TOOL):
        yield _media(kind)
    else:
        raise misplaced(part, role)


def _thought(thought: Reasoning, signature: bytes) -> Block:
    # The counterpart of what `anthropic_parts` makes of thoughts.
    if thought.redacted_data:
        return {"type": "redacted_thinking", "data": thought.redacted_data.decode("utf-8", "replace")}
    return {
        "type": "thinking",
        "thinking": thought.text,
        "signature": signature.decode("utf-8", "replace"),
    }


def _result(result: ToolResult) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": _plain_id(result.tool_call_id)}
    content = [item for part in result.parts for item in _said(part, Role.TOOL)]
    if content:
        block["content"] = plain(content)
        # The API refuses a failure that says nothing.
        if result.failed:
            block["is_error"] = True
    return block


def _media(media: Media) -> Block:
    media_type = plain_media_type(media).replace("image/jpg", "image/jpeg")
    if media.uri:
        return _referred(media, media_type)
    if media_type in _IMAGE_TYPES or media_type == _PDF:
        return _encoded(media_type, b64encode(media.data).decode())
    if media_type == _PLAIN_TEXT:
        return _document(media.data)
    raise untaken_media(media)


def _referred(media: Media, media_type: str) -> Block:
    scheme, _, rest = media.uri.partition(":")
    if scheme.lower() == "data":
        head, _, data = rest.partition(",")
        if head.lower().endswith(";base64") and (media_type in _IMAGE_TYPES or media_type == _PDF):
            return _encoded(media_type, data)
    elif scheme.lower() in ("https", "http") and (media_type.startswith("image/") or media_type == _PDF):
        return {"type": _block_type(media_type), "source": {"type": "url", "url": media.uri}}
    raise untaken_media(media)


def _encoded(media_type: str, data: str) -> Block:
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": _block_type(media_type), "source": source}


def _document(data: bytes) -> Block:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise invalid("a document of the type 'text/plain' is not UTF-8") from error
    return {"type": "document", "source": {"type": "text", "media_type": _PLAIN_TEXT, "data": text}}


def _block_type(media_type: str) -> str:
    return "document" if media_type == _PDF else "image"


def _trim(written: list[dict[str, Any]]) -> None:
    # The last answer is one to be continued, which can end neither in white space nor in a thought.
    content: list[Block] = written[-1]["content"]
    while content and content[-1]["type"] in THOUGHTS:
        content.pop()
    if not content:
        written.pop()
    elif content[-1]["type"] == "text":
        content[-1]["text"] = content[-1]["text"].rstrip()


def _is_no_result(block: Block) -> bool:
    return bool(block["type"] != "tool_result")


def _plain_id(given: str) -> str:
    if _PLAIN_ID.fullmatch(given):
        return given
    return "call_" + hashlib.blake2b(given.encode(), digest_size=_ID_BYTES).hexdigest()
