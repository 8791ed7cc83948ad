"""Making a provider's words fit to be told: without secrets, on one line, and short.

Applied to every sentence of a provider that leaves its adapter; nothing else in the process redacts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_MESSAGE_CHARACTERS = 300

_MAX_SCANNED_CHARACTERS = 4_000
_MIN_SECRET_CHARACTERS = 4
_HIDDEN = "[redacted]"

_SECRETS = re.compile(
    r"""
    \bbearer\s+\S+
    | \b(?:sk|pk|rk|gsk|xai|pplx|hf|tgp|csk|nvapi|sess)[-_][\w*.-]{3,}   # API keys, also those masked in part
    | \bAIza[\w-]{10,}
    | \b(?:org|proj|user|acct|team|ws|key)[-_][A-Za-z0-9*]{6,}            # ids of accounts
    | \b[A-Fa-f0-9]{32,}\b
    | \beyJ[\w-]{10,}\.[\w.-]+                                           # JSON web tokens
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)                                    # credentials in a URL
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NAMED_KEY = re.compile(r"(api[ _-]?key(?: provided)?\s*[:=]\s*)[^\s,;\"']+", re.IGNORECASE)


def redacted(message: str, secrets: Iterable[str] = ()) -> str:
    """`message` without control characters, known `secrets` and what looks like one, and cut at 300."""
    text = message[:_MAX_SCANNED_CHARACTERS]
    # The longest first: one may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _MIN_SECRET_CHARACTERS:
            text = text.replace(secret, _HIDDEN)
    text = _NAMED_KEY.sub(rf"\1{_HIDDEN}", text)
    text = _SECRETS.sub(_HIDDEN, text)
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return shortened(text, MAX_MESSAGE_CHARACTERS)


def shortened(text: str, character_count: int) -> str:
    """`text`, or its start and an ellipsis, in at most `character_count` characters."""
    return text if len(text) <= character_count else text[: character_count - 1].rstrip() + "…"
