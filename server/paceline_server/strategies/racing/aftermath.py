"""What becomes of a race once it is decided: the winner's answer, another in its place, or why there is none.

A race whose winner breaks off is from then on a chain of those who have not failed, the best first (rule R3);
so is one whose candidates were all passed over because of their health, with the chain's last resort (C3).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from paceline_server.completion.answer import Completion
from paceline_server.completion.deltas import deltas_of
from paceline_server.completion.errors import CallFailed, ErrorReason
from paceline_server.completion.race import CandidateStarted, RaceDecision
from paceline_server.strategies.call import Turn
from paceline_server.strategies.course import Course
from paceline_server.strategies.delivery import NOTHING_DELIVERED, Delivery
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Setback, Telling, Unanswered
from paceline_server.strategies.race_run import RaceRun
from paceline_server.strategies.racing.allowance import LimitReached
from paceline_server.strategies.racing.candidate import is_request_fault
from paceline_server.strategies.racing.rule import Entrant, Standing
from paceline_server.strategies.verdict import deadline_exceeded


class Aftermath:
    """The end of one race.

    Attributes:
        won: The candidate whose answer it came to.
    """

    def __init__(self, run: RaceRun) -> None:
        """End `run`."""
        self.won: int | None = None
        self._run = run
        self._contest = run.contest

    async def answer(self, winner: Lane | None) -> Completion:
        """The answer that the race comes to.

        Raises:
            Unanswered: There is none.
        """
        if winner is None:
            return await self._turn_back()
        winner.raise_error()
        if winner.completion is None:
            return await self._recover(winner)
        self.won = winner.index
        return winner.completion

    async def _recover(self, broken: Lane) -> Completion:
        """Another answer in the place of one that broke off after its first content."""
        delivery = self._run.delivery
        assert delivery is not None  # noqa: S101 - what is not streamed is whole when it is selected
        if broken.record.attempts:
            delivery.broke_off(broken.record.attempts[-1])
        if delivery.final or is_request_fault(broken.unanswered, self._run.call):
            raise Unanswered(self._setbacks(), final=True, broken=delivery.broken)
        whole = [entrant for entrant in self._rest() if entrant.completion is not None]
        if whole:
            return await self._deliver(delivery, whole[0])
        rest = [entrant.index for entrant in self._rest()]
        return await self._course(rest, list(range(len(rest)))).answer()

    async def _deliver(self, delivery: Delivery, entrant: Entrant) -> Completion:
        """A candidate has its whole answer already."""
        lane, completion = self._contest.lanes[entrant.index], entrant.completion
        assert completion is not None  # noqa: S101 - that is why it was chosen
        await delivery.turn_to(lane.attempt_index or 0)
        await self._run.tell(self._contest.reselect(entrant.index, RaceDecision.ONLY_SURVIVOR))
        for delta in deltas_of(completion.parts):
            await delivery(delta)
        self.won = entrant.index
        return completion

    async def _turn_back(self) -> Completion:
        """Nobody has won. Where nobody was even tried, turn to what was passed over, as a chain does."""
        contest = self._contest
        lanes = list(contest.lanes.values())
        untried = all(lane.unanswered is not None and lane.unanswered.nothing_sent for lane in lanes)
        if contest.field.time_is_up or not untried or self._run.turn.first_pass:
            raise self._unanswered()
        waiting = [entrant.index for entrant in contest.field.those(Standing.WAITING)]
        course = self._course(list(range(len(contest.candidates))), waiting)
        for lane in lanes:
            if lane.unanswered is not None and lane.unanswered.held:
                course.held.append((lane.index, lane.unanswered))
            else:
                course.rejected_count += 1
        return await course.answer()

    def _course(self, candidates: Sequence[int], left: list[int]) -> Course:
        """`candidates` one after the other, as additional attempts (A7, C6); `left` are places among them."""
        run, delivery = self._run, self._run.delivery or NOTHING_DELIVERED

        async def ask(position: int, mine: Turn, _lane: Lane | None) -> Completion:
            index = candidates[position]
            completion = await self._ask(index, mine)
            self.won = index
            return completion

        models = tuple(self._contest.candidates[index].model for index in candidates)
        course = Course(
            models, run.call, run.turn, delivery, ask, lambda position: self._path(candidates[position]), left
        )
        course.setbacks = self._setbacks()
        return course

    async def _ask(self, index: int, mine: Turn) -> Completion:
        run, contest = self._run, self._contest
        model, lane = contest.candidates[index].model, contest.lanes.get(index)
        if lane is None:
            lane = contest.lanes[index] = Lane(index, run.call.record.branch(free_start=False), contest)
            await run.tell(CandidateStarted(index, contest.candidates[index].spec))
        call = run.call_of(index, lane.record)
        if run.delivery is None:
            contest.reselect(index, RaceDecision.ONLY_SURVIVOR)
            completion = await model.complete(call, mine)
        else:
            run.delivery.announce(partial(self._announce, index))
            completion = await model.stream(call, run.delivery, mine)
        contest.answered_late(index, completion)
        return completion

    async def _announce(self, index: int) -> None:
        decision = RaceDecision.FIRST_CONTENT if len(self._rest()) > 1 else RaceDecision.ONLY_SURVIVOR
        await self._run.tell(self._contest.reselect(index, decision))

    def _path(self, index: int) -> str:
        return self._run.turn.path_of(f"race[{index}]")

    def _rest(self) -> list[Entrant]:
        """Those who have not failed, the best first."""
        left = [entrant for entrant in self._contest.field.entrants if self._may_answer(entrant)]
        return sorted(left, key=lambda entrant: (-entrant.win_rate, -entrant.priority, entrant.index))

    def _may_answer(self, entrant: Entrant) -> bool:
        lane = self._contest.lanes.get(entrant.index)
        if lane is None or entrant.completion is not None:
            return True
        failed = lane.unanswered is not None or lane.completion is not None
        return not failed and entrant.index not in self._contest.out_of_time

    def _setbacks(self) -> list[Setback]:
        """Why candidates gave no answer, the first cause first."""
        lanes = [lane for lane in self._contest.lanes.values() if lane.unanswered is not None]
        lanes.sort(key=lambda lane: lane.ended_at or 0.0)
        return [
            setback for lane in lanes if lane.unanswered is not None for setback in lane.unanswered.setbacks
        ]

    def _unanswered(self) -> Unanswered:
        lanes = self._contest.lanes.values()
        ended = [lane.unanswered for lane in lanes if lane.unanswered is not None]
        # What this race may not take, another model of the call may.
        final = bool(ended) and all(one.final and not _limited(one) for one in ended)
        return Unanswered(self._setbacks(), final=final, told=self._told())

    def _told(self) -> Telling | None:
        """What the caller is told, where that is not what the candidates failed of."""
        contest = self._contest
        if contest.failed is not None and contest.failed.no_consensus:
            agreement = contest.rule.agreement(contest.field)
            largest = len(agreement.groups[0].candidate_indices) if agreement and agreement.groups else 0
            return partial(_no_consensus, largest, len(contest.candidates))
        if not contest.field.time_is_up:
            return None
        return _out_of_time if contest.clocks.cut_by_limit else deadline_exceeded


def _no_consensus(largest: int, candidate_count: int) -> CallFailed:
    return CallFailed(
        ErrorReason.NO_CONSENSUS,
        f"at most {largest} of {candidate_count} candidates agree, which is too few; "
        "the groups of answers are in the details",
    )


def _out_of_time() -> CallFailed:
    return CallFailed(
        ErrorReason.LIMIT_REACHED,
        "no candidate had an answer when the race had to decide; raise limits.decision_timeout",
    )


def _limited(unanswered: Unanswered) -> bool:
    return any(isinstance(setback, LimitReached) for setback in unanswered.setbacks)
