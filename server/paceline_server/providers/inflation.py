"""Undoing the compression of an answer's body, a bounded piece at a time.

It is not asked for, but some gateways compress whatever is asked. Reading the body is `http`'s business.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import httpx

_MAX_INFLATED_BYTES = 1024 * 1024
"""What is decompressed at once: a compressed byte may unfold to a thousand."""

_ANY_ZLIB_HEADER = zlib.MAX_WBITS | 32
"""Tells zlib to accept the gzip and the zlib form alike."""

_FIRST_OF_GZIP = b"\x1f"


class Inflater:
    """Decompresses one body, which in the gzip form may be several members, one after the other.

    Attributes:
        rest: Compressed bytes that are to be given to `inflate` before any others.
    """

    def __init__(self) -> None:
        """Make one for a body of which nothing has come."""
        self.rest = b""
        self._member = zlib.decompressobj(_ANY_ZLIB_HEADER)
        self._is_over = False

    def inflate(self, compressed: bytes) -> bytes:
        """What the next bytes unfold to, up to a bound; b"" where they are too few, or follow the end.

        Raises:
            httpx.DecodingError: They are damaged.
        """
        if self._member.eof:
            # Padding may follow the last member, and is nobody's loss.
            self._is_over = self._is_over or not compressed.startswith(_FIRST_OF_GZIP)
            if self._is_over:
                self.rest = b""
                return b""
            self._member = zlib.decompressobj(_ANY_ZLIB_HEADER)
        try:
            inflated = self._member.decompress(compressed, _MAX_INFLATED_BYTES)
        except zlib.error as error:
            raise _damaged() from error
        self.rest = self._member.unconsumed_tail or self._member.unused_data
        return inflated

    def flush(self) -> bytes:
        """What is left once all bytes were given.

        Raises:
            httpx.DecodingError: They were damaged.
        """
        try:
            return self._member.flush()
        except zlib.error as error:
            raise _damaged() from error


def inflater_of(raw_headers: Iterable[tuple[bytes, bytes]]) -> Inflater | None:
    """What decompresses the body after these headers; None if it is not compressed.

    Raises:
        httpx.DecodingError: It is compressed in a form that is not known here.
    """
    for name, value in raw_headers:
        if name.lower() != b"content-encoding":
            continue
        encoding = value.strip().lower()
        if encoding in {b"gzip", b"x-gzip", b"deflate"}:
            return Inflater()
        if encoding not in {b"", b"identity"}:
            raise httpx.DecodingError("the answer has a content encoding that was not asked for")
    return None


def _damaged() -> httpx.DecodingError:
    return httpx.DecodingError("the compressed body is damaged")
