"""What a conversation is made of: roles, parts and the kinds of a part.

Values only. How they look on a provider's wire is the adapters' business; how they
look on ours is that of the RPC shell.
"""

from __future__ import annotations

from enum import Enum

from paceline_server.completion.immutable import immutable


class Role(Enum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@immutable(frozen=True, slots=True)
class Text:
    """Plain text."""

    text: str


@immutable(frozen=True, slots=True)
class Media:
    """An image, a sound, a document: exactly one of `data` (the bytes) and `uri` is set."""

    media_type: str
    data: bytes = b""
    uri: str = ""


@immutable(frozen=True, slots=True)
class Reasoning:
    """What a model thought before it answered; `redacted_data` is thought that only its provider can read."""

    text: str = ""
    redacted_data: bytes = b""


@immutable(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool; `arguments_json` is the model's text and need not be JSON."""

    id: str
    name: str
    arguments_json: str


@immutable(frozen=True, slots=True)
class ToolResult:
    """What a tool answered to the call `tool_call_id`."""

    tool_call_id: str
    parts: tuple[Part, ...]
    failed: bool = False


@immutable(frozen=True, slots=True)
class ProviderSignature:
    """An opaque proof that a provider wants back with the part, unchanged; never sent to another provider."""

    provider: str
    value: bytes


Kind = Text | Media | Reasoning | ToolCall | ToolResult


@immutable(frozen=True, slots=True)
class Part:
    """One piece of a message or an answer."""

    kind: Kind
    signature: ProviderSignature | None = None


@immutable(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]
