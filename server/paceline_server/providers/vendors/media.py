"""Kinds of media that several vendors take alike."""

from __future__ import annotations

WEB_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
PDF = frozenset({"application/pdf"})

MEGABYTE = 1_000_000
MEBIBYTE = 2**20


def before_base64(encoded_bytes: int) -> int:
    """How many bytes a limit on the encoded text leaves; base64 makes four characters of three bytes."""
    return encoded_bytes // 4 * 3
