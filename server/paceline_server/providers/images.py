"""Decoding an image and bringing it into a plain form: upright, of few modes, and no larger than wanted.

Decoding takes time and memory and belongs into a worker thread. What may be decoded is decided from the
header, before any decoder sees the file. Only pixels are kept, neither metadata nor further frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from PIL import Image

from paceline_server.providers.image_header import ImageHeader
from paceline_server.providers.media_faults import DamagedMedia, MediaMisfit

MAX_PIXEL_COUNT = 36_000_000
"""More than the 33 million of an 8K screen. At four bytes a pixel, and twice while colours are converted or
an image is scaled, an image takes about 300 MB."""

MAX_WEBP_PIXEL_COUNT = MAX_PIXEL_COUNT // 3
"""Its decoder holds the image three times more, for the frames that might follow."""

MAX_REDUCIBLE_PIXEL_COUNT = 2 * MAX_PIXEL_COUNT
"""Of a JPEG that is decoded at half its size, as the photographs of current telephones are. Below the number
at which the library, which is not asked, would warn of it."""

MAX_SCAN_COUNT = 100
"""Of a progressive JPEG, ten times what encoders use: each costs a few bytes and a whole pass."""

_WEBP = "image/webp"
_FORMATS: Mapping[str, str] = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    _WEBP: "WEBP",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
}
"""Not AVIF: what decoding one costs is told by its compressed frames only, and not bound by its header."""

_TRANSPARENT_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_DEEP_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_MAX_REDUCTION = 8
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS: Mapping[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_decodable(media_type: str, header: ImageHeader | None) -> ImageHeader:
    """The header of an image that may be decoded.

    An image with too many pixels is no fault of the request: a target that takes it as it is may be next.

    Raises:
        MediaMisfit: It may not.
    """
    if header is None or media_type not in _FORMATS:
        raise MediaMisfit(f"is {media_type}, which cannot be converted here; send it as JPEG or PNG")
    bound = MAX_WEBP_PIXEL_COUNT if media_type == _WEBP else MAX_PIXEL_COUNT
    if header.is_reducible:
        bound = MAX_REDUCIBLE_PIXEL_COUNT
    if header.pixel_count > bound or header.scan_count > MAX_SCAN_COUNT:
        raise MediaMisfit(
            f"would have to be converted for this target, and its {header.width} x {header.height} pixels in "
            f"{header.scan_count} scans are too many for that; send at most {bound // 1_000_000} megapixels"
        )
    return header


def decoded_image(media_type: str, data: bytes, header: ImageHeader, edge: int) -> Image.Image:
    """The first frame, upright, in greys, colours or colours with transparency, and no longer than `edge`.

    Only after `check_decodable`.

    Raises:
        DamagedMedia: The pixels are not what they were.
        MediaMisfit: It is a variant that is not read here.
        MemoryError: There is not enough.
    """
    image = _opened(media_type, data)
    _reduce(image, header, edge)
    if image.width * image.height > MAX_PIXEL_COUNT:
        raise DamagedMedia("is not of the size that its header states")
    try:
        image.load()
        # Some readers turn the image while loading it, and then say so.
        orientation = _ORIENTATIONS.get(_orientation(image))
        image = scaled(_plain(image), edge)
    except MemoryError:
        raise
    except Exception as error:  # as in _opened
        raise DamagedMedia("cannot be decoded, so its pixels are damaged") from error
    return image if orientation is None else image.transpose(orientation)


def scaled(image: Image.Image, edge: int) -> Image.Image:
    """`image`, or a smaller one whose longer side is `edge`."""
    longer = max(image.size)
    if longer <= edge:
        return image
    width, height = (max(1, round(side * edge / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _opened(media_type: str, data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=(_FORMATS[media_type],))
    except MemoryError:
        raise
    except Exception as error:  # the library's readers raise whatever the bytes lead them to
        # The file is whole, so this is more likely a variant that the library does not know than damage.
        raise MediaMisfit(
            f"is {media_type} of a kind that cannot be converted here; send it as JPEG or PNG"
        ) from error


def _reduce(image: Image.Image, header: ImageHeader, edge: int) -> None:
    """Let the decoder divide both sides by 2, 4 or 8 where it can: there is less to hold and to scale."""
    reduction = 1
    while header.is_reducible and reduction < _MAX_REDUCTION:
        too_many = header.pixel_count > MAX_PIXEL_COUNT * reduction * reduction
        if not too_many and header.edge < 2 * reduction * edge:
            break
        reduction *= 2
    if reduction > 1:
        image.draft(None, (max(1, image.width // reduction), max(1, image.height // reduction)))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # noqa: BLE001 - as above; what cannot be read says nothing, and the pixels are sound
        return 1
    return orientation if isinstance(orientation, int) else 1


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        plain = _converted(image, "RGBA")
        if plain.getchannel("A").getextrema() == (255, 255):
            plain = plain.convert("RGB")
    elif image.mode in _DEEP_MODES:
        # A conversion alone would cut all but the darkest greys.
        plain = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    elif image.mode in ("I", "F"):
        plain = _stretched(image)
    else:
        plain = _converted(image, "L" if image.mode in ("1", "L") else "RGB")
    # Writers would write some of this.
    plain.info = {}
    return plain


def _converted(image: Image.Image, mode: str) -> Image.Image:
    # A conversion to the mode that it has would be a copy, and hold all pixels once more.
    return image if image.mode == mode else image.convert(mode)


def _stretched(image: Image.Image) -> Image.Image:
    """Greys of no fixed range: the darkest becomes black, the brightest white."""
    low, high = image.getextrema()
    assert isinstance(low, (int, float))  # noqa: S101 - one band has one pair
    assert isinstance(high, (int, float))  # noqa: S101 - likewise
    factor = 255 / (high - low) if high > low else 0
    return image.point(lambda value: value * factor - low * factor).convert("L")
