"""The size of an image, and whether its file is whole, without decoding it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import itemgetter

import pytest

from paceline_server.completion.content import Media
from paceline_server.providers.image_fields import bmp_header, tiff_header, webp_header
from paceline_server.providers.image_walks import boxes_header, gif_header, jpeg_header, png_header
from paceline_server.providers.media_faults import DamagedMedia, MediaMisfit
from paceline_server.providers.media_fitting import judged
from tests.providers.pictures import HEIC, claimed_png, noise, photograph, stored

_PICTURE = noise("RGB", (61, 37))
_FRAMES = [noise("L", (61, 37)), noise("L", (61, 37)).rotate(90), noise("L", (61, 37)).rotate(180)]
_FILES = {
    "PNG": stored(_PICTURE, "PNG"),
    "APNG": stored(_FRAMES[0], "PNG", save_all=True, append_images=_FRAMES[1:]),
    "JPEG": stored(_PICTURE, "JPEG"),
    "progressive JPEG": stored(_PICTURE, "JPEG", progressive=True),
    "JPEG with a preview": stored(_PICTURE, "MPO", save_all=True, append_images=[_PICTURE]),
    "GIF": stored(_PICTURE, "GIF"),
    "GIF of frames": stored(_FRAMES[0], "GIF", save_all=True, append_images=_FRAMES[1:]),
    "WebP": stored(_PICTURE, "WEBP"),
    "lossless WebP": stored(_PICTURE, "WEBP", lossless=True),
    "WebP of frames": stored(_FRAMES[0], "WEBP", save_all=True, append_images=_FRAMES[1:]),
    "AVIF": stored(_PICTURE, "AVIF"),
    "BMP": stored(_PICTURE, "BMP"),
    "BMP of two colours": stored(_PICTURE.convert("1"), "BMP"),
    "TIFF": stored(_PICTURE, "TIFF"),
    "LZW TIFF": stored(_PICTURE, "TIFF", compression="tiff_lzw"),
}
_READERS = {
    "PNG": png_header,
    "APNG": png_header,
    "JPEG": jpeg_header,
    "GIF": gif_header,
    "WebP": webp_header,
    "AVIF": boxes_header,
    "BMP": bmp_header,
    "TIFF": tiff_header,
}


def _judged(data: bytes) -> None:
    judged(Media("image/x", data), None)


@pytest.mark.parametrize("name", _FILES)
def test_the_size_is_read(name: str) -> None:
    """A8: whatever an encoder writes is whole, and as large as it was."""
    kind = next(kind for kind in _READERS if kind in name.split())
    header = _READERS[kind](_FILES[name])
    assert (header.width, header.height, header.edge) == (61, 37, 61)


@pytest.mark.parametrize("name", _FILES)
def test_a_file_that_was_cut_is_damaged(name: str) -> None:
    """A8: a file that ends early is found without decoding it, wherever it ends."""
    data = _FILES[name]
    if "preview" in name:
        data = data[: data.index(b"\xff\xd9") + 1]
    if "GIF" in name:
        data = data.removesuffix(b";").removesuffix(b"\0")
    if "LZW" in name:
        # What stands behind the pixels is their resolution, and no loss.
        data = data[:-20]
    # Of the marks that name the type, the longest has twelve bytes.
    for length in {*range(12, len(data), 41), len(data) // 2, len(data) - 2}:
        with pytest.raises(DamagedMedia):
            _judged(data[:length])


@pytest.mark.parametrize("name", _FILES)
def test_what_follows_an_image_does_it_no_harm(name: str) -> None:
    """A8: padding after the end is nothing to refuse, where no size of the file is stated."""
    if name != "AVIF":
        _judged(_FILES[name] + bytes(40))


def test_a_heic_states_its_size() -> None:
    """A8: limits hold for images that are not decoded here as well."""
    header = boxes_header(HEIC)
    assert (header.width, header.height) == (1024, 768)


def test_a_png_with_other_pixels_than_were_written_is_damaged() -> None:
    """A8: the checksums of a PNG are looked at."""
    data = bytearray(_FILES["PNG"])
    data[data.index(b"IDAT") + 40] ^= 0x10
    with pytest.raises(DamagedMedia, match="checksum"):
        png_header(bytes(data))


def test_damage_that_readers_pass_over_is_none() -> None:
    """A8: a broken comment does not make an image unreadable."""
    broken = struct.pack(">I", 4) + b"tEXt" + b"a\0bc" + b"\0\0\0\0"
    data = _FILES["PNG"]
    png_header(data[:33] + broken + data[33:])


@pytest.mark.parametrize(
    "data",
    [
        claimed_png(0, 5),
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + b"\xff" * 100,
        b"\xff\xd8\xff\xda\0\x02\xff\xd9",
        b"GIF89a\x01\0\x01\0\0\0\0;",
        b"RIFF\x10\0\0\0WEBPJUNK\0\0\0\0",
        b"II*\0\x08\0\0\0\0\0",
        b"MM\0*\xff\xff\xff\xff",
        b"BM" + bytes(12) + b"\x28" + bytes(40),
        b"\0\0\0\x10ftypavif\0\0\0\0" + b"\0\0\0\x03free",
    ],
)
def test_a_file_without_an_image_is_damaged(data: bytes) -> None:
    """A8: a mark alone makes no image."""
    with pytest.raises(DamagedMedia):
        _judged(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + (b"\0\0\0\0tEXt" + bytes(4)) * 50_000,
        b"GIF89a\x01\0\x01\0\0\0\0!\xfe" + b"\x01a" * 200_000,
        b"\xff\xd8" + b"\xff\xfe\0\x02" * 50_000,
        b"\0\0\0\x10ftypavif\0\0\0\0" + b"\0\0\0\x08free" * 50_000,
    ],
)
def test_a_file_of_empty_parts_is_not_walked_to_its_end(data: bytes) -> None:
    """A8: a file cannot be built to keep its reader busy."""
    with pytest.raises(DamagedMedia, match="more parts than it can need"):
        _judged(data)


_LONG = 4
_TILED = (
    (256, _LONG, 100),
    (257, _LONG, 100),
    (322, _LONG, 60_000),
    (323, _LONG, 60_000),
    (324, _LONG, 8),
    (325, _LONG, 1),
)


def _tiff(entries: Sequence[tuple[int, int, int]], order: str = "<") -> bytes:
    """A TIFF of nothing but a directory: of each field its tag, its kind and its number."""
    fields = b"".join(struct.pack(f"{order}HHII", tag, kind, 1, value) for tag, kind, value in entries)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}IH", 8, len(entries)) + fields + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_tiles_of_a_tiff_count(order: str) -> None:
    """A8: a decoder holds a whole tile, however small the image is."""
    assert tiff_header(_tiff(_TILED, order)).pixel_count == 3_600_000_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [2, 5, 6, 8, 9, 11, 12, 13, 16, 17, 18])
@pytest.mark.parametrize("tag", [tag for tag, _, _ in _TILED])
def test_a_tiff_cannot_hide_its_size_in_another_kind_of_number(tag: int, kind: int, order: str) -> None:
    """A8: decoders take a tile's size in kinds of numbers that are not read here, so such a file is none."""
    entries = [(each, kind if each == tag else _LONG, value) for each, _, value in _TILED]
    with pytest.raises(MediaMisfit, match="send it as JPEG or PNG"):
        _judged(_tiff(entries, order))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("sides", [(60_000, 112), (112, 60_000)])
def test_a_tiff_cannot_hide_its_size_in_a_field_that_stands_twice(sides: tuple[int, int], order: str) -> None:
    """A8: of two fields of one tag a decoder may take either, next to each other or not."""
    first, second = ([(322, _LONG, side), (323, _LONG, side)] for side in sides)
    for sizes in (sorted(first + second, key=itemgetter(0)), first + second):
        with pytest.raises(MediaMisfit, match="send it as JPEG or PNG"):
            _judged(_tiff([*_TILED[:2], *sizes, *_TILED[4:]], order))


def test_other_fields_of_a_tiff_are_of_any_kind() -> None:
    """A8: only the fields that tell the size are of few kinds."""
    header = tiff_header(_tiff([*_TILED, (33_000, 9, 1), (34_000, 13, 1)]))
    assert (header.width, header.height) == (100, 100)


def test_only_one_pass_over_a_sequential_jpeg_is_reducible() -> None:
    """A8: a progressive image is put together at full size, whatever size is asked of it."""
    picture = photograph((64, 64))
    once, often = jpeg_header(stored(picture, "JPEG")), jpeg_header(stored(picture, "JPEG", progressive=True))
    assert once.is_reducible
    assert not often.is_reducible
    assert often.scan_count > 5
