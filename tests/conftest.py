"""What holds for all tests: no example of a property is timed; a busy machine says nothing of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
