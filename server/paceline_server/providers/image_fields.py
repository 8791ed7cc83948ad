"""Reading the size of images that state it at a known place: WebP, BMP and TIFF.

Where these files say how long they are, a file that ends early is found too.
"""

from __future__ import annotations

import struct

from paceline_server.providers.image_header import ImageHeader, number
from paceline_server.providers.media_faults import DamagedMedia, MediaMisfit

_OLD_BMP_HEADER = 12
_BMP_RUN_LENGTH = frozenset({1, 2, 4, 5})
"""Compressed rows, whose length no header tells."""

_TIFF_NUMBERS = {1: 1, 3: 2, 4: 4}
"""The size of each kind of number that a size or a place is written in."""

_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 273, 279, 324, 325
_TIFF_TAGS = frozenset(
    {_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, _STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES}
)


def webp_header(data: bytes) -> ImageHeader:
    """The header of a WebP file that is as long as it says.

    Raises:
        DamagedMedia: It is cut, or starts with no image.
    """
    # The byte that makes the length even is left out by some.
    if number(data, 4, 4, "little") + 8 > len(data) + 1:
        raise DamagedMedia("is shorter than it says")
    kind = data[12:16]
    if kind == b"VP8X":
        return ImageHeader(number(data, 24, 3, "little") + 1, number(data, 27, 3, "little") + 1)
    if kind == b"VP8L":
        bits = number(data, 21, 4, "little")
        return ImageHeader((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return ImageHeader(number(data, 26, 2, "little") & 0x3FFF, number(data, 28, 2, "little") & 0x3FFF)
    raise DamagedMedia("lacks its pixels")


def bmp_header(data: bytes) -> ImageHeader:
    """The header of a BMP file that has its last row.

    Raises:
        DamagedMedia: It is cut.
    """
    pixels, size = struct.unpack_from("<II", data, 10)
    compression = 0
    if size == _OLD_BMP_HEADER:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    # A negative height means that the rows are stored from the top.
    rows = abs(height)
    stored = 0 if compression in _BMP_RUN_LENGTH else (width * depth + 31) // 32 * 4 * rows
    if pixels + stored > len(data):
        raise DamagedMedia("ends before its last row")
    return ImageHeader(width, rows)


def tiff_header(data: bytes) -> ImageHeader:
    """The header of a TIFF file whose first image has its last strip or tile.

    Raises:
        DamagedMedia: It is cut, or lacks what an image must have.
        MediaMisfit: Its directory is one that readers take differently.
    """
    order = "<" if data.startswith(b"II") else ">"
    fields = _tiff_fields(data, order)
    ends = [
        places[-1] + sizes[-1]
        for places, sizes in (
            (fields.get(_STRIPS), fields.get(_STRIP_SIZES)),
            (fields.get(_TILES), fields.get(_TILE_SIZES)),
        )
        if places and sizes
    ]
    if not ends or _WIDTH not in fields or _HEIGHT not in fields:
        raise DamagedMedia("lacks its pixels")
    if max(ends) > len(data):
        raise DamagedMedia("ends before its last row")
    tile_width, tile_height = fields.get(_TILE_WIDTH, (0,))[0], fields.get(_TILE_HEIGHT, (0,))[0]
    return ImageHeader(fields[_WIDTH][0], fields[_HEIGHT][0], tile_pixel_count=tile_width * tile_height)


def _tiff_fields(data: bytes, order: str) -> dict[int, tuple[int, int]]:
    """The first and the last number of each field that matters."""
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, directory)
    fields = {}
    previous = -1
    for start in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, start)
        # Of a field that stands twice the decoder takes another one than is read here, and it takes kinds of
        # numbers that no writer uses for these: either would hide how much it allocates.
        if tag <= previous or (tag in _TIFF_TAGS and kind not in _TIFF_NUMBERS):
            raise MediaMisfit("is a TIFF whose fields are not as they must be; send it as JPEG or PNG")
        previous = tag
        if tag in _TIFF_TAGS and length:
            size = _TIFF_NUMBERS[kind]
            place = start + 8
            if length * size > 4:  # noqa: PLR2004 - what fits into the place of an address stands there itself
                (place,) = struct.unpack_from(f"{order}I", data, place)
            fields[tag] = (
                _tiff_number(data, place, size, order),
                _tiff_number(data, place + (length - 1) * size, size, order),
            )
    return fields


def _tiff_number(data: bytes, start: int, size: int, order: str) -> int:
    return number(data, start, size, "little" if order == "<" else "big")
