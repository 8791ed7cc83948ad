"""Who is left in a race: may a candidate's clock end its attempt, or is that the last hope (rule A1)."""

from __future__ import annotations

from dataclasses import replace

from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.racing.field import Field
from paceline_server.strategies.racing.rule import Rule, Select


class Remaining:
    """The candidates of one race that could still answer.

    Clocks of attempts that began together ring together, before the first of these has come to its end. So
    it is kept here whose attempt a clock is ending: he could answer only if he turned to another target.
    """

    def __init__(self, rule: Rule, field: Field) -> None:
        """Look at `field`, as it changes."""
        self._rule = rule
        self._field = field
        self._ending: set[int] = set()

    def may_end(self, index: int) -> bool:
        """Whether a clock may end this candidate's attempt; if so, it does."""
        others = [one for one in self._field.entrants if one.index != index and one.index not in self._ending]
        may_end = (
            any(one.running for one in others) or self._rule.may_start(self._field) or self._has_winner()
        )
        if may_end:
            self._ending.add(index)
        return may_end

    def tries_again(self, index: int) -> None:
        """This candidate has turned to a target."""
        self._ending.discard(index)

    def _has_winner(self) -> bool:
        """Whether somebody would win if nobody else answered."""
        decided = self._rule.decide(replace(self._field, time_is_up=True), NEVER)
        return isinstance(decided, Select)
