"""The course of a race as far as its events tell it: who runs, who has written how much, what is shown.

Knows no terminal. What the gateway tells at the end of a candidate takes the place of what was
measured or estimated here before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from paceline_client.messages import Attempt, Candidate, Delta, StreamRaceResponse, Usage
from paceline_client.words import enum_word

NOT_STARTED, WAITING, STREAMING, ANSWERED = "not started", "waiting", "streaming", "answered"
WON, FAILED, CANCELLED = "won", "failed", "cancelled"
SKIPPED, REJECTED, TIMED_OUT = "skipped", "rejected", "timed out"

CHARACTERS_A_TOKEN = 4
"""As the gateway itself estimates, until it tells the tokens."""

_WITHOUT_ANSWER = {FAILED, SKIPPED, REJECTED, TIMED_OUT}
_PLACE = re.compile(r"race\[(\d+)\]")
_PREVIEW_LENGTH = 400


_WORDS = {"SKIPPED": SKIPPED, "REJECTED": REJECTED, "TIMED_OUT": TIMED_OUT}
"""By the outcome of the last attempt, what the candidate is as long as nothing else is told."""


def candidate_of(attempt: Attempt) -> int | None:
    """The candidate of the race whose attempt this is; None if it is the judge's."""
    found = _PLACE.match(attempt.path)
    return None if found is None else int(found[1])


def outcome_word(candidate: Candidate) -> str:
    """How a candidate ended, as people write it: "timed out"."""
    return enum_word(candidate, "outcome").lower().replace("_", " ")


def length_of(delta: Delta) -> int:
    """How many characters an increment adds, reasoning and calls of tools included."""
    return len(delta.text.text) + len(delta.reasoning.text) + len(delta.tool_call.arguments_json_fragment)


@dataclass
class Entrant:
    """One candidate, by its index, as the same model may run twice.

    Attributes:
        state: What it does; once it has ended, its outcome in words.
        started_at: On the clock of the course; None before its start.
        first_content: How long its first content took, in seconds.
        running: Its attempts that run, by their index.
        duration: From its start to its end, in seconds, or to that of its last attempt; None while one runs.
        character_count: How much it has written.
        untold_count: How much of that is in no usage yet.
        latest: The end of what it wrote.
        usages: What its attempts consumed; at its end, what all did together.
        ended: The gateway has told its end.
    """

    index: int
    model: str
    state: str = NOT_STARTED
    started_at: float | None = None
    first_content: float | None = None
    running: set[int] = field(default_factory=set)
    duration: float | None = None
    character_count: int = 0
    untold_count: int = 0
    latest: str = ""
    usages: list[Usage] = field(default_factory=list)
    ended: bool = False

    @property
    def token_count(self) -> int:
        """Its output tokens, estimated from its text as far as they have not been told."""
        told = sum(usage.output_token_count for usage in self.usages)
        return told + self.untold_count // CHARACTERS_A_TOKEN

    def seconds(self, now: float) -> float | None:
        """How long it has run, or ran; None before its start."""
        if self.duration is not None or self.started_at is None:
            return self.duration
        return now - self.started_at

    def wrote(self, delta: Delta, now: float) -> None:
        """It goes on writing."""
        self.latest = (self.latest + delta.text.text)[-_PREVIEW_LENGTH:]
        self.grow(length_of(delta))
        if self.first_content is None and self.started_at is not None:
            self.first_content = now - self.started_at
        if not self.ended and self.duration is None:
            self.state = STREAMING

    def grow(self, count: int) -> None:
        """Its answer is longer by so many characters."""
        self.character_count += count
        self.untold_count += count

    def take_back(self) -> None:
        """What it wrote is void."""
        self.character_count, self.untold_count, self.latest = 0, 0, ""

    def without_answer(self, outcome: str, now: float) -> None:
        """An attempt has ended without an answer; it goes on if another of its attempts runs."""
        if not self.running:
            self.stop(_WORDS.get(outcome, FAILED), now)

    def stop(self, state: str, now: float) -> None:
        """It has come to its end, though the gateway has not told how it fared."""
        self.state = state
        self.duration = self.seconds(now)


