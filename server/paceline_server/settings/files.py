"""Reading a file that the configuration names, or the configuration itself."""

from __future__ import annotations

import stat
from pathlib import Path


class UnreadableFileError(Exception):
    """A file cannot be read; the text says why, without the file's name."""


def read_file(path: Path, limit: int) -> bytes:
    """At most `limit` bytes of a regular file.

    Raises:
        UnreadableFileError: There is no such file, or it may not be read.
    """
    try:
        # Asked for before it is opened: a pipe would wait for somebody who writes, and a device may act.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFileError("Not a regular file")
        with path.open("rb") as file:
            return file.read(limit)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it has no valid name"
        raise UnreadableFileError(reason) from None
