"""The rule `consensus`: equivalent answers are grouped, and the largest group wins (R6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paceline_server.completion.immutable import immutable
from paceline_server.completion.race import AnswerGroup, RaceDecision
from paceline_server.strategies.racing.all_at_once import AllAtOnce
from paceline_server.strategies.racing.equivalence import (
    Equivalence,
    Group,
    Key,
    grouped,
    in_order,
    preview,
)
from paceline_server.strategies.racing.field import Entrant, Field
from paceline_server.strategies.racing.rule import Agreement, Fail, Judge, JudgeTask, Step, Wait
from paceline_server.strategies.racing.scoring import (
    confidence_key,
    latency_key,
    own_confidence,
    selected,
)


@immutable(frozen=True, slots=True)
class Consensus(AllAtOnce):
    """The largest group wins if it is large enough; within it the surest, then the fastest answer.

    Attributes:
        quorum: The least size of the winning group; None is more than half of the candidates asked.
        minimum_agreement: The least share of the candidates asked in the winning group.
        judge: The spec of the judge; with the equivalence `JUDGE` only.
    """

    equivalence: Equivalence = Equivalence.NORMALIZED_TEXT
    quorum: int | None = None
    minimum_agreement: float = 0.0
    judge: str = ""

    @property
    def judge_model(self) -> str:
        """The judge, where one groups."""
        return self.judge if self.equivalence is Equivalence.JUDGE else ""

    @property
    def asks_logprobs(self) -> bool:
        """They decide within the winning group."""
        return True

    def decide(self, field: Field, now: float) -> Step:
        """Decide as soon as nobody who still runs could change the outcome."""
        # Of long answers this takes its time: for each as it comes, and not for all in one go.
        self._keys(field)
        coming = sum(entrant.running for entrant in field.entrants)
        step = self._step(field, coming)
        if field.time_is_up and isinstance(step, Wait | Judge):
            return self._step(field, 0, in_time=False)
        return step

    def agreement(self, field: Field) -> Agreement:
        """The groups among the answers so far."""
        answers = field.completions
        groups = tuple(
            AnswerGroup(preview(answers[group[0]]), group) for group in self._groups(field, self._keys(field))
        )
        largest = len(groups[0].candidate_indices) if groups else 0
        return Agreement(groups, largest / max(1, len(field.entrants)))

    def _step(self, field: Field, coming: int, *, in_time: bool = True) -> Step:
        """What is to be done if so many answers are still to come."""
        answers = field.completions
        if not answers:
            # Why nobody answers is not known before the last has ended, and it is no lack of agreement.
            return Wait() if coming else Fail()
        if len(answers) + coming < self._least_size(field):
            return Fail(no_consensus=True)
        if coming and not self._may_be_certain(field, len(answers), coming):
            return Wait()
        if in_time and self._asks_judge(field, len(answers)):
            return Judge(JudgeTask.GROUP, tuple(sorted(answers)))
        return self._by_groups(field, coming, in_time=in_time)

    def _by_groups(self, field: Field, coming: int, *, in_time: bool) -> Step:
        least = self._least_size(field)
        keys = self._keys(field)
        groups = self._groups(field, keys)
        largest = len(groups[0])
        reach = _reach(keys, coming) if coming else largest
        if reach < least:
            return Fail(no_consensus=True)
        tied = {index for group in groups if len(group) == largest for index in group}
        best = min((one for one in field.answered if one.index in tied), key=_rank)
        if largest < least or (coming and _rival_reach(keys, best.index, coming) >= largest):
            return Wait()
        majority = 2 * largest > len(field.entrants)
        decision = RaceDecision.MAJORITY if majority else RaceDecision.PLURALITY
        return selected(field, best, decision, in_time=in_time)

    def _least_size(self, field: Field) -> int:
        """How many equivalent answers are enough; more than were asked if none are."""
        asked = len(field.entrants)
        quorum = asked // 2 + 1 if self.quorum is None else max(1, self.quorum)
        sizes = range(quorum, asked + 1)
        return next((size for size in sizes if size / asked >= self.minimum_agreement), asked + 1)

    def _may_be_certain(self, field: Field, answer_count: int, coming: int) -> bool:
        """Whether it is worth comparing the answers before all are there; a judge is asked only then."""
        least = self._least_size(field)
        return self.equivalence is not Equivalence.JUDGE and (answer_count >= least or coming < least)

    def _asks_judge(self, field: Field, answer_count: int) -> bool:
        return self.equivalence is Equivalence.JUDGE and field.judgement is None and answer_count > 1

    def _keys(self, field: Field) -> dict[int, Key | None]:
        return field.keys.of(field.completions, self.equivalence)

    def _groups(self, field: Field, keys: Mapping[int, Key | None]) -> list[Group]:
        """By the judge, if he said anything of these answers; else by their keys."""
        if self.equivalence is Equivalence.JUDGE and field.judgement is not None:
            judged = _judged(field.judgement.groups, set(keys))
            if judged:
                return judged
        return grouped(keys)


def _judged(groups: Sequence[Sequence[int]], answered: set[int]) -> list[Group]:
    """The judge's groups; whom he names twice stays in the first, whom he does not name stands alone."""
    left = set(answered)
    found: list[set[int]] = []
    for group in groups:
        members = left & set(group)
        left -= members
        found.append(members)
    named = [sorted(members) for members in found if members]
    return in_order([*named, *([index] for index in left)]) if named else []


def _reach(keys: Mapping[int, Key | None], coming: int) -> int:
    """The greatest size that a group can come to; nobody still to come joins an answer that stands alone."""
    joinable = {index: key for index, key in keys.items() if key is not None}
    return max(map(len, grouped(joinable)), default=0) + coming


def _rival_reach(keys: Mapping[int, Key | None], index: int, coming: int) -> int:
    """The greatest size that a group without the answer of `index` can come to.

    Numbers that are close to it may still end in another group than it, and count as rivals.
    """
    return _reach({other: key for other, key in keys.items() if key != keys[index]}, coming)


def _rank(entrant: Entrant) -> tuple[Any, ...]:
    """Within a group, and between groups of the same size by their best."""
    return confidence_key(own_confidence(entrant)), latency_key(entrant), entrant.index