class Course:
    """What is known of one race. Feed it every event, with the time.

    Attributes:
        entrants: By index, as far as they are known.
        winner: The index of the one that is selected.
        passages: What the winners wrote; all but the last is void.
    """

    def __init__(self, models: Sequence[str] = ()) -> None:
        """Start with `models` as the candidates; those of a named race appear as they start."""
        self.entrants = {index: Entrant(index, model) for index, model in enumerate(models)}
        self.winner: int | None = None
        self.passages: list[list[str]] = [[]]
        self._delivered_count = 0

    def take(self, event: StreamRaceResponse, now: float) -> None:
        """Take in one event; those that change nothing here, and unknown ones, are passed over."""
        match event.WhichOneof("event"):
            case "candidate_started":
                entrant = self._entrant(event.candidate_started.index, event.candidate_started.model)
                entrant.state, entrant.started_at = WAITING, now
            case "attempt_started":
                self._attempt_started(event.attempt_started.attempt)
            case "attempt_ended":
                self._attempt_ended(event.attempt_ended.attempt, now)
            case "winner_selected":
                self.winner, self._delivered_count = event.winner_selected.index, 0
            case "delta":
                self._delivered(event.delta, now)
            case "output_discarded":
                self._discarded()
            case "candidate_delta":
                self._entrant(event.candidate_delta.index).wrote(event.candidate_delta.delta, now)
            case "candidate_output_discarded":
                self._entrant(event.candidate_output_discarded.index).take_back()
            case "candidate_ended":
                self._ended(event.candidate_ended.candidate)
            case _:
                pass

    def word(self, entrant: Entrant) -> str:
        """What an entrant does, or how it ended."""
        won = entrant.index == self.winner and not entrant.ended and entrant.state not in _WITHOUT_ANSWER
        return WON if won else entrant.state

    def _entrant(self, index: int, model: str = "") -> Entrant:
        entrant = self.entrants.setdefault(index, Entrant(index, model))
        entrant.model = model or entrant.model
        return entrant

    def _of(self, attempt: Attempt) -> Entrant | None:
        index = candidate_of(attempt)
        return None if index is None else self._entrant(index)

    def _attempt_started(self, attempt: Attempt) -> None:
        entrant = self._of(attempt)
        if entrant is None:
            return
        entrant.running.add(attempt.index)
        if entrant.state != STREAMING:
            # Beside one that streams it is a part of it; after one that failed it goes on from here.
            entrant.state, entrant.duration = WAITING, None

    def _attempt_ended(self, attempt: Attempt, now: float) -> None:
        entrant = self._of(attempt)
        if entrant is None or entrant.ended:
            return
        if attempt.HasField("usage"):
            entrant.usages.append(attempt.usage)
            entrant.untold_count = 0
        entrant.running.discard(attempt.index)
        match enum_word(attempt, "outcome"):
            case "SUCCEEDED":
                entrant.stop(ANSWERED, now)
            case "CANCELLED":
                # Before the decision it was one of several attempts, of which another goes on.
                if self.winner not in (None, entrant.index):
                    entrant.stop(CANCELLED, now)
            case "SKIPPED" | "REJECTED" if entrant.state in _WITHOUT_ANSWER:
                pass  # nothing was sent: it is as the attempts before it left it
            case outcome:
                entrant.without_answer(outcome, now)

    def _delivered(self, delta: Delta, now: float) -> None:
        self.passages[-1].append(delta.text.text)
        if self.winner is None:
            return
        entrant = self._entrant(self.winner)
        self._delivered_count += length_of(delta)
        # What it wrote before it won comes again, now as the answer.
        if self._delivered_count > entrant.character_count:
            entrant.wrote(delta, now)

    def _discarded(self) -> None:
        self.passages.append([])
        self._delivered_count = 0
        if self.winner is not None:
            self._entrant(self.winner).take_back()

    def _ended(self, candidate: Candidate) -> None:
        entrant = self._entrant(candidate.index, candidate.model)
        entrant.state, entrant.ended = outcome_word(candidate), True
        if candidate.HasField("first_content_latency"):
            entrant.first_content = candidate.first_content_latency.ToTimedelta().total_seconds()
        if candidate.HasField("latency"):
            entrant.duration = candidate.latency.ToTimedelta().total_seconds()
        entrant.usages = [candidate.usage] if candidate.HasField("usage") else []
        entrant.untold_count = 0
