"""Judging one file: whole or damaged, within a target's limits or not."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

import pytest

from paceline_server.completion.content import Media
from paceline_server.providers.media_faults import DamagedMedia, MediaMisfit
from paceline_server.providers.media_fitting import MAX_QUOTED_LENGTH, Refitting, judged
from paceline_server.providers.profile import MediaLimits
from paceline_server.providers.request_body import untaken_media
from tests.providers.pictures import HEIC, PDF, claimed_png, noise, photograph, stored

_PNG = stored(photograph((120, 80)), "PNG")
_JPEG = stored(photograph((120, 80)), "JPEG")
_QUOTED = "data:;base64," + b64encode(_PNG).decode().translate({43: "%2b", 47: "%2F", 61: "%3d"})
_SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
_WAV = b"RIFF\x24\0\0\0WAVEfmt "
_LIMITS = MediaLimits(
    frozenset({"image/png", "image/jpeg", "application/pdf", "text/plain", "audio/mp3"}),
    max_image_bytes=100_000,
    max_image_edge=1000,
    max_document_bytes=1000,
)


@pytest.mark.parametrize("limits", [None, _LIMITS])
@pytest.mark.parametrize(
    "media",
    [
        Media("image/png", _PNG),
        Media("IMAGE/PNG; name=x", _PNG),
        Media("image/jpeg", _JPEG),
        Media("application/pdf", PDF),
        Media("application/pdf", b"\n" * 100 + PDF),
        Media("text/plain; charset=latin-1", b"Gr\xfc\xdfe"),
        Media("image/png", uri="https://example.com/a.png"),
    ],
)
def test_what_fits_is_left_alone(media: Media, limits: MediaLimits | None) -> None:
    """A8: a file that fits is handed back as the same object."""
    assert judged(media, limits) is media


@pytest.mark.parametrize("limits", [None, _LIMITS])
@pytest.mark.parametrize(
    ("declared", "data", "media_type"),
    [
        ("image/jpeg", _PNG, "image/png"),
        ("", _PNG, "image/png"),
        ("image/jpg", _JPEG, "image/jpeg"),
        ("text/plain", PDF, "application/pdf"),
        ("", b"plain words", "text/plain"),
    ],
)
def test_a_wrong_label_is_put_right(
    declared: str, data: bytes, media_type: str, limits: MediaLimits | None
) -> None:
    """A8: the type is what the bytes say, and the bytes stay as they are."""
    media = judged(Media(declared, data), limits)
    assert media == Media(media_type, data)


def test_a_target_reads_its_own_name_of_a_type() -> None:
    """A8: a type that the target knows by another name is called that."""
    assert judged(Media("audio/mpeg", b"\xff\xfb\x90\x00"), _LIMITS) == Media(
        "audio/mp3", b"\xff\xfb\x90\x00"
    )
    limits = MediaLimits(frozenset({"image/jpg"}))
    verdict = judged(Media("image/png", _PNG), limits)
    assert isinstance(verdict, Refitting)
    assert verdict.done().media_type == "image/jpg"


@pytest.mark.parametrize("limits", [None, _LIMITS])
@pytest.mark.parametrize(
    ("declared", "data"),
    [
        ("image/png", b"no image at all"),
        ("image/png", b""),
        ("image/x-unheard-of", b"\1\2\3"),
        ("image/png", _PNG[:-20]),
        ("application/octet-stream", _PNG[:-20]),
        ("image/jpeg", _JPEG[: len(_JPEG) // 2]),
        ("application/pdf", b"PK\x03\x04"),
        ("application/pdf", b"\0" * 2000 + PDF),
        ("application/pdf", PDF.partition(b"%%EOF")[0]),
    ],
)
def test_a_damaged_file_is_refused_whatever_the_target_takes(
    declared: str, data: bytes, limits: MediaLimits | None
) -> None:
    """A8: a corrupt file is found even where it would not have been touched."""
    with pytest.raises(DamagedMedia):
        judged(Media(declared, data), limits)


@pytest.mark.parametrize(
    ("media", "limits", "words"),
    [
        (Media("audio/wav", _WAV), _LIMITS, "send one of application/pdf, audio/mp3"),
        (Media("", b"\0\1"), _LIMITS, "set its media_type"),
        (Media("application/pdf", PDF + bytes(1000)), _LIMITS, "at most 1000; split it"),
        (Media("text/plain", b"a" * 1001), _LIMITS, "at most 1000; split it"),
        (Media("image/png", _PNG), MediaLimits(), "takes none"),
        (Media("application/pdf", PDF), MediaLimits(), "takes none"),
        (Media("image/svg+xml", _SVG), _LIMITS, "send it as JPEG or PNG"),
        (Media("image/heic", HEIC), _LIMITS, "send it as JPEG or PNG"),
        (Media("image/png", _PNG), MediaLimits(frozenset({"audio/wav"})), "takes no images"),
        (Media("image/png", claimed_png(8000, 5000)), _LIMITS, "at most 36 megapixels"),
        (Media("image/png", uri="https://a/b"), MediaLimits(takes_uris=False), "send the bytes as data"),
        (Media("audio/wav", uri="https://a/b"), _LIMITS, "send one of"),
        (Media("", uri="https://a/b"), _LIMITS, "set its media_type"),
    ],
)
def test_a_misfit_says_what_to_do(media: Media, limits: MediaLimits, words: str) -> None:
    """A8: what a target cannot have is refused with the remedy, and never dropped."""
    with pytest.raises(MediaMisfit, match=words):
        judged(media, limits)


@pytest.mark.parametrize(
    "media",
    [
        Media("", uri=f"data:x/{'y' * 100_000},text"),
        Media("", uri=f"data:x/{'y' * 100_000};base64,AA=="),
        Media("x/" + "y" * 100_000, b"\0"),
        Media("x/" + "y" * 100_000, uri="https://a/b"),
    ],
)
def test_a_type_without_end_is_not_repeated(media: Media) -> None:
    """A8, S6: what a caller calls a type cannot flood a message, whoever refuses it."""
    with pytest.raises(MediaMisfit, match=r"is 'x/y{98}\.\.\.', which") as caught:
        judged(media, _LIMITS)
    assert len(str(caught.value)) < 300
    unlimited = judged(media, None)
    assert isinstance(unlimited, Media)
    format_refusal = untaken_media(unlimited).message
    assert "'x/y" in format_refusal
    assert len(format_refusal) < 300


def test_a_sound_has_no_limit_of_a_document() -> None:
    """A8: the limit of documents is one of documents."""
    media = Media("audio/mp3", b"\xff\xfb\x90\x00" + bytes(5000))
    assert judged(media, _LIMITS) is media


@pytest.mark.parametrize(
    "media",
    [
        Media("image/png", stored(noise("RGB", (1001, 2)), "PNG")),
        Media("image/png", stored(noise("RGB", (300, 200)), "PNG")),
        Media("image/png", stored(photograph((40, 40)), "GIF")),
        Media("image/webp", stored(photograph((40, 40)), "WEBP")),
    ],
)
def test_an_image_that_is_too_much_is_to_be_refitted(media: Media) -> None:
    """A8: too long, too many bytes or of another type, an image is brought within the limits."""
    verdict = judged(media, _LIMITS)
    assert isinstance(verdict, Refitting)
    again = verdict.done()
    assert judged(again, _LIMITS) is again


def test_a_large_image_that_fits_is_not_decoded() -> None:
    """A8: a target that takes an image as it is gets it, though it could not be decoded here."""
    media = Media("image/png", claimed_png(65_500, 65_500))
    assert judged(media, None) is media
    assert judged(media, MediaLimits(frozenset({"image/png"}), max_image_bytes=5000)) is media


def test_an_image_of_unknown_size_is_not_taken_to_be_small() -> None:
    """A8: a limit in pixels holds for types whose pixels are not counted here."""
    limits = MediaLimits(frozenset({"image/svg+xml", "image/png"}))
    media = Media("image/svg+xml", _SVG)
    assert judged(media, limits) is media
    with pytest.raises(MediaMisfit):
        judged(media, MediaLimits(limits.media_types, max_image_edge=1000))


@pytest.mark.parametrize(
    ("media", "inline"),
    [
        (Media("", uri=f"data:image/gif;base64,{b64encode(_PNG).decode()}"), Media("image/png", _PNG)),
        (Media("image/png", uri=f"DATA:;base64,{quote(b64encode(_PNG))}"), Media("image/png", _PNG)),
        (Media("", uri=_QUOTED), Media("image/png", _PNG)),
        (Media("", uri="data:text/csv,a%2Cb"), Media("text/csv", b"a,b")),
        (Media("", uri="data:,Gr%C3%BC%C3%9Fe"), Media("text/plain", "Grüße".encode())),
    ],
)
def test_the_bytes_of_a_data_uri_are_judged_like_others(media: Media, inline: Media) -> None:
    """A8: a data: URI is no way around the limits, and needs no target that takes URIs."""
    assert judged(media, None) == inline
    assert judged(media, MediaLimits(frozenset({inline.media_type}), takes_uris=False)) == inline


@pytest.mark.parametrize("limits", [None, MediaLimits(frozenset({"text/plain"}))])
def test_a_long_text_is_not_unquoted(limits: MediaLimits | None) -> None:
    """A8: a data: URI cannot be built to keep all other calls waiting while it is unquoted."""
    longest = "%61" + "a" * (MAX_QUOTED_LENGTH - 3)
    assert judged(Media("", uri=f"data:,{longest}"), limits) == Media("text/plain", b"a" * (len(longest) - 2))
    with pytest.raises(MediaMisfit, match="send the bytes as data"):
        judged(Media("", uri=f"data:,{longest}a"), limits)


def test_only_what_is_quoted_has_a_greatest_length() -> None:
    """A8: a data: URI that takes no unquoting, or is base64, is as long as it likes."""
    text = "a" * (MAX_QUOTED_LENGTH + 1)
    assert judged(Media("", uri=f"data:,{text}"), None) == Media("text/plain", text.encode())
    data = b"\xff" * MAX_QUOTED_LENGTH
    coded = quote(b64encode(data), safe="")
    assert judged(Media("", uri=f"data:a/b;base64,{coded}"), None) == Media("a/b", data)


@pytest.mark.parametrize(
    "uri", ["data:", "data:image/png;base64,", "data:x", "data:;base64,%%%", "data:;base64,QQ"]
)
def test_a_broken_data_uri_is_damage(uri: str) -> None:
    """A8: a data: URI without whole data is the request's fault."""
    with pytest.raises(DamagedMedia, match="data: URI"):
        judged(Media("image/png", uri=uri), None)
