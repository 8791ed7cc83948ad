"""Races without tasks: lists of (time, event) played into a field, and the rule asked after each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from paceline_server.completion.answer import (
    Completion,
    Confidence,
    ConfidenceSource,
    FinishReason,
    Target,
)
from paceline_server.completion.content import Part, Text, ToolCall
from paceline_server.completion.race import RaceDecision
from paceline_server.completion.usage import Usage
from paceline_server.strategies.racing.field import Entrant, Field, Judgement, Standing
from paceline_server.strategies.racing.rule import Rule, Select, Start, Step, Wait

Event = Callable[[Field, float], None]
Events = Sequence[tuple[float, Event]]

NO_WINNER = (Standing.OUT, Standing.WAITING, Standing.RUNNING)


def completion(
    text: str = "",
    *calls: tuple[str, str],
    confidence: float | None = None,
    cost: int | None = None,
) -> Completion:
    """An answer of `text` and of calls of tools, by name and arguments."""
    parts = [Part(Text(text))] if text else []
    parts += [Part(ToolCall(f"call-{number}", *call)) for number, call in enumerate(calls)]
    return Completion(
        tuple(parts),
        FinishReason.STOP,
        "stop",
        Target("p", "m"),
        "m",
        Usage(cost_nano_usd=cost),
        None if confidence is None else Confidence(confidence, ConfidenceSource.LOGPROBS),
    )


def starts(index: int) -> Event:
    """The candidate is called."""

    def event(field: Field, now: float) -> None:
        entrant = field.entrants[index]
        assert entrant.standing is Standing.WAITING
        entrant.standing, entrant.started_at = Standing.RUNNING, now

    return event


def writes(index: int) -> Event:
    """Its first content comes."""

    def event(field: Field, now: float) -> None:
        entrant = field.entrants[index]
        assert field.streaming
        assert entrant.standing is Standing.RUNNING
        entrant.standing, entrant.first_content_at = Standing.WRITING, now

    return event


def answers(
    index: int, text: str = "yes", *, confidence: float | None = None, cost: int | None = None
) -> Event:
    """Its answer is complete; where its content had not come, it comes with it."""

    def event(field: Field, now: float) -> None:
        entrant = field.entrants[index]
        assert entrant.running
        entrant.standing, entrant.ended_at = Standing.ANSWERED, now
        entrant.completion = completion(text, confidence=confidence, cost=cost)
        entrant.finish_rank = 1 + max(one.finish_rank for one in field.entrants)
        if field.streaming and entrant.first_content_at is None:
            entrant.first_content_at = now

    return event


def fails(index: int, *, blocks_others: bool = False) -> Event:
    """It ends without an answer, whatever it has written."""

    def event(field: Field, now: float) -> None:
        entrant = field.entrants[index]
        assert entrant.running
        entrant.standing, entrant.ended_at, entrant.blocks_others = Standing.OUT, now, blocks_others

    return event


def is_skipped(index: int) -> Event:
    """It is out before it has started."""

    def event(field: Field, now: float) -> None:
        field.entrants[index].standing = Standing.OUT

    return event


def judge_says(scores: Mapping[int, float] | None = None, groups: Sequence[Sequence[int]] = ()) -> Event:
    """The judge has been asked, and says this."""

    def event(field: Field, now: float) -> None:
        field.judgement = Judgement(scores or {}, groups)

    return event


def time_is_up(field: Field, now: float) -> None:
    """The race must be decided."""
    field.time_is_up = True


def hedges_are_refused(field: Field, now: float) -> None:
    """The bucket of hedges is empty."""
    field.hedges_refused = True


def field_of(*entrants: Entrant, count: int = 0, streaming: bool = False) -> Field:
    """A field of these entrants, or of `count` equal ones."""
    return Field(entrants or [Entrant(index) for index in range(count)], streaming=streaming)


def played(field: Field, *events: tuple[float, Event], started: Sequence[int] | None = None) -> Field:
    """The field after these events; `started` have started at 0, by default all."""
    for index in range(len(field.entrants)) if started is None else started:
        starts(index)(field, 0.0)
    for now, event in events:
        event(field, now)
    return field


@dataclass(frozen=True)
class Course:
    """How a race went: its last step and when it was said, and the starts before."""

    at: float
    step: Step
    starts: tuple[tuple[float, int], ...]

    @property
    def winner(self) -> tuple[int, RaceDecision]:
        """Who won, and by what."""
        assert isinstance(self.step, Select)
        return self.step.index, self.step.decision


def race(rule: Rule, field: Field, *events: tuple[float, Event]) -> Course:
    """Ask the rule at the start, after each event and whenever it wants to be asked, until it decides."""
    now, started, left = 0.0, [], list(events)
    for index in rule.first_starts(field):
        starts(index)(field, now)
        started.append((now, index))
    while True:
        step = rule.decide(field, now)
        if isinstance(step, Start):
            starts(step.index)(field, now)
            started.append((now, step.index))
            continue
        if not isinstance(step, Wait):
            check_winner(field, step)
            return Course(now, step, tuple(started))
        assert not field.time_is_up
        if left and left[0][0] <= step.until:
            now, event = left.pop(0)
            event(field, now)
        elif math.isfinite(step.until):
            assert step.until > now
            now = step.until
        else:
            return Course(now, step, tuple(started))


def check_winner(field: Field, step: Step) -> None:
    """Nobody wins who has failed, has not started or has written nothing."""
    if isinstance(step, Select):
        assert field.entrants[step.index].standing not in NO_WINNER
