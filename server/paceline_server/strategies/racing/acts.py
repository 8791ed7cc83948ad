"""What a race's decisions have done to its models, apart from how that is done."""

from __future__ import annotations

from typing import Protocol

from paceline_server.strategies.lane import Lane
from paceline_server.strategies.racing.rule import Judge


class Acts(Protocol):
    """What a contest has done to the models; each returns at once."""

    def start(self, index: int, *, beside: bool) -> Lane:
        """Run a candidate's model in a lane; `beside` others, or as one of those that start at once."""
        ...

    def take_hedge(self) -> bool:
        """Take a token for a start beside others; tells whether there was one."""
        ...

    def give_back_hedge(self) -> None:
        """The start was not made after all."""
        ...

    def ask_judge(self, step: Judge) -> None:
        """Ask the judge, who answers by `Contest.judged`."""
        ...

    def cancel(self, lane: Lane) -> None:
        """End one lane."""
        ...

    def cancel_others(self, winner: Lane | None) -> None:
        """End all but this one, the judge's included."""
        ...
