"""What keeps a file from being sent. Where in the prompt the file is, the one who catches these knows.

The text of each continues a sentence about the file, as in "ends before its end marker".
"""

from __future__ import annotations


class DamagedMedia(Exception):
    """The file is not what it says it is, or not all of it; no target will read it."""


class MediaMisfit(Exception):
    """The file may be sound, but this target cannot have it; another may. The text tells the remedy."""
