"""The judge at work: hears the lane in which he runs, and hands what he says to the contest (rule R5)."""

from __future__ import annotations

import random

from paceline_server.completion.attempt import AttemptEnded, AttemptStarted, CallEvent
from paceline_server.completion.prompt import Prompt
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.outbox import Aside
from paceline_server.strategies.racing.contest import Contest
from paceline_server.strategies.racing.judge import judge_prompt
from paceline_server.strategies.racing.judge_answer import NOTHING_SAID, read_judgement
from paceline_server.strategies.racing.rule import Judge

JUDGE_INDEX = -1
"""The judge's lane; candidates count from 0."""


class Judging:
    """One question to the judge, and what becomes of it.

    Attributes:
        prompt: What he is asked.
    """

    def __init__(self, contest: Contest, step: Judge, question: Prompt, rng: random.Random) -> None:
        """Ask about the answers to `question`; `rng` draws the order in which he sees them."""
        entrants = contest.field.entrants
        answers = {
            index: answer for index in step.indices if (answer := entrants[index].completion) is not None
        }
        self._question = judge_prompt(step.task, question, answers, contest.rule.judge_rubric, rng)
        self.prompt = self._question.prompt
        self._contest = contest
        self._step = step

    def heard(self, _lane: Lane, event: CallEvent) -> None:
        """What he does is told as every attempt is; what he says concerns nobody but the race."""
        if isinstance(event, AttemptStarted | AttemptEnded):
            self._contest.outbox.put(Aside(event))

    heard_aside = heard

    def ended(self, lane: Lane) -> None:
        """He has answered, or failed, and then the next rule decides."""
        if lane.completion is None:
            self._contest.judged(NOTHING_SAID)
        else:
            self._contest.judged(read_judgement(self._step.task, self._question, lane.completion))

    async def room(self) -> None:
        """Wait while too much waits to be told."""
        await self._contest.room()
