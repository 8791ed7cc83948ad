"""Headers that a provider is sent: names and values, of which those that carry credentials are secrets.

What a secret is, and how it is referred to, is `secret`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from paceline_server.settings.secret import HOW_TO_GIVE, Secret, refusal
from paceline_server.settings.values import CREDENTIAL_WORDS, HeaderName, Kind


class _Misplaced:
    """Stands for a literal under a header that carries credentials, so that its own place is blamed."""


def _value(given: object) -> object:
    """A header may be written out: it is a secret only if its name says so, and masked in any case."""
    if isinstance(given, _Misplaced):
        raise refusal("the secret of this header must not stand in the configuration itself", HOW_TO_GIVE)
    if not isinstance(given, str):
        return given
    if not given.strip() or not given.isascii() or not given.isprintable():
        raise refusal("this is not the value of a header", "write one line of plain characters")
    return Secret(given)


def _headers(given: object) -> object:
    if not isinstance(given, dict):
        return given
    return {
        name: _Misplaced() if isinstance(value, str) and _carries_credentials(name) else value
        for name, value in given.items()
    }


def _carries_credentials(name: str) -> bool:
    return any(word in name.lower() for word in CREDENTIAL_WORDS)


HeaderValue = Annotated[Secret, Kind("text or secret", "a text, or {env: NAME}"), BeforeValidator(_value)]
Headers = Annotated[Mapping[HeaderName, HeaderValue], BeforeValidator(_headers)]
