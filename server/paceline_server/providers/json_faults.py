"""What is raised where bytes or text cannot be decoded as the JSON that they should be."""

from __future__ import annotations

import msgspec

NOT_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)
"""Not JSON, not UTF-8, nested too deep, or of another type where a used member should be."""
