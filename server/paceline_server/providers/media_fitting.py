"""Fitting one file to a target: what it is, whether it is whole, whether it is within the target's limits.

Judging a file costs a walk over it and decodes nothing; refitting an image costs far more, and is left to
whoever asked. Both belong into worker threads. Nothing is ever fetched.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from struct import error as StructError  # noqa: N812 - it is a class, whatever its name
from urllib.parse import unquote_to_bytes

from paceline_server.completion.content import Media
from paceline_server.providers import media_types
from paceline_server.providers.image_encoding import ImageLimits, check_refittable, refitted
from paceline_server.providers.image_fields import bmp_header, tiff_header, webp_header
from paceline_server.providers.image_header import ImageHeader
from paceline_server.providers.image_walks import boxes_header, gif_header, jpeg_header, png_header
from paceline_server.providers.media_faults import DamagedMedia, MediaMisfit
from paceline_server.providers.profile import MediaLimits

MAX_QUOTED_LENGTH = 256 * 1024
"""Characters of a `data:` URI that have to be unquoted, which makes an object of each quoted byte and lets
no other thread run meanwhile."""

_HEADERS: Mapping[str, Callable[[bytes], ImageHeader]] = {
    "image/avif": boxes_header,
    "image/bmp": bmp_header,
    "image/gif": gif_header,
    "image/heic": boxes_header,
    "image/heif": boxes_header,
    "image/jpeg": jpeg_header,
    "image/png": png_header,
    "image/tiff": tiff_header,
    "image/webp": webp_header,
}
_DATA_SCHEME = "data:"
_QUOTED_BASE64 = {"%2B": "+", "%2b": "+", "%2F": "/", "%2f": "/", "%3D": "=", "%3d": "="}
"""The characters of base64 that are quoted in a URI; the others never are."""

_PDF_START_SCANNED = 1024
"""Readers pass over what stands before a document's first line, if it is not more than this."""


@dataclass(frozen=True, slots=True)
class Refitting:
    """An image that has to be written anew."""

    media: Media
    media_type: str
    header: ImageHeader
    limits: MediaLimits

    def done(self) -> Media:
        """The image within the limits.

        Raises:
            DamagedMedia: It cannot be decoded.
            MediaMisfit: It cannot be brought there.
        """
        media_type, data = refitted(self.media_type, self.media.data, self.header, _image_limits(self.limits))
        name = media_types.spelled(media_type, "", self.limits.media_types)
        return replace(self.media, media_type=name or media_type, data=data)


def judged(media: Media, limits: MediaLimits | None) -> Media | Refitting:
    """`media`, the same object if it fits as it is; or what has to be done so that it fits.

    The bytes of a `data:` URI are taken out of it: limits hold for them as well, and every format has a
    place for bytes.

    Raises:
        DamagedMedia: The file is not whole, or not what it says.
        MediaMisfit: The target cannot have it.
    """
    if media.uri[: len(_DATA_SCHEME)].lower() == _DATA_SCHEME:
        media = _inlined(media)
    if media.uri:
        return media if limits is None else _referred(media, limits)
    found = media_types.sniffed_type(media.data)
    media_type = media_types.settled_type(media.media_type, found)
    if not media_type and media_types.is_text(media.data):
        media_type = media_types.PLAIN_TEXT
    if media_type.startswith("image/"):
        return _judged_image(media, media_type, _image_header(found, media.data), limits)
    if media_type == media_types.PDF:
        _check_pdf(media.data)
    return _named(media, media_type) if limits is None else _judged_file(media, media_type, limits)


def _inlined(media: Media) -> Media:
    head, comma, body = media.uri[len(_DATA_SCHEME) :].partition(",")
    kind = head.removesuffix(";base64")
    # Texts are quoted, everything else is base64.
    data = _unquoted(body) if kind == head else _from_base64(body)
    if not comma or not data:
        raise DamagedMedia("is a data: URI without data")
    return replace(media, media_type=media.media_type or kind or media_types.PLAIN_TEXT, data=data, uri="")


