"""The keys of a race's answers, by which they are compared (rule R6): each is computed once.

A rule is asked again at every event of its race, and an answer may be a megabyte.
"""

from __future__ import annotations

from collections.abc import Mapping

from paceline_server.completion.answer import Completion
from paceline_server.strategies.racing.equivalence import Equivalence, Key, answer_key


class AnswerKeys:
    """Keys that were computed before. It changes what a question costs, and never what is answered."""

    __slots__ = ("_known", "_same")

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[int, tuple[Completion, Equivalence, Key | None]] = {}
        self._same: dict[Key, Key] = {}

    def of(self, answers: Mapping[int, Completion], equivalence: Equivalence) -> dict[int, Key | None]:
        """The keys of `answers`, by the index of their candidate."""
        return {index: self._key(index, answer, equivalence) for index, answer in answers.items()}

    def _key(self, index: int, answer: Completion, equivalence: Equivalence) -> Key | None:
        known = self._known.get(index)
        if known is not None and known[0] is answer and known[1] is equivalence:
            return known[2]
        key = answer_key(answer, equivalence)
        if key is not None:
            # Equal ones are one object, so that to compare them again takes no look at what they hold.
            key = self._same.setdefault(key, key)
        self._known[index] = (answer, equivalence, key)
        return key
