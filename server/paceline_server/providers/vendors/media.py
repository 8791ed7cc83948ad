"""Kinds of media that several vendors take alike, and those that a wire format has a place for."""

from __future__ import annotations

from collections.abc import Mapping

WEB_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
PDF = frozenset({"application/pdf"})

MEGABYTE = 1_000_000
MEBIBYTE = 2**20

SENDABLE: Mapping[str, tuple[str, ...]] = {
    "openai": (
        *("image/*", "application/pdf"),
        *("audio/wav", "audio/wave", "audio/x-wav", "audio/mpeg", "audio/mp3"),
    ),
    "anthropic": (*sorted(WEB_IMAGES), "image/jpg", "application/pdf", "text/plain"),
    "gemini": ("*/*",),
}
"""What requests of a wire format can hold, by the format; a `*` stands for any."""


def is_sendable(media_type: str, wire_format: str) -> bool:
    """Whether requests of this format have a place for media of this type."""
    kind = media_type.partition("/")[0]
    return not {media_type, f"{kind}/*", "*/*"}.isdisjoint(SENDABLE[wire_format])


def before_base64(encoded_bytes: int) -> int:
    """How many bytes a limit on the encoded text leaves; base64 makes four characters of three bytes."""
    return encoded_bytes // 4 * 3
