"""Whatever a file is made of: fitting it ends in limits that hold, or in a failure of an attempt."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Media
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.fitting import TargetFitter
from paceline_server.providers.profile import MediaLimits, Profile
from tests.providers.pictures import HEIC, PDF, noise, photograph, prompt_of, stored

_IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/heic")
_TYPES = (*_IMAGE_TYPES, "image/tiff", "image/avif", "application/pdf", "text/plain", "audio/mp3", "")
_MARKS = (
    b"",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff",
    b"\xff\xd8\xff\xc0\0\x11\x08",
    b"GIF89a",
    b"RIFF\x20\0\0\0WEBPVP8X",
    b"RIFF\x20\0\0\0WEBPVP8L",
    b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"\0\0\0\x10ftypavif\0\0\0\0",
    b"%PDF-1.7 %%EOF",
    b"ID3\x04",
)
_FILES = (
    *(
        stored(picture.convert(mode), kind, **options)
        for picture in (photograph((90, 70)), noise("RGB", (31, 47)))
        for kind, mode, options in (
            ("PNG", "RGBA", {}),
            ("PNG", "P", {}),
            ("PNG", "I;16", {}),
            ("JPEG", "RGB", {}),
            ("JPEG", "CMYK", {}),
            ("JPEG", "L", {"progressive": True}),
            ("GIF", "P", {}),
            ("WEBP", "RGBA", {}),
            ("WEBP", "RGB", {"lossless": True}),
            ("BMP", "RGB", {}),
            ("BMP", "1", {}),
            ("TIFF", "RGB", {}),
            ("TIFF", "F", {}),
            ("TIFF", "1", {"compression": "group4"}),
            ("TIFF", "RGB", {"compression": "tiff_lzw"}),
            ("TIFF", "RGB", {"compression": "jpeg"}),
            ("AVIF", "RGB", {}),
        )
    ),
    HEIC,
    PDF,
)
_LIMITS = st.none() | st.builds(
    MediaLimits,
    st.frozensets(st.sampled_from(_TYPES[:-1]), max_size=5),
    st.booleans(),
    max_image_bytes=st.sampled_from([0, 200, 1000, 3000]),
    max_image_edge=st.sampled_from([0, 1, 16, 60]),
    max_document_bytes=st.sampled_from([0, 100]),
)


@pytest.fixture(name="fitter", scope="module")
def _fitter() -> TargetFitter:
    return TargetFitter()


async def _check(fitter: TargetFitter, media: Media, limits: MediaLimits | None) -> None:
    prompt = prompt_of(media)
    try:
        fitted = await fitter.fitted(prompt, "acme", Profile(media=limits))
    except AttemptFailure as caught:
        failure = caught
    else:
        kind = fitted.messages[0].parts[0].kind
        assert isinstance(kind, Media)
        _check_within(kind, limits)
        assert await fitter.fitted(fitted, "acme", Profile(media=limits)) is fitted
        return
    assert failure.failure_class in (FailureClass.UNSUPPORTED, FailureClass.INVALID_REQUEST)
    assert failure.message.startswith("messages[0].parts[0] ")
    assert not failure.reached_provider


def _check_within(media: Media, limits: MediaLimits | None) -> None:
    if limits is None:
        return
    assert media.media_type.partition(";")[0].strip().lower() in limits.media_types
    if media.media_type.startswith("image/"):
        assert len(media.data) <= (limits.max_image_bytes or len(media.data))
        assert not limits.max_image_edge or _edge(media.data) <= limits.max_image_edge
    elif media.media_type in ("application/pdf", "text/plain"):
        assert len(media.data) <= (limits.max_document_bytes or len(media.data))


def _edge(data: bytes) -> int:
    """As the library reads it; 0 where it cannot."""
    try:
        with Image.open(BytesIO(data)) as image:
            return max(image.size)
    except (UnidentifiedImageError, ValueError, OSError, Warning):
        return 0


@settings(max_examples=400)
@given(
    st.sampled_from(_MARKS), st.binary(max_size=120), st.sampled_from(_TYPES) | st.text(max_size=12), _LIMITS
)
async def test_random_bytes_are_within_limits_or_a_failure(
    fitter: TargetFitter, mark: bytes, data: bytes, declared: str, limits: MediaLimits | None
) -> None:
    """A8: nothing but a failure of the attempt comes of noise, and nothing is let past the limits."""
    await _check(fitter, Media(declared, mark + data), limits)


@settings(max_examples=400)
@given(st.text(max_size=60), st.sampled_from(_TYPES), _LIMITS)
async def test_random_data_uris_are_within_limits_or_a_failure(
    fitter: TargetFitter, text: str, declared: str, limits: MediaLimits | None
) -> None:
    """A8: nothing but a failure of the attempt comes of a broken data: URI."""
    await _check(fitter, Media(declared, uri=f"data:{text}"), limits)


@settings(max_examples=600)
@given(st.sampled_from(_FILES), st.data(), st.sampled_from(_TYPES), _LIMITS)
async def test_mutated_files_are_within_limits_or_a_failure(
    fitter: TargetFitter, file: bytes, data: st.DataObject, declared: str, limits: MediaLimits | None
) -> None:
    """A8: only a failure of the attempt comes of a damaged file, and nothing is let past the limits."""
    mutated = bytearray(file)
    for _ in range(data.draw(st.integers(0, 4))):
        # The headers are at the start, and those of a TIFF at its end.
        place = data.draw(st.integers(0, min(120, len(file))) | st.integers(0, len(file)))
        mutated[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    await _check(fitter, Media(declared, bytes(mutated)), limits)
