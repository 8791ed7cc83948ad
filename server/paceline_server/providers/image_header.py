"""What an image's file claims, and the reading of numbers and parts from such a file.

Nothing is allocated by what a file claims, and no file is walked for longer than its length warrants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paceline_server.providers.media_faults import DamagedMedia


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The claims of a file.

    Attributes:
        tile_pixel_count: Of a piece that a decoder holds beside the image; 0 if there are none.
        scan_count: How often a decoder goes over the whole image.
        is_reducible: A decoder can make a smaller image of it without holding the whole one.
    """

    width: int
    height: int
    tile_pixel_count: int = 0
    scan_count: int = 1
    is_reducible: bool = False

    @property
    def edge(self) -> int:
        """Pixels of the longer side."""
        return max(self.width, self.height)

    @property
    def pixel_count(self) -> int:
        """Pixels that a decoder of the whole image has to hold."""
        return max(self.width * self.height, self.tile_pixel_count)


class Steps:
    """Counts the parts of a file, so that one of millions of empty parts is not walked to its end."""

    __slots__ = ("_left",)

    def __init__(self, data: bytes) -> None:
        """Allow for parts that are much smaller, on average, than those of any encoder."""
        self._left = 1000 + len(data) // 64

    def take(self) -> None:
        """Go on to the next part.

        Raises:
            DamagedMedia: There were too many.
        """
        self._left -= 1
        if self._left < 0:
            raise DamagedMedia("consists of more parts than it can need")


def number(data: bytes, start: int, size: int, order: Literal["big", "little"]) -> int:
    """The unsigned number of `size` bytes at `start`.

    Raises:
        DamagedMedia: The file ends before it.
    """
    found = data[start : start + size]
    if len(found) != size:
        raise DamagedMedia("ends too early")
    return int.from_bytes(found, order)
