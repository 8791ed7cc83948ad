"""A figure, what it must reach, and the table that shows many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        other: The same of what Paceline is compared with, in the same run.
        judged: What is compared with the target: a ratio, a difference, or the figure itself.
        within: The least and the most that `judged` was in a round: how far the machine can be trusted.
        target: The most that `judged` may be, the least if `at_least`; None judges nothing.
    """

    name: str
    unit: str
    paceline: float
    other: float | None = None
    judged: float | None = None
    judged_unit: str = ""
    within: tuple[float, float] | None = None
    target: float | None = None
    at_least: bool = False

    @property
    def missed(self) -> bool:
        """Whether there is a target, and it is not reached."""
        if self.target is None or self.judged is None:
            return False
        return self.judged < self.target if self.at_least else self.judged > self.target

    @property
    def used(self) -> float | None:
        """What share of the target is used; above 1 it is missed."""
        if not self.target or not self.judged:
            return None
        return self.target / self.judged if self.at_least else self.judged / self.target

    def cells(self, *, judged: bool) -> tuple[str, ...]:
        """The figure as a line of the table."""
        bound = "at least " if self.at_least else ""
        return (
            f"{self.name}, {self.unit}",
            number(self.paceline),
            "" if self.other is None else number(self.other),
            "" if self.judged is None else f"{self.judged:.2f}{self.judged_unit}",
            "" if self.within is None else f"{self.within[0]:.2f} to {self.within[1]:.2f}",
            "" if self.target is None else f"{bound}{self.target:g}{self.judged_unit}",
            "missed" if judged and self.missed else "",
        )


def table(rows: Sequence[Row], other: str, *, judged: bool = True) -> str:
    """The rows for people, as Markdown; `other` names what Paceline is compared with."""
    head = ("figure", "Paceline", other, "judged", "in single rounds", "target", "")
    lines = [head, *(row.cells(judged=judged) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def number(value: float) -> str:
    """A figure with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"  # noqa: PLR2004 - three figures are enough
