"""Checks that a choice which is made by its name is one that there is; knows none of the choices itself."""

from __future__ import annotations

from collections.abc import Sequence


def checked(name: str, what: str, choices: Sequence[str]) -> str:
    """The name of one of `choices`.

    Raises:
        ValueError: It is none of them; the message names them.
    """
    if name not in choices:
        raise ValueError(f"{name!r} is no {what}; choose one of {', '.join(choices)}")
    return name
