"""What type a file is of, by its first bytes; and which names mean the same type.

Only types whose start is a clear mark are told. Office documents, which are all zip archives, and
texts of every kind keep the name that the caller gave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PDF = "application/pdf"
PLAIN_TEXT = "text/plain"

_ALIASES: Mapping[str, str] = {
    "application/x-pdf": PDF,
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-aac": "audio/aac",
    "audio/x-aiff": "audio/aiff",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "image/apng": "image/png",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/vnd.microsoft.icon": "image/x-icon",
    "image/x-bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",
    "image/x-png": "image/png",
    "image/x-tiff": "image/tiff",
    "video/avi": "video/x-msvideo",
}

_CONTENTS: Mapping[str, frozenset[str]] = {
    "audio/ogg": frozenset({"video/ogg"}),
    "image/heif": frozenset({"image/heic"}),
    "video/mp4": frozenset({"audio/mp4", "video/quicktime", "video/x-m4v", "video/3gpp"}),
    "video/webm": frozenset({"audio/webm"}),
    "video/x-matroska": frozenset({"audio/x-matroska"}),
}
"""What a container may hold that its start does not tell: a name that says it says more than the bytes do."""

_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"8BPS\0\x01", "image/vnd.adobe.photoshop"),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"%PDF-", PDF),
    (b"fLaC", "audio/flac"),
    (b"OggS\0", "audio/ogg"),
)
_RIFF_FORMS: Mapping[bytes, str] = {
    b"WEBP": "image/webp",
    b"WAVE": "audio/wav",
    b"AVI ": "video/x-msvideo",
}
_BRANDS: Mapping[bytes, str] = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_MPEG_AUDIO_START = re.compile(
    rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd]"  # layer 2 or 3 of any version
    rb"[" + b"".join(b"\\x%02x-\\x%02x" % (rate, rate + 11) for rate in range(0x10, 0xF0, 0x10)) + rb"]"
)
_AAC_START = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
_SVG_START = re.compile(rb"(?:\s|<\?[^>]*>|<!--(?>.*?-->)|<!DOCTYPE[^>]*>)*+<svg[\s>]", re.DOTALL)
_SVG_SCANNED = 2048
_EBML_SCANNED = 64
_MAX_SHOWN_CHARACTERS = 100
"""More than any type in use has; one that is declared, above all in a `data:` URI, may have any number."""

_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def bare(media_type: str) -> str:
    """`media_type` in lower case and without parameters."""
    return media_type.partition(";")[0].strip().lower()


def shown(media_type: str) -> str:
    """`media_type` as a message quotes it, cut if it is too long to be one."""
    cut = media_type[:_MAX_SHOWN_CHARACTERS]
    return repr(media_type if cut == media_type else f"{cut}...")


def settled_type(declared: str, found: str | None) -> str:
    """The type to go by: of the declared one and the one that the bytes show; "" if there is neither.

    The bytes win: providers look at them too, and refuse an image whose label is another type's.
    """
    name = bare(declared)
    if found is None:
        return name
    canonical = _ALIASES.get(name, name)
    return canonical if canonical in _CONTENTS.get(found, ()) else found


def spelled(media_type: str, declared: str, accepted: Iterable[str]) -> str | None:
    """The name by which a target that takes the types `accepted` takes `media_type`; None if it does not."""
    same = {name for name in accepted if _ALIASES.get(name, name) == _ALIASES.get(media_type, media_type)}
    for name in (bare(declared), media_type):
        if name in same:
            return name
    return min(same, default=None)


def canonical_types(names: Iterable[str]) -> frozenset[str]:
    """The types that are meant by `names`."""
    return frozenset(_ALIASES.get(name, name) for name in names)


def sniffed_type(data: bytes) -> str | None:
    """The type that the first bytes show; None if they show none."""
    for mark, media_type in _MARKS:
        if data.startswith(mark):
            return media_type
    return _contained(data) or _sound(data) or _drawing(data)


def is_text(data: bytes) -> bool:
    """Whether this is text as UTF-8, without control characters."""
    if _CONTROLS.search(data):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _contained(data: bytes) -> str | None:
    if data.startswith(b"RIFF"):
        return _RIFF_FORMS.get(data[8:12])
    if data.startswith(b"FORM") and data[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if data[4:8] == b"ftyp":
        return _branded(data)
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in data[:_EBML_SCANNED] else "video/x-matroska"
    return None


def _branded(data: bytes) -> str:
    end = min(int.from_bytes(data[:4], "big"), 256)
    major = data[8:12]
    if major.startswith(b"3g"):
        return "video/3gpp"
    found = _BRANDS.get(major, "video/mp4")
    # The general brand of image files; the others of the list say which it is.
    if found == "image/heif":
        others = (_BRANDS.get(data[start : start + 4], found) for start in range(16, end, 4))
        return next((other for other in others if other != found and other.startswith("image/")), found)
    return found


def _sound(data: bytes) -> str | None:
    if data.startswith(b"ID3") and data[3:4] in (b"\x02", b"\x03", b"\x04"):
        # A tag before the sound; four times seven bits are its size.
        size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=False))
        tagged = data[10 + size : 14 + size]
        return (
            "audio/flac" if tagged == b"fLaC" else "audio/aac" if _AAC_START.match(tagged) else "audio/mpeg"
        )
    if _AAC_START.match(data):
        return "audio/aac"
    return "audio/mpeg" if _MPEG_AUDIO_START.match(data) else None


def _drawing(data: bytes) -> str | None:
    # Two letters are no mark: the size of the header that follows has to be one that exists.
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "image/bmp"
    if _SVG_START.match(data[:_SVG_SCANNED].removeprefix(b"\xef\xbb\xbf")):
        return "image/svg+xml"
    return None