def _unquoted(body: str) -> bytes:
    if "%" not in body:
        return body.encode()
    if len(body) > MAX_QUOTED_LENGTH:
        raise MediaMisfit(
            f"is a quoted data: URI of more than {MAX_QUOTED_LENGTH} characters; send the bytes as data"
        )
    return unquote_to_bytes(body)


def _from_base64(body: str) -> bytes:
    if "%" in body:
        for quoted, character in _QUOTED_BASE64.items():
            body = body.replace(quoted, character)
    try:
        return binascii.a2b_base64(body.encode(), strict_mode=True)
    except binascii.Error as error:
        raise DamagedMedia("is a data: URI whose base64 is broken") from error


def _referred(media: Media, limits: MediaLimits) -> Media:
    if not limits.takes_uris:
        raise MediaMisfit("is given by uri, and this target fetches nothing; send the bytes as data")
    return _named(media, _taken(media, media_types.bare(media.media_type), limits))


def _judged_image(
    media: Media, media_type: str, header: ImageHeader | None, limits: MediaLimits | None
) -> Media | Refitting:
    if limits is None:
        return _named(media, media_type)
    name = media_types.spelled(media_type, media.media_type, limits.media_types)
    small = not limits.max_image_bytes or len(media.data) <= limits.max_image_bytes
    # An image whose size is unknown is not known to be within it.
    short = not limits.max_image_edge or (header is not None and header.edge <= limits.max_image_edge)
    if name and small and short:
        return _named(media, name)
    if not limits.media_types:
        _taken(media, media_type, limits)
    return Refitting(media, media_type, check_refittable(media_type, header, _image_limits(limits)), limits)


def _image_header(found: str | None, data: bytes) -> ImageHeader | None:
    if found is None:
        raise DamagedMedia("is declared as an image, and its bytes are none that is known")
    reader = _HEADERS.get(found)
    if reader is None:
        return None
    try:
        header = reader(data)
    except (StructError, IndexError) as error:
        raise DamagedMedia("ends too early") from error
    if header.width <= 0 or header.height <= 0:
        raise DamagedMedia("states no size")
    return header


def _check_pdf(data: bytes) -> None:
    if b"%PDF-" not in data[:_PDF_START_SCANNED]:
        raise DamagedMedia("is declared as a PDF, and does not start as one")
    if b"%%EOF" not in data:
        raise DamagedMedia("is a PDF that ends before its end marker")


def _judged_file(media: Media, media_type: str, limits: MediaLimits) -> Media:
    name = _taken(media, media_type, limits)
    limit = limits.max_document_bytes
    is_document = not media_type.startswith(("audio/", "video/"))
    if is_document and limit and len(media.data) > limit:
        raise MediaMisfit(
            f"has {len(media.data)} bytes, and this target takes documents of at most {limit}; split it"
        )
    return _named(media, name)


def _taken(media: Media, media_type: str, limits: MediaLimits) -> str:
    """What the target calls the type."""
    if not limits.media_types:
        raise MediaMisfit("is media, and this target takes none; say it in text")
    if not media_type:
        raise MediaMisfit("is of a type that its bytes do not show; set its media_type")
    name = media_types.spelled(media_type, media.media_type, limits.media_types)
    if name is None:
        taken = ", ".join(sorted(limits.media_types))
        shown = media_types.shown(media_type)
        raise MediaMisfit(f"is {shown}, which this target does not take; send one of {taken}")
    return name


def _image_limits(limits: MediaLimits) -> ImageLimits:
    return ImageLimits(
        media_types.canonical_types(limits.media_types), limits.max_image_bytes, limits.max_image_edge
    )


def _named(media: Media, media_type: str) -> Media:
    return (
        media if media_types.bare(media.media_type) == media_type else replace(media, media_type=media_type)
    )
