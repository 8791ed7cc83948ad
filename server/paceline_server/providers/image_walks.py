"""Reading the size of images whose parts follow each other: PNG, JPEG, GIF, and the boxes of AVIF and HEIC.

The walk over the parts also finds the file that ends early. Damage inside the compressed pixels is found only
where they are decoded.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from paceline_server.providers.image_header import ImageHeader, Steps, number
from paceline_server.providers.media_faults import DamagedMedia

_JPEG_MARKER = re.compile(rb"\xff+([^\xff])")
_JPEG_END = 0xD9
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SEQUENTIAL = frozenset({0xC0, 0xC1})
_JPEG_LONELY = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
"""Markers without a length and what belongs to it."""

_TO_THE_END = 0
_LONG_SIZE = 1
_SMALLEST_BOX = 8


def png_header(data: bytes) -> ImageHeader:
    """The header of a PNG whose chunks are whole.

    Raises:
        DamagedMedia: It is cut, or what its chunks hold is not what was written.
    """
    kinds: set[bytes] = set()
    for kind, start, end in _png_chunks(data):
        # Capitals mark the chunks without which there is no image; readers pass over damage in the others.
        if kind[:1].isupper() and zlib.crc32(memoryview(data)[start - 4 : end]) != _big(data, end):
            raise DamagedMedia("does not match its own checksum")
        kinds.add(kind)
    if not kinds >= {b"IHDR", b"IDAT"}:
        raise DamagedMedia("lacks its pixels")
    return ImageHeader(_big(data, 16), _big(data, 20))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    position, steps, kind = 8, Steps(data), b""
    while kind != b"IEND":
        steps.take()
        start = position + 8
        end = start + _big(data, position)
        if end + 4 > len(data):
            raise DamagedMedia("ends before its end marker")
        kind = data[position + 4 : start]
        yield kind, start, end
        position = end + 4


def jpeg_header(data: bytes) -> ImageHeader:
    """The header of a JPEG that has its end marker.

    Raises:
        DamagedMedia: It is cut.
    """
    frame: tuple[int, int, int] | None = None
    for marker, position in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            frame = marker, *struct.unpack_from(">HH", data, position + 3)
        if marker == _JPEG_SCAN:
            break
    else:
        raise DamagedMedia("ends before its pixels")
    # No pixels look like this marker; a thumbnail has one of its own, but comes before them.
    if frame is None or data.find(b"\xff\xd9", position) < 0:
        raise DamagedMedia("ends before its end marker")
    kind, height, width = frame
    scan_count = 1 + data.count(b"\xff\xda", position)
    # What comes in several scans is put together in memory, at full size.
    return ImageHeader(
        width, height, scan_count=scan_count, is_reducible=kind in _JPEG_SEQUENTIAL and scan_count == 1
    )


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """The markers up to the end, and where what belongs to each begins."""
    position, steps = 2, Steps(data)
    while found := _JPEG_MARKER.search(data, position):
        steps.take()
        marker, position = found[1][0], found.end()
        if marker == _JPEG_END:
            return
        yield marker, position
        if marker not in _JPEG_LONELY:
            position += number(data, position, 2, "big")


def gif_header(data: bytes) -> ImageHeader:
    """The header of a GIF all of whose blocks are whole.

    Raises:
        DamagedMedia: It is cut, or has no image.
    """
    width, height = struct.unpack_from("<HH", data, 6)
    position = 13 + _gif_table_size(data[10])
    steps = Steps(data)
    has_image = False
    while (kind := data[position : position + 1]) in (b"!", b","):
        if kind == b",":
            left, top, image_width, image_height = struct.unpack_from("<HHHH", data, position + 1)
            if not has_image:
                width, height = max(width, left + image_width), max(height, top + image_height)
            has_image = True
            position += 11 + _gif_table_size(data[position + 9])
        else:
            position += 2
        while size := data[position]:
            steps.take()
            position += 1 + size
        position += 1
        steps.take()
    # Some encoders forget the last byte of all; a file that was cut ends within a block.
    if not has_image:
        raise DamagedMedia("ends before its pixels")
    return ImageHeader(width, height)


def _gif_table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def boxes_header(data: bytes) -> ImageHeader:
    """The header of an AVIF or HEIC file whose boxes are whole.

    Raises:
        DamagedMedia: It is cut, or does not state its size.
    """
    width = height = 0
    steps = Steps(data)
    position = data.find(b"ispe")
    while position >= 0:
        steps.take()
        sizes = struct.unpack_from(">II", data, position + 8)
        # Thumbnails and tiles state their size as well as the image that they belong to.
        if max(sizes) > max(width, height):
            width, height = sizes
        position = data.find(b"ispe", position + 16)
    if not _boxes_are_whole(data):
        raise DamagedMedia("ends before its pixels")
    return ImageHeader(width, height)


def _boxes_are_whole(data: bytes) -> bool:
    position, steps = 0, Steps(data)
    while position < len(data):
        steps.take()
        size = _big(data, position)
        if size == _TO_THE_END:
            return True
        if size == _LONG_SIZE:
            size = number(data, position + 8, 8, "big")
        if size < _SMALLEST_BOX:
            return False
        position += size
    return position == len(data)


def _big(data: bytes, start: int) -> int:
    return number(data, start, 4, "big")
