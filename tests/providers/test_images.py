"""Decoding images, and writing them within limits."""

from __future__ import annotations

import pytest
from PIL import Image

from paceline_server.completion.content import Media
from paceline_server.providers.image_encoding import ImageLimits, check_refittable, refitted
from paceline_server.providers.image_header import ImageHeader
from paceline_server.providers.images import (
    MAX_PIXEL_COUNT,
    MAX_REDUCIBLE_PIXEL_COUNT,
    MAX_SCAN_COUNT,
    check_decodable,
    decoded_image,
)
from paceline_server.providers.media_faults import DamagedMedia, MediaMisfit
from paceline_server.providers.media_fitting import Refitting, judged
from paceline_server.providers.profile import MediaLimits
from tests.providers.pictures import claimed_png, noise, opened, photograph, stored

_ALL = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
_KINDS = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


def _refitted(data: bytes, limits: ImageLimits) -> tuple[str, Image.Image]:
    allowed = MediaLimits(
        frozenset(limits.media_types), max_image_bytes=limits.max_bytes, max_image_edge=limits.max_edge
    )
    verdict = judged(Media("image/x", data), allowed)
    assert isinstance(verdict, Refitting)
    media = verdict.done()
    image = opened(media.data)
    assert media.media_type == _KINDS[str(image.format)]
    assert media.media_type in limits.media_types
    assert not limits.max_bytes or len(media.data) <= limits.max_bytes
    assert not limits.max_edge or max(image.size) <= limits.max_edge
    return media.media_type, image


@pytest.mark.parametrize(
    ("kind", "mode", "written"),
    [
        ("PNG", "RGB", "image/png"),
        ("PNG", "RGBA", "image/png"),
        ("PNG", "LA", "image/png"),
        ("PNG", "P", "image/png"),
        ("PNG", "1", "image/png"),
        ("PNG", "I;16", "image/png"),
        ("GIF", "P", "image/png"),
        ("BMP", "RGB", "image/png"),
        ("JPEG", "RGB", "image/jpeg"),
        ("JPEG", "L", "image/jpeg"),
        ("JPEG", "CMYK", "image/jpeg"),
        ("WEBP", "RGB", "image/jpeg"),
        ("WEBP", "RGBA", "image/png"),
        ("TIFF", "RGB", "image/jpeg"),
        ("TIFF", "CMYK", "image/jpeg"),
        ("TIFF", "LAB", "image/jpeg"),
        ("TIFF", "I", "image/jpeg"),
        ("TIFF", "F", "image/jpeg"),
        ("TIFF", "I;16", "image/jpeg"),
        ("TIFF", "RGBA", "image/png"),
    ],
)
def test_every_kind_of_image_is_scaled(kind: str, mode: str, written: str) -> None:
    """A8: colours of every mode are handled; drawings and transparency stay lossless, photographs do not."""
    base = photograph((300, 200))
    if mode in ("I", "F", "I;16"):
        image = base.convert("L").convert("I").point(lambda value: value * 200).convert(mode)
    elif mode == "LAB":
        image = Image.frombytes("LAB", base.size, base.tobytes())
    else:
        image = base.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.linear_gradient("L").resize(base.size))
    media_type, small = _refitted(stored(image, kind), ImageLimits(_ALL, max_edge=100))
    assert (media_type, small.size) == (written, (100, 67))
    low, high = small.convert("L").getextrema()
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert high - low > 60


def test_the_greys_of_a_deep_image_are_kept() -> None:
    """A8: sixteen bits become eight by dividing them, not by cutting off all but the darkest."""
    deep = Image.new("I;16", (40, 20), 0x8000)
    _, small = _refitted(stored(deep, "PNG"), ImageLimits(_ALL, max_edge=10))
    assert small.getpixel((5, 2)) == 0x80


def test_a_deep_image_of_one_grey_is_no_division_by_zero() -> None:
    """A8: an image whose range is nothing has no brightest grey."""
    _, small = _refitted(stored(Image.new("F", (40, 20), 7.5), "TIFF"), ImageLimits(_ALL, max_edge=10))
    assert small.getextrema() == (0, 0)


def test_an_image_without_a_clear_pixel_is_not_transparent() -> None:
    """A8: a channel that says nothing does not cost the bytes of a lossless image."""
    image = photograph((60, 40))
    image.putalpha(255)
    media_type, small = _refitted(stored(image, "WEBP"), ImageLimits(_ALL, max_edge=30))
    assert (media_type, small.mode) == ("image/jpeg", "RGB")


