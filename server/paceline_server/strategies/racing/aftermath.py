"""What becomes of a race once it is decided: the winner's answer, another in its place, or why there is none.

A race whose winner breaks off is from then on a chain of those who have not failed, the best first (rule R3).
One whose candidates were all passed over because of their health turns back to them, as a chain does (C3).
"""

from __future__ import annotations

import asyncio
from functools import partial

from paceline_server.completion.answer import Completion
from paceline_server.completion.deltas import deltas_of
from paceline_server.completion.race import CandidateStarted, RaceDecision
from paceline_server.strategies.call import Admission, Turn
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.course import Course
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Unanswered
from paceline_server.strategies.race_run import RaceRun
from paceline_server.strategies.racing.candidate import is_empty, is_request_fault
from paceline_server.strategies.racing.field import Entrant, Standing, by_priority
from paceline_server.strategies.racing.setbacks import EMPTY, SLOW, race_unanswered, setback_of, setbacks


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
        self._writes = False
        self._decides_still = False

    async def answer(self, winner: Lane | None) -> Completion:
        """The answer that the race comes to.

        Raises:
            Unanswered: There is none.
        """
        if winner is None:
            winner = await self._turned_back()
        winner.raise_error()
        if winner.completion is None or is_empty(winner.completion):
            return await self._recover(winner)
        self.won = winner.index
        return winner.completion

    async def _recover(self, broken: Lane) -> Completion:
        """Another answer in the place of one that broke off after its first content."""
        delivery = self._run.delivery
        assert delivery is not None  # noqa: S101 - what is not streamed is whole when it is selected
        if broken.attempts:
            delivery.broke_off(broken.attempts[-1])
        if delivery.final or is_request_fault(broken.unanswered, self._run.call):
            raise Unanswered(setbacks(self._contest), final=True, broken=delivery.broken)
        # A winner may break when the race's own time is over: who takes its place has the caller's.
        clocks = self._contest.clocks
        self._decides_still = clocks.now() < clocks.decides_at
        rest = self._rest()
        whole = [entrant for entrant in rest if entrant.completion is not None]
        if whole:
            return await self._deliver(delivery, whole[0])
        return await self._course([entrant.index for entrant in rest], delivery).answer()

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

    def _course(self, rest: list[int], delivery: Delivery) -> Course:
        """The rest one after the other, as additional attempts (A7, C6)."""
        run, contest = self._run, self._contest

        async def ask(position: int, mine: Turn, _lane: Lane | None) -> Completion:
            index = rest[position]
            completion = await self._ask(index, mine, delivery)
            self.won = index
            return completion

        def path_of(position: int) -> str:
            return run.turn.path_of(f"race[{rest[position]}]")

        models = tuple(contest.candidates[index].model for index in rest)
        course = Course(models, run.call, run.turn, delivery, ask, path_of, list(range(len(rest))))
        course.setbacks = setbacks(contest)
        return course

    async def _ask(self, index: int, mine: Turn, delivery: Delivery) -> Completion:
        """Let one candidate answer in the winner's place."""
        self._writes = False
        delivery.announce(partial(self._begins, index), partial(self._selects, index))
        lane = self._run.replace_winner(index, mine)
        try:
            await self._ended(lane)
        finally:
            delivery.announce_nothing()
        lane.raise_error()
        if lane.unanswered is not None:
            raise lane.unanswered.again()
        if lane.completion is None or is_empty(lane.completion):
            if self._writes:
                delivery.broke_off(lane.attempts[-1])
            raise Unanswered([setback_of(lane, SLOW if lane.completion is None else EMPTY)])
        return lane.completion

    async def _ended(self, lane: Lane) -> None:
        """Wait for its end; before its first content no longer than a candidate may take (R2)."""
        run, time = self._run, asyncio.get_running_loop().time
        limit, decides_at = run.plan.limits.candidate_timeout, self._contest.clocks.decides_at
        ends_at = NEVER if limit is None else time() + limit
        if self._decides_still:
            ends_at = min(ends_at, decides_at)
        while lane.running and lane.task is not None:
            if not self._writes and time() >= ends_at:
                self._contest.out_of_time.add(lane.index)
                run.cancel(lane)
                await run.drained()
                return
            timeout = None if self._writes or ends_at == NEVER else ends_at - time()
            await asyncio.wait([lane.task], timeout=timeout)

    async def _begins(self, index: int) -> None:
        lane = self._contest.lanes[index]
        if lane.attempt_index is None:
            await self._run.tell(CandidateStarted(index, self._contest.candidates[index].spec))

    async def _selects(self, index: int) -> None:
        self._writes = True
        lanes = self._contest.lanes
        alone = not any(entrant.index in lanes for entrant in self._rest() if entrant.index != index)
        decision = RaceDecision.ONLY_SURVIVOR if alone else RaceDecision.FIRST_CONTENT
        await self._run.tell(self._contest.reselect(index, decision))

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

    async def _turned_back(self) -> Lane:
        """Nobody has won. Where nobody was even tried, turn to what was passed over, as a chain does."""
        contest, run = self._contest, self._run
        if not self._may_turn_back():
            return await self._last_ramping()
        while waiting := by_priority(contest.field.those(Standing.WAITING)):
            contest.reopen([waiting[0].index], lambda index: run.start(index, beside=False))
            winner = await run.redecided()
            if winner is not None:
                return winner
            if not self._may_turn_back():
                raise race_unanswered(contest)
        passed_over = setbacks(contest)
        ramping, soonest = _held(list(contest.lanes.values()))
        if not (ramping or soonest):
            raise race_unanswered(contest)
        admission = Admission.WHOLE_RAMP if ramping else Admission.LAST_RESORT
        contest.reopen(ramping or soonest, lambda index: run.again(index, self._turn(index, admission)))
        winner = await run.redecided()
        if winner is None:
            raise Unanswered(passed_over) if self._nothing_sent() else race_unanswered(contest)
        return winner

    async def _last_ramping(self) -> Lane:
        """Some were tried and failed: who declined because it is ramping up may no longer (H2)."""
        contest, run = self._contest, self._run
        lanes = list(contest.lanes.values())
        blocked = any(entrant.blocks_others for entrant in contest.field.entrants)
        ramping = [] if contest.field.time_is_up or run.turn.first_pass or blocked else _held(lanes)[0]
        if not ramping or (contest.failed is not None and contest.failed.no_consensus):
            raise race_unanswered(contest)
        contest.reopen(ramping, lambda index: run.again(index, self._turn(index, Admission.WHOLE_RAMP)))
        winner = await run.redecided()
        if winner is None:
            raise race_unanswered(contest)
        return winner

    def _may_turn_back(self) -> bool:
        return not (self._contest.field.time_is_up or self._run.turn.first_pass) and self._nothing_sent()

    def _nothing_sent(self) -> bool:
        return all(self._was_passed_over(lane) for lane in self._contest.lanes.values())

    def _was_passed_over(self, lane: Lane) -> bool:
        if lane.was_sent or lane.completion is not None:
            return False
        if lane.unanswered is not None:
            return lane.unanswered.nothing_sent
        # It was ended before it could be told that it is benched.
        return not self._contest.candidates[lane.index].model.ready(self._run.call)

    def _turn(self, index: int, admission: Admission) -> Turn:
        turn = self._run.turn_of(index)
        return Turn(turn.path, turn.untried, admission=admission, beside=turn.beside)


def _held(lanes: list[Lane]) -> tuple[list[int], list[int]]:
    """Those of whom a target is ramping up; and who returns first, an operator's bench left out."""
    held = {lane.index: lane.unanswered.held for lane in lanes if lane.unanswered is not None}
    ramping = [index for index, those in held.items() if any(one.ramping for one in those)]
    returns = {
        index: min((one.until for one in those if not one.by_operator), default=NEVER)
        for index, those in held.items()
    }
    soonest = min(returns, key=lambda index: returns[index], default=None)
    return ramping, [] if soonest is None or returns[soonest] == NEVER else [soonest]
