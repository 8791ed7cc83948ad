"""A race under way: who runs, what each has come to, and what the rule makes of it.

All of it is synchronous: what happens in a lane is noted at once, the rule is asked, and what it says is
done, before anything is written to anyone. Writing is the race's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from paceline_server.completion.attempt import AttemptEnded, AttemptStarted, CallEvent
from paceline_server.completion.deltas import Delta
from paceline_server.completion.race import (
    CandidateDelta,
    CandidateOutputDiscarded,
    CandidateStarted,
    RaceDecision,
    WinnerSelected,
)
from paceline_server.strategies.call import Call
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.outbox import Aside, Outbox, TurnTo
from paceline_server.strategies.racing.acts import Acts
from paceline_server.strategies.racing.candidate import is_empty, is_request_fault
from paceline_server.strategies.racing.clocks import RaceClocks
from paceline_server.strategies.racing.field import Field, Judgement, Standing
from paceline_server.strategies.racing.plan import RacePlan
from paceline_server.strategies.racing.remaining import Remaining
from paceline_server.strategies.racing.rule import Fail, Judge, Select, Start, Wait

MOST_HELD = 32  # reads of a winner that wait for his reader before he is not read either


class Contest:
    """The state of one race of one call.

    Attributes:
        lanes: Those that were started, by candidate index.
        selected: The winner, once there is one.
        failed: Set when nobody can win any more.
        decided_at: When the race was decided, on the loop's clock.
        out_of_time: Candidates that a clock of the race has ended.
        remaining: Who could still answer.
    """

    def __init__(self, plan: RacePlan, field: Field, call: Call, outbox: Outbox) -> None:
        """Set the race up; nobody runs before `begin`."""
        self.candidates = plan.candidates
        self.rule = plan.rule
        self.field = field
        self.outbox = outbox
        self.lanes: dict[int, Lane] = {}
        self.selected: Select | None = None
        self.failed: Fail | None = None
        self.decided_at: float | None = None
        self.clocks = RaceClocks(call, plan.limits)
        self.out_of_time: set[int] = set()
        self.remaining = Remaining(plan.rule, field)
        self._hedges: set[int] = set()
        self._call = call
        self._acts: Acts | None = None
        self._judge_asked = False

    @property
    def winner(self) -> Lane | None:
        """The lane of the winner, once there is one."""
        return None if self.selected is None else self.lanes[self.selected.index]

    @property
    def over(self) -> bool:
        """Whether the race is decided, one way or the other."""
        return self.selected is not None or self.failed is not None

    def begin(self, acts: Acts) -> None:
        """Start those who start at once, and decide what can be decided."""
        self._acts = acts
        self._refresh()
        for index in self.rule.first_starts(self.field):
            self._start(index, acts, beside=False)
        self.advance()

    def reopen(self, indices: Iterable[int], start: Callable[[int], Lane]) -> None:
        """Nobody has won, and nobody was tried: let these run after all, and go on."""
        self.failed = self.decided_at = None
        for index in indices:
            self.enter(start(index))
        self.advance()

    def enter(self, lane: Lane) -> None:
        """A candidate runs, or runs again, in `lane`."""
        self.lanes[lane.index] = lane
        entrant = self.field.entrants[lane.index]
        entrant.standing, entrant.started_at = Standing.RUNNING, lane.started_at
        entrant.ended_at = None

    def stop(self) -> None:
        """Do nothing any more, whatever happens; it is still noted."""
        self.clocks.stop()
        self._acts = None

    def close(self) -> None:
        """Let go of everything that holds on to this."""
        self.stop()
        self.lanes = {}

    async def room(self) -> None:
        """Wait while too much waits to be told, or of a winner to be read."""
        await self.outbox.room()
        while (winner := self.winner) is not None and len(winner.held) >= MOST_HELD:
            await self.outbox.more_room()

    def heard(self, lane: Lane, event: CallEvent) -> None:
        """A candidate has told or written something."""
        if isinstance(event, Delta):
            self._wrote(lane, event)
        elif isinstance(event, AttemptStarted | AttemptEnded):
            self._attempted(lane, event)
        elif self._is_winner(lane):
            self.outbox.put(event)
        else:
            self._took_back(lane)

    heard_aside = heard

    def ended(self, lane: Lane) -> None:
        """A candidate is done."""
        entrant = self.field.entrants[lane.index]
        entrant.ended_at = lane.ended_at
        if lane.index in self._hedges and lane.record.started_count == 0 and self._acts is not None:
            self._acts.give_back_hedge()
        answer = lane.completion
        if answer is not None and not is_empty(answer) and lane.index not in self.out_of_time:
            entrant.standing = Standing.ANSWERED
            entrant.completion = answer
            entrant.finish_rank = 1 + max(one.finish_rank for one in self.field.entrants)
        else:
            entrant.standing = Standing.OUT
            entrant.blocks_others = is_request_fault(lane.unanswered, self._call)
        self.advance()
        self.outbox.wake()

    def judged(self, judgement: Judgement) -> None:
        """The judge has spoken, or failed."""
        self.field.judgement = judgement
        self.advance()
        self.outbox.wake()

    def advance(self) -> None:
        """Ask the rule, and do what it says, until there is nothing to do but to wait."""
        acts = self._acts
        if acts is None:
            return
        while not self.over:
            now = self.clocks.now()
            self._end_slow_ones(now, acts)
            self.field.time_is_up = now >= self.clocks.decides_at
            self._refresh()
            step = self.rule.decide(self.field, now)
            if isinstance(step, Select | Fail):
                self._decide(step, now, acts)
            elif isinstance(step, Start):
                if acts.take_hedge():
                    self._hedges.add(step.index)
                    self._start(step.index, acts, beside=True)
                else:
                    self.field.hedges_refused = True
            elif isinstance(step, Judge) and not self._judge_asked:
                self._judge_asked = True
                acts.ask_judge(step)
            else:
                until = step.until if isinstance(step, Wait) else NEVER
                self.clocks.wait(until, self.lanes.values(), self.advance)
                return

    def reselect(self, index: int, decision: RaceDecision) -> WinnerSelected:
        """Another candidate takes the place of a winner whose answer broke off."""
        self.selected, self.failed = Select(index, decision), None
        self.decided_at = self.clocks.now()
        return self._selection(self.selected, self.decided_at)

    def _selection(self, step: Select, now: float) -> WinnerSelected:
        return WinnerSelected(step.index, step.decision, now - self._call.started_at)

    def _start(self, index: int, acts: Acts, *, beside: bool) -> None:
        self.enter(acts.start(index, beside=beside))

    def _wrote(self, lane: Lane, delta: Delta) -> None:
        entrant = self.field.entrants[lane.index]
        if entrant.standing is Standing.RUNNING:
            entrant.standing, entrant.first_content_at = Standing.WRITING, lane.first_content_at
            self.advance()
        if self._is_winner(lane):
            self.outbox.wake()
        elif self._call.tells_all:
            self.outbox.put(CandidateDelta(lane.index, delta))

    def _attempted(self, lane: Lane, event: AttemptStarted | AttemptEnded) -> None:
        if isinstance(event, AttemptStarted):
            if lane.attempt_index is None:
                self.outbox.put(CandidateStarted(lane.index, self.candidates[lane.index].spec))
            lane.attempt_index = event.attempt.index
            self.remaining.tries_again(lane.index)
        if self._is_winner(lane):
            for delta in lane.take_held():
                self.outbox.put(delta)
        self.outbox.put(Aside(event))

    def _took_back(self, lane: Lane) -> None:
        entrant = self.field.entrants[lane.index]
        if entrant.standing is Standing.WRITING:
            entrant.standing, entrant.first_content_at = Standing.RUNNING, None
        lane.first_content_at = None
        if self._call.tells_all:
            self.outbox.put(CandidateOutputDiscarded(lane.index))

    def _is_winner(self, lane: Lane) -> bool:
        return self.selected is not None and self.selected.index == lane.index

    def _refresh(self) -> None:
        """Look at who may be started, as far as that is still a question."""
        for entrant in self.field.entrants:
            if entrant.standing is Standing.WAITING:
                entrant.ready = self.candidates[entrant.index].model.ready(self._call)

    def _end_slow_ones(self, now: float, acts: Acts) -> None:
        for lane in self.clocks.out_of_time(self.lanes.values(), now):
            if lane.index not in self.out_of_time:
                self.out_of_time.add(lane.index)
                self.field.entrants[lane.index].standing = Standing.OUT
                acts.cancel(lane)

    def _decide(self, step: Select | Fail, now: float, acts: Acts) -> None:
        self.decided_at = now
        self.clocks.stop()
        if isinstance(step, Select):
            self.selected = step
            winner = self.lanes[step.index]
            if winner.attempt_index is not None:
                self.outbox.put(TurnTo(winner.attempt_index))
            self.outbox.put(self._selection(step, now))
        else:
            self.failed = step
        acts.cancel_others(self.winner)
        self.outbox.wake()
