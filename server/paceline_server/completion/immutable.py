"""Values: dataclasses that nobody changes once they are made, and words of closed sets.

The type checker holds everyone to that. At run time nothing does, because a frozen dataclass takes three
times as long to make, and the values of a call were a fourteenth of its whole cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as immutable
else:
    T = TypeVar("T")

    def immutable(
        *,
        frozen: Literal[True],  # noqa: ARG001 - the type checker reads it
        slots: bool = False,
        eq: bool = True,
        order: bool = False,
    ) -> Callable[[type[T]], type[T]]:
        """As `dataclasses.dataclass`, but that `frozen` is the type checker's business alone."""
        return dataclasses.dataclass(slots=slots, eq=eq, order=order, unsafe_hash=eq)


__all__ = ["Word", "immutable"]


class Word(Enum):
    """One of a few words, found in tables by what it is: an `Enum` makes its hash in Python, of its name."""

    __hash__ = object.__hash__
