"""Writing an image so that it is within a target's limits: of a type it takes, in few enough bytes.

All of it takes time and memory and belongs into a worker thread, but for `check_refittable`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from paceline_server.providers.image_header import ImageHeader
from paceline_server.providers.images import check_decodable, decoded_image, scaled
from paceline_server.providers.media_faults import MediaMisfit

MAX_WRITTEN_EDGE = 16_383
"""Pixels; a WebP cannot be larger."""

MAX_WRITTEN_PIXEL_COUNT = 12_000_000
"""More than models look at. Written several times over, an image takes at most half a GB and some seconds."""

QUALITIES = (85, 70, 50)
"""Tried in turn at full size; then the image is made smaller, at the second of them."""

MAX_SHRINKING_COUNT = 8
"""How often; each aims at the limit, and the last leaves a few pixels of any image."""

_JPEG, _PNG, _WEBP = "image/jpeg", "image/png", "image/webp"
_WRITTEN = frozenset({_JPEG, _PNG, _WEBP})
_LOSSLESS = frozenset({_PNG, "image/bmp", "image/gif"})
_HOPELESS = 3
"""So many times too large, an image is not brought within its bytes by quality alone."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What an image may be: one of the types, at most so many bytes and pixels; 0 sets no limit."""

    media_types: AbstractSet[str]
    max_bytes: int = 0
    max_edge: int = 0


def check_refittable(media_type: str, header: ImageHeader | None, limits: ImageLimits) -> ImageHeader:
    """The header of an image that may be brought within `limits`, decided before anything is decoded.

    Raises:
        MediaMisfit: It cannot.
    """
    if not limits.media_types & _WRITTEN:
        raise MediaMisfit(f"is {media_type}, and this target takes no images of a type that can be written")
    return check_decodable(media_type, header)


def refitted(media_type: str, data: bytes, header: ImageHeader, limits: ImageLimits) -> tuple[str, bytes]:
    """The image in a type and a size within `limits`, upright; only after `check_refittable`.

    Raises:
        DamagedMedia: It cannot be decoded.
        MediaMisfit: It cannot be read here, or not be made small enough.
    """
    try:
        image = decoded_image(media_type, data, header, _written_edge(header, limits))
        return _within(image, limits, lossless=media_type in _LOSSLESS)
    except MemoryError as error:
        raise MediaMisfit("takes more memory than there is; send a smaller image") from error


def _written_edge(header: ImageHeader, limits: ImageLimits) -> int:
    pixels = header.width * header.height
    edge = header.edge * math.sqrt(min(1, MAX_WRITTEN_PIXEL_COUNT / pixels))
    return max(1, min(int(edge), limits.max_edge or MAX_WRITTEN_EDGE, MAX_WRITTEN_EDGE))


def _within(image: Image.Image, limits: ImageLimits, *, lossless: bool) -> tuple[str, bytes]:
    types = _types(limits.media_types, transparent=image.mode == "RGBA", lossless=lossless)
    compact = next((media_type for media_type in types if media_type != _PNG), _PNG)
    attempts = [(_PNG, 0)] if types[0] == _PNG else []
    if compact != _PNG:
        attempts += [(compact, quality) for quality in QUALITIES]
    data = b""
    for media_type, quality in attempts:
        data = _encoded(image, media_type, quality)
        if not limits.max_bytes or len(data) <= limits.max_bytes:
            return media_type, data
        if media_type != _PNG and len(data) > _HOPELESS * limits.max_bytes:
            break
    for _ in range(MAX_SHRINKING_COUNT):
        factor = 0.95 * math.sqrt(limits.max_bytes / len(data))
        image = scaled(image, max(1, int(max(image.size) * min(max(factor, 0.3), 0.85))))
        data = _encoded(image, compact, QUALITIES[1])
        if len(data) <= limits.max_bytes:
            return compact, data
    raise MediaMisfit(f"cannot be made as small as the {limits.max_bytes} bytes that this target takes")


def _types(accepted: AbstractSet[str], *, transparent: bool, lossless: bool) -> Sequence[str]:
    """What to write, the best first."""
    if transparent and accepted & {_PNG, _WEBP}:
        order: tuple[str, ...] = (_PNG, _WEBP)
    else:
        # Drawings and screens come in lossless types, and their letters stay sharp in one.
        order = (_PNG, _JPEG, _WEBP) if lossless else (_JPEG, _WEBP, _PNG)
    return [media_type for media_type in order if media_type in accepted]


def _encoded(image: Image.Image, media_type: str, quality: int) -> bytes:
    written = BytesIO()
    if media_type == _PNG:
        image.save(written, "PNG", compress_level=3)
    elif media_type == _WEBP:
        image.save(written, "WEBP", quality=quality, method=0)
    else:
        _opaque(image).save(written, "JPEG", quality=quality)
    return written.getvalue()


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=image)
    return paper
