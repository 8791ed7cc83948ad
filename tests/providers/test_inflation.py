"""Compressed bodies, as bytes in pieces of any size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence

import httpx
import pytest

from paceline_server.providers.inflation import Inflater, inflater_of

_TWO_MEMBERS = gzip.compress(b"hello ") + gzip.compress(b"") + gzip.compress(b"world")


def _inflated(compressed: bytes, size: int) -> bytes:
    """All of it, read as `http` reads, with `size` bytes arriving at once."""
    inflater = Inflater()
    inflated = [_step(inflater, compressed[at : at + size]) for at in range(0, len(compressed), size)]
    return b"".join(inflated) + inflater.flush()


def _step(inflater: Inflater, arrived: bytes) -> bytes:
    pieces = [inflater.inflate(arrived)]
    while inflater.rest:
        pieces.append(inflater.inflate(inflater.rest))
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
@pytest.mark.parametrize(
    "compressed",
    [
        gzip.compress(b"hello world"),
        zlib.compress(b"hello world"),
        _TWO_MEMBERS,
        _TWO_MEMBERS + b"\0" * 50,
        zlib.compress(b"hello world") + b"what follows" + gzip.compress(b"the end"),
    ],
)
def test_all_members_of_a_body_are_read_and_nothing_else(compressed: bytes, size: int) -> None:
    """A2: an answer is whole however its compressor cut it, and whatever is padded after it."""
    assert _inflated(compressed, size) == b"hello world"


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "compressed", [gzip.compress(b"hello")[:-8] + b"12345678", gzip.compress(b"hello") + b"\x1f\x8bno gzip"]
)
def test_a_damaged_member_is_no_answer(compressed: bytes, size: int) -> None:
    """A2, A3: what cannot be decompressed is said to be damaged, also in a later member."""
    with pytest.raises(httpx.DecodingError, match="damaged"):
        _inflated(compressed, size)


@pytest.mark.parametrize("member_count", [1, 3])
def test_no_piece_is_large(member_count: int) -> None:
    """A2: what unfolds to much does so in pieces, over the members too."""
    inflater = Inflater()
    sizes = [len(inflater.inflate(gzip.compress(b"0" * 3_000_000) * member_count))]
    while inflater.rest:
        sizes.append(len(inflater.inflate(inflater.rest)))
    assert sum(sizes) == member_count * 3_000_000
    assert max(sizes) <= 1024 * 1024


@pytest.mark.parametrize(
    ("headers", "is_compressed"),
    [
        ([], False),
        ([(b"Content-Encoding", b"identity")], False),
        ([(b"content-encoding", b"identity"), (b"Content-Encoding", b" GZIP ")], True),
        ([(b"content-encoding", b"x-gzip")], True),
        ([(b"content-encoding", b"deflate")], True),
    ],
)
def test_the_headers_tell_whether_a_body_is_compressed(
    headers: Sequence[tuple[bytes, bytes]], *, is_compressed: bool
) -> None:
    """A2: only what says so is decompressed."""
    assert (inflater_of(headers) is not None) is is_compressed


def test_a_compression_that_is_not_known_is_no_answer() -> None:
    """A2, A3: bytes that nobody here can read are not passed on."""
    with pytest.raises(httpx.DecodingError, match="not asked for"):
        inflater_of([(b"content-encoding", b"br")])