def test_transparency_stands_on_white_where_the_target_knows_none() -> None:
    """A8: what is clear is seen as paper, not as black."""
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    _, written = _refitted(stored(image, "PNG"), ImageLimits(frozenset({"image/jpeg"})))
    assert written.getpixel((20, 20)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_that_is_written_anew_is_upright(kind: str, orientation: int) -> None:
    """A8: the turn that the metadata ask for is made, since the metadata are not kept."""
    image = Image.new("RGB", (80, 40), "white")
    image.paste("black", (0, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    _, small = _refitted(stored(image, kind, exif=exif), ImageLimits(_ALL, max_edge=40))
    corners = {"top left": (4, 4), "top right": (-5, 4), "bottom right": (-5, -5), "bottom left": (4, -5)}
    dark = [
        name
        for name, (x, y) in corners.items()
        if small.convert("L").getpixel((x % small.width, y % small.height)) == pytest.approx(0, abs=40)
    ]
    places = ["top left", "top right", "bottom right", "bottom left"]
    assert dark == [(places * 2)[orientation - 1]]
    assert small.size == ((40, 20) if orientation < 5 else (20, 40))
    assert 0x0112 not in small.getexif()


def test_metadata_are_not_kept() -> None:
    """A8: where a photograph was taken does not go along with a smaller one."""
    exif = Image.Exif()
    exif[0x010E] = "at home"
    for kind in ("JPEG", "PNG"):
        _, small = _refitted(
            stored(photograph((80, 40)), kind, exif=exif, icc_profile=b"x" * 200), ImageLimits(_ALL, 0, 40)
        )
        assert not small.getexif()
        assert "icc_profile" not in small.info


def test_of_moving_images_the_first_is_written() -> None:
    """A8: a moving image that has to be written anew becomes its first frame."""
    frames = [Image.new("L", (40, 40), grey) for grey in (200, 100, 0)]
    data = stored(frames[0], "GIF", save_all=True, append_images=frames[1:])
    _, small = _refitted(data, ImageLimits(frozenset({"image/png"})))
    assert getattr(small, "n_frames", 1) == 1
    assert small.convert("L").getpixel((0, 0)) == 200


@pytest.mark.parametrize("types", [_ALL, {"image/png"}, {"image/webp"}, {"image/jpeg"}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("limit", [60_000, 8_000, 1_000])
def test_the_limit_of_bytes_is_kept(types: set[str], mode: str, limit: int) -> None:
    """A8: quality goes first, then size, until an image is within its bytes."""
    data = stored(noise(mode, (200, 200)), "PNG")
    media_type, small = _refitted(data, ImageLimits(frozenset(types), max_bytes=limit))
    if mode == "RGBA" and types != {"image/jpeg"}:
        assert media_type != "image/jpeg"
    # Nothing is given away: what is written is no tenth of what is allowed.
    assert small.width * small.height * 3 > limit / 10


def test_quality_goes_before_size() -> None:
    """A8: an image that is a little too large loses no pixels."""
    data = stored(noise("RGB", (200, 200)).resize((400, 400)), "JPEG", quality=95)
    _, small = _refitted(data, ImageLimits(_ALL, max_bytes=len(data) // 3))
    assert small.size == (400, 400)


def test_a_limit_that_no_image_is_within_is_a_misfit() -> None:
    """A8: an image is never dropped, and never sent too large."""
    with pytest.raises(MediaMisfit, match="300 bytes"):
        _refitted(stored(noise("RGB", (200, 200)), "PNG"), ImageLimits(frozenset({"image/jpeg"}), 300))


def test_the_same_image_is_written_the_same_way() -> None:
    """A8: fitting is deterministic."""
    data = stored(noise("RGB", (300, 200)), "PNG")
    header = ImageHeader(300, 200)
    limits = ImageLimits(_ALL, max_bytes=20_000)
    assert refitted("image/png", data, header, limits) == refitted("image/png", data, header, limits)


def test_a_thin_image_keeps_a_pixel() -> None:
    """A8: no side is scaled to nothing, nor longer than any type can be."""
    _, small = _refitted(stored(Image.new("L", (40_000, 2)), "PNG"), ImageLimits(frozenset({"image/webp"})))
    assert small.size == (16_383, 1)


def test_no_more_is_written_than_models_look_at() -> None:
    """A8: writing an image takes bounded time and memory, whatever the target would take."""
    data = stored(Image.new("L", (6_000, 4_000)), "TIFF", compression="tiff_lzw")
    _, small = _refitted(data, ImageLimits(frozenset({"image/jpeg"})))
    assert small.size == (4242, 2828)


@pytest.mark.parametrize(
    ("media_type", "header"),
    [
        ("image/png", ImageHeader(65_500, 65_500)),
        ("image/png", ImageHeader(8_000, 5_000)),
        ("image/webp", ImageHeader(7_680, 4_320)),
        ("image/jpeg", ImageHeader(9_000, 9_000, is_reducible=True)),
        ("image/jpeg", ImageHeader(8_000, 5_000, scan_count=10)),
        ("image/jpeg", ImageHeader(1_000, 1_000, scan_count=MAX_SCAN_COUNT + 1)),
        ("image/tiff", ImageHeader(10, 10, tile_pixel_count=MAX_PIXEL_COUNT + 1)),
        ("image/avif", ImageHeader(10, 10)),
        ("image/svg+xml", None),
    ],
)
def test_what_would_cost_too_much_is_not_decoded(media_type: str, header: ImageHeader | None) -> None:
    """A8: the header decides whether an image may be decoded; a bomb is never lit."""
    with pytest.raises(MediaMisfit):
        check_decodable(media_type, header)


def test_an_8k_screen_and_a_large_photograph_are_decoded() -> None:
    """A8: images that people have are within the bounds."""
    check_decodable("image/png", ImageHeader(7_680, 4_320))
    check_decodable("image/jpeg", ImageHeader(9_504, 6_336, is_reducible=True))


def test_the_library_has_nothing_to_warn_of() -> None:
    """A8: the bounds are below those at which the library would warn of bombs or refuse them."""
    assert Image.MAX_IMAGE_PIXELS is not None
    assert max(MAX_PIXEL_COUNT, MAX_REDUCIBLE_PIXEL_COUNT) < Image.MAX_IMAGE_PIXELS


def test_a_large_jpeg_is_decoded_at_a_fraction() -> None:
    """A8: of a photograph of more pixels than may be held, fewer are decoded."""
    small = stored(Image.new("L", (64, 64), 90), "JPEG")
    large = stored(Image.new("L", (8_000, 5_000), 90), "JPEG")
    header = ImageHeader(8_000, 5_000, is_reducible=True)
    assert decoded_image("image/jpeg", large, header, 16_383).size == (4_000, 2_500)
    assert decoded_image("image/jpeg", large, header, 300).size == (300, 188)
    assert decoded_image("image/jpeg", small, ImageHeader(64, 64, is_reducible=True), 64).size == (64, 64)


def test_a_decoder_does_not_go_by_another_size_than_the_header() -> None:
    """A8: a header that was misread lets nothing through that is too large to hold."""
    with pytest.raises(DamagedMedia, match="size"):
        decoded_image("image/png", claimed_png(8_000, 5_000), ImageHeader(10, 10), 100)


def test_pixels_that_are_missing_are_damage() -> None:
    """A8: a file with fewer pixels than it claims is the request's fault."""
    with pytest.raises(DamagedMedia, match="pixels are damaged"):
        _refitted(claimed_png(900, 900), ImageLimits(_ALL, max_edge=100))


def test_a_variant_that_the_library_does_not_know_is_a_misfit() -> None:
    """A8: a whole file that cannot be read here may be read by another target."""
    data = bytearray(stored(noise("RGB", (60, 40)), "TIFF"))
    place = data.index(b"\x03\x01\x03\x00\x01\x00\x00\x00")
    data[place + 8 : place + 10] = b"\xff\x7f"
    with pytest.raises(MediaMisfit, match="of a kind that cannot be converted here"):
        _refitted(bytes(data), ImageLimits(_ALL, max_edge=20))


def test_a_target_that_takes_no_written_type_is_a_misfit() -> None:
    """A8: an image is only written in a type that can be written."""
    limits = ImageLimits(frozenset({"image/gif"}))
    with pytest.raises(MediaMisfit, match="takes no images"):
        check_refittable("image/png", ImageHeader(10, 10), limits)
