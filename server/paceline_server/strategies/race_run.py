"""One call through a race: models are started, ended and listened to as the contest says.

What is told goes out here, by one task and in its order, until the winner alone is left: from then on his
answer goes out as he writes it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from paceline_server.completion.attempt import Attempt, AttemptStarted, CallEvent, OutputDiscarded
from paceline_server.completion.deltas import Delta
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.race import CandidateEnded, CandidateStarted
from paceline_server.strategies.call import Call, Sink, Turn
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.heat import Heat
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Model
from paceline_server.strategies.outbox import Outbox
from paceline_server.strategies.racing.contest import Contest
from paceline_server.strategies.racing.judging import JUDGE_INDEX, Judging
from paceline_server.strategies.racing.plan import RacePlan, Tell
from paceline_server.strategies.racing.report import RaceReport
from paceline_server.strategies.racing.rule import Judge
from paceline_server.strategies.record import CallRecord
from paceline_server.strategies.teller import Teller


class RaceRun:
    """One call through one race.

    Attributes:
        contest: The state of the race.
        delivery: Where the winner's answer goes; None in a unary call.
    """

    def __init__(self, plan: RacePlan, call: Call, turn: Turn, delivery: Delivery | None, tell: Tell) -> None:
        """Set the race up; nobody runs before `decided`."""
        self.plan = plan
        self.call = call
        self.turn = turn
        self.delivery = delivery
        self.outbox = Outbox(call.record.unannounced)
        field = plan.field(streaming=delivery is not None)
        self.contest = Contest(plan, field, call, self.outbox)
        self.report = RaceReport(self.contest, call)
        self.heat = Heat()
        self.tell = tell
        self._teller: Teller | None = None
        if delivery is not None:
            self._teller = Teller(self.outbox, self.heat, delivery, tell, call.record, begins=self._begins)
        self._options = plan.options(call)
        self._starts_freely = call.record.starts_freely
        self._allowance = plan.allowance()
        self._allowances = call.allowances if self._allowance is None else (*call.allowances, self._allowance)

    async def decided(self) -> Lane | None:
        """Run the race until the winner has ended; None if there is none."""
        self.contest.begin(self)
        return await self.redecided()

    async def redecided(self) -> Lane | None:
        """Likewise, where it goes on."""
        while not await self._told():
            await self.outbox.news()
        return self.contest.winner

    async def drained(self) -> None:
        """Wait for those that were cancelled, and tell their ends."""
        await self.heat.drained()
        if self._teller is not None:
            await self._teller.flush()

    async def ended(self) -> None:
        """Tell the end of every candidate that has not been told; a unary call is told at its end alone."""
        if self.delivery is None:
            return
        for index in range(len(self.plan.candidates)):
            report = self.report.told(index)
            if report is not None:
                await self.tell(CandidateEnded(report))

    def won(self, index: int | None) -> None:
        """The race is over, and the caller has the answer of this candidate: keep the scores (rule R3)."""
        self.report.won = index
        ran = {number: lane for number, lane in self.contest.lanes.items() if lane.was_sent}
        targets = {number: self.plan.target(lane) for number, lane in ran.items()}
        winner = None if index is None else targets.pop(index, None)
        self.plan.surroundings.performance.raced(winner, targets.values())

    def close(self) -> None:
        """Keep what there is to tell, and let go of everything else: it would hold on to itself."""
        if self._teller is not None:
            self._teller.leave()
            self._teller = None
        self.report.close()
        self.contest.close()

    def call_of(self, index: int, record: CallRecord) -> Call:
        """The call as a candidate gets it: with its own settings and its own branch of the record."""
        return self._beside(self.plan.prompt(self.call.prompt, index), record)

    def turn_of(self, index: int) -> Turn:
        """Where a candidate stands: it passes over what is held, since others run beside it."""
        return Turn(
            self.turn.path_of(f"race[{index}]"),
            self.turn.untried,
            first_pass=True,
            admission=self.turn.admission,
            beside=partial(self._others_could_answer, index),
        )

    # What the contest has done.

    def start(self, index: int, *, beside: bool) -> Lane:
        """Run a candidate's model in a lane."""
        record = self.call.record.branch(free_start=self._starts_freely and not beside)
        lane = Lane(index, record, self.contest)
        self._run(lane, self.plan.candidates[index].model, self.call_of(index, record), self.turn_of(index))
        return lane

    def again(self, index: int, turn: Turn) -> Lane:
        """Run a candidate's model after all, or once more, beside others."""
        lane = self._lane_again(index)
        self._run(lane, self.plan.candidates[index].model, self.call_of(index, lane.record), turn)
        return lane

    def replace_winner(self, index: int, turn: Turn) -> Lane:
        """Run a candidate's model in the place of a winner that broke off; what it writes goes out."""
        lane, delivery = self._lane_again(index), self.delivery
        assert delivery is not None  # noqa: S101 - a unary call has no winner that could break off
        lane.let_out(delivery)
        model, call = self.plan.candidates[index].model, self.call_of(index, lane.record)
        self.heat.start(lane, partial(model.stream, call, delivery, turn))
        self.contest.enter(lane)
        return lane

    def take_hedge(self) -> bool:
        """Take a token for a start beside others."""
        taken = self.plan.surroundings.hedges.spend()
        if taken:
            self._none_due()
        return taken

    def give_back_hedge(self) -> None:
        """The start was not made after all."""
        self.plan.surroundings.hedges.give_back()

    def ask_judge(self, step: Judge) -> None:
        """Ask the judge, who answers by `Contest.judged`."""
        plan, record = self.plan, self.call.record.branch(free_start=False)
        assert plan.judge is not None  # noqa: S101 - a rule that asks a judge is assembled with one
        judging = Judging(self.contest, step, self.call.prompt, plan.surroundings.rng)
        self.report.judge = record
        self._none_due()
        call = self._beside(judging.prompt, record)
        lane = Lane(JUDGE_INDEX, record, judging)
        self._run(lane, plan.judge, call, Turn(self.turn.path_of("judge"), first_pass=True))

    def cancel(self, lane: Lane) -> None:
        """End one lane."""
        self.heat.cancel(lane)

    def cancel_others(self, winner: Lane | None) -> None:
        """End all but this one, the judge's included."""
        self.heat.cancel_all(but=winner)

    def _beside(self, prompt: Prompt, record: CallRecord) -> Call:
        """The call as a model gets it that runs beside others, within what the race may take (R9)."""
        call = self.call.beside_others(prompt, record, self._options, self._allowances)
        call.answers_by = self.contest.clocks.decides_at
        return call

    def _none_due(self) -> None:
        """What was kept for a later start is for the one that is made now."""
        if self._allowance is not None:
            self._allowance.starts_due = max(0, self._allowance.starts_due - 1)

    def _lane_again(self, index: int) -> Lane:
        earlier = self.contest.lanes.get(index)
        free = earlier is not None and earlier.record.starts_freely
        record = self.call.record.branch(free_start=free)
        if earlier is not None:
            record.tries = earlier.record.tries
        return Lane(index, record, self.contest, earlier)

    def _run(self, lane: Lane, model: Model, call: Call, turn: Turn) -> None:
        if self.delivery is None:
            self.heat.start(lane, partial(model.complete, call, turn))
        else:
            self.heat.start(lane, partial(model.stream, call, lane, turn))

    def _others_could_answer(self, index: int) -> bool:
        beside = self.turn.beside
        if self.turn.untried or self.contest.remaining.may_end(index):
            return True
        return beside is not None and beside()

    async def _told(self) -> bool:
        """Write what there is to write; tells whether the race and its winner have come to their end."""
        if self._teller is None:
            return self.contest.over
        await self._teller.flush()
        winner = self.contest.winner
        if winner is None:
            return self.contest.failed is not None and not self.outbox.filled
        return await self._teller.poured(winner, partial(self._outlet, winner))

    async def _begins(self, attempt: Attempt) -> None:
        """Of a candidate that was cancelled as it started, not even that was told."""
        for lane in self.contest.lanes.values():
            own = [one.index for one in lane.attempts]
            if lane.attempt_index is None and attempt.index in own:
                lane.attempt_index = attempt.index
                await self.tell(CandidateStarted(lane.index, self.plan.candidates[lane.index].spec))

    def _outlet(self, winner: Lane) -> Sink:
        delivery = self.delivery
        assert delivery is not None  # noqa: S101 - a unary call lets nobody through

        def through(event: CallEvent) -> Awaitable[None]:
            if isinstance(event, Delta | OutputDiscarded):
                return delivery(event)
            if isinstance(event, AttemptStarted):
                winner.attempt_index = event.attempt.index
            return delivery.aside(event)

        return through
