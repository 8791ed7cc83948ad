"""What is read of an Anthropic answer: the fields that are used, typed, and nothing else.

Unknown fields are skipped without being built. One type serves all events, so that a token costs one
decoding; content blocks are decoded by themselves, because those of unknown types may hold anything.
"""

from __future__ import annotations

from typing import Any

import msgspec

NO_JSON = msgspec.Raw()
"""Stands where a member that is kept undecoded was absent."""


class Delta(msgspec.Struct, gc=False):
    """More of a block, or of the message itself."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """Parts of the output's tokens."""

    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Token counts. Those of the cache stand beside `input_tokens`, not within."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class Message(msgspec.Struct, gc=False):
    """A message: whole, or its beginning, to which events add."""

    type: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None
    error: Any = None


class Event(msgspec.Struct, gc=False):
    """An event of a stream. `error` in any of them is a failure."""

    type: str | None = None
    index: int | None = None
    delta: Delta | None = None
    content_block: msgspec.Raw = NO_JSON
    message: Message | None = None
    usage: WireUsage | None = None
    error: Any = None


class ContentBlock(msgspec.Struct, gc=False):
    """A content block of one of the types that are read; its `input` is kept as the model wrote it."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NO_JSON


class Typed(msgspec.Struct, gc=False):
    """The type of an event, a block or a delta, and nothing else that is certain."""

    type: str | None = None
    delta: msgspec.Raw = NO_JSON


decode_event = msgspec.json.Decoder(Event, strict=False).decode
"""Gives the event that some bytes are; like all here it raises one of `NOT_JSON`, and takes numbers
that are written as strings."""

decode_message = msgspec.json.Decoder(Message, strict=False).decode
decode_block = msgspec.json.Decoder(ContentBlock, strict=False).decode
decode_type = msgspec.json.Decoder(Typed).decode
decode_text = msgspec.json.Decoder(str).decode
