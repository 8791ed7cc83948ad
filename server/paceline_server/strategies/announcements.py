"""What is to be told before an attempt begins, and before content is delivered; each once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Tell = Callable[[], Awaitable[None]]


class Announcements:
    """What one delivery has still to announce of whose answer comes next."""

    __slots__ = ("_beginning", "_content")

    def __init__(self) -> None:
        """Start with nothing to announce."""
        self._beginning: Tell | None = None
        self._content: Tell | None = None

    @property
    def awaits_beginning(self) -> bool:
        """Whether the next beginning is to be announced."""
        return self._beginning is not None

    @property
    def awaits_content(self) -> bool:
        """Whether the next content is to be announced."""
        return self._content is not None

    def make(self, beginning: Tell, content: Tell) -> None:
        """Announce these, and nothing else any more."""
        self._beginning, self._content = beginning, content

    def drop(self) -> None:
        """Announce nothing."""
        self._beginning = self._content = None

    async def begins(self) -> None:
        """An attempt begins."""
        tell, self._beginning = self._beginning, None
        if tell is not None:
            await tell()

    async def has_content(self) -> None:
        """Content is about to be delivered."""
        tell, self._content = self._content, None
        if tell is not None:
            await tell()
