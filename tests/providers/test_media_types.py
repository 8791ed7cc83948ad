"""What type a file is of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.providers.media_types import is_text, settled_type, sniffed_type, spelled
from tests.providers.pictures import HEIC, PDF, photograph, stored


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("AVIF", "image/avif"),
        ("BMP", "image/bmp"),
        ("DIB", None),
        ("TIFF", "image/tiff"),
        ("ICO", "image/x-icon"),
        ("JPEG2000", "image/jp2"),
        ("PDF", "application/pdf"),
        ("PPM", None),
    ],
)
def test_files_of_encoders_are_known(kind: str, media_type: str | None) -> None:
    """A8: the type is sniffed from what encoders write."""
    assert sniffed_type(stored(photograph((32, 32)), kind)) == media_type


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (HEIC, "image/heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image/avif"),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1", "image/heif"),
        (b"\0\0\0\x14ftypisom\0\0\0\0mp42", "video/mp4"),
        (b"\0\0\0\x14ftypM4A \0\0\0\0isom", "audio/mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video/quicktime"),
        (b"\0\0\0\x14ftyp3gp5\0\0\0\0isom", "video/3gpp"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska", "video/x-matroska"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\x24\0\0\0AVI LIST", "video/x-msvideo"),
        (b"FORM\0\0\0\x2eAIFFCOMM", "audio/aiff"),
        (b"OggS\0\x02", "audio/ogg"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\0", "audio/mpeg"),
        (b"ID3\x04\0\0\0\0\0\x02..fLaC", "audio/flac"),
        (b"ID3\x04\0\0\0\0\0\0\xff\xf1\x50\x80", "audio/aac"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (
            b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
            "image/svg+xml",
        ),
        (PDF, "application/pdf"),
    ],
)
def test_marks_of_other_files_are_known(data: bytes, media_type: str) -> None:
    """A8: sounds, films and documents have marks too."""
    assert sniffed_type(data) == media_type


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"BMW builds cars, and their names are no images.",
        b"ID3 is a tag",
        b"RIFF",
        b"\xff\xfeh\0e\0l\0l\0o\0",  # UTF-16, which starts much as a frame of sound does
        b"\xff\xfb\xf0\x00",
        b"\xff\xfb\x9c\x00",
        b"PK\x03\x04",
        b'{"svg": "<svg>"}',
        b"<!---->" * 300,
    ],
)
def test_what_only_looks_like_a_mark_is_none(data: bytes) -> None:
    """A8: texts and archives are not taken for images or sounds."""
    assert sniffed_type(data) is None


@pytest.mark.parametrize(
    ("declared", "found", "settled"),
    [
        ("image/jpeg", "image/png", "image/png"),
        ("", "image/png", "image/png"),
        ("Text/CSV; charset=utf-8", None, "text/csv"),
        ("audio/mp4", "video/mp4", "audio/mp4"),
        ("audio/x-m4a", "video/mp4", "audio/mp4"),
        ("audio/webm", "video/webm", "audio/webm"),
        ("application/ogg", "audio/ogg", "audio/ogg"),
        ("image/heic", "image/heif", "image/heic"),
        ("text/plain", "application/pdf", "application/pdf"),
        ("", None, ""),
    ],
)
def test_the_bytes_win_but_over_what_says_more(declared: str, found: str | None, settled: str) -> None:
    """A8: bytes outrank the label; only what a container holds is told by the label."""
    assert settled_type(declared, found) == settled


@pytest.mark.parametrize(
    ("media_type", "declared", "accepted", "name"),
    [
        ("image/png", "image/jpeg", {"image/png", "image/jpeg"}, "image/png"),
        ("audio/mpeg", "audio/mp3", {"audio/mp3", "audio/mpeg"}, "audio/mp3"),
        ("audio/mpeg", "audio/mpeg", {"audio/mp3"}, "audio/mp3"),
        ("audio/wav", "", {"audio/x-wav", "audio/wave"}, "audio/wave"),
        ("image/jpeg", "image/jpg", {"image/jpeg"}, "image/jpeg"),
        ("image/gif", "image/gif", {"image/png"}, None),
        ("image/gif", "image/gif", set(), None),
    ],
)
def test_a_type_goes_by_the_name_that_the_target_has_for_it(
    media_type: str, declared: str, accepted: set[str], name: str | None
) -> None:
    """A8: another name of the same type is no misfit, and the target reads its own."""
    assert spelled(media_type, declared, accepted) == name


@pytest.mark.parametrize(
    ("data", "text"), [(b"Gr\xc3\xbc\xc3\x9fe\r\n\t", True), (b"a\0b", False), (b"Gr\xfc\xdfe", False)]
)
def test_text_is_whole_and_without_controls(data: bytes, text: bool) -> None:  # noqa: FBT001
    """A8: a file of no known type is a text only if it reads as one."""
    assert is_text(data) is text


@given(st.binary(max_size=64), st.text(max_size=20))
def test_any_bytes_have_a_verdict(data: bytes, declared: str) -> None:
    """A8: sniffing never fails, and never answers with nothing where a type was declared."""
    assert settled_type(f"x{declared.split(';', maxsplit=1)[0]}", sniffed_type(data))
