"""Images and documents for the tests, made here and the same in every run."""

from __future__ import annotations

import random
import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

from paceline_server.completion.content import Media, Message, Part, Role
from paceline_server.completion.prompt import Prompt

PDF = b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\nstartxref\n9\n%%EOF\n"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x1cmeta\0\0\0\x14ispe\0\0\0\0\0\0\x04\x00\0\0\x03\x00"
"""1024 x 768, by its boxes; there are no pixels."""


def noise(mode: str, size: tuple[int, int]) -> Image.Image:
    """An image that no encoder makes much smaller."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, size, random.Random(7).randbytes(size[0] * size[1] * bands))


def photograph(size: tuple[int, int]) -> Image.Image:
    """An image of soft colours."""
    return noise("RGB", (16, 16)).resize(size, Image.Resampling.BICUBIC)


def stored(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The file of an image."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    """The image of a file, decoded."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def claimed_png(width: int, height: int) -> bytes:
    """A tiny whole PNG that claims to be of this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def prompt_of(*media: Media) -> Prompt:
    """A prompt whose one message holds `media`."""
    return Prompt((Message(Role.USER, tuple(Part(one) for one in media)),))
