"""A race as it is told: its events, how each candidate fared, and how it was decided (rules R5 to R10)."""

from __future__ import annotations

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import Attempt, FailureClass
from paceline_server.completion.deltas import Delta
from paceline_server.completion.immutable import Word, immutable
from paceline_server.completion.usage import Usage


class CandidateOutcome(Word):
    """How a candidate ended. SKIPPED and REJECTED ones never started."""

    WON = "won"
    LOST = "lost"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    SKIPPED = "skipped"
    REJECTED = "rejected"


class RaceDecision(Word):
    """By which rule the winner was chosen."""

    FIRST_CONTENT = "first_content"
    FIRST_COMPLETION = "first_completion"
    GRACE_SCORE = "grace_score"
    CONFIDENCE = "confidence"
    MAJORITY = "majority"
    PLURALITY = "plurality"
    WEIGHTED_SCORE = "weighted_score"
    QUALITY = "quality"
    ONLY_SURVIVOR = "only_survivor"
    DEADLINE = "deadline"


@immutable(frozen=True, slots=True)
class CandidateReport:
    """How one candidate fared; while it runs, `outcome` is None.

    Attributes:
        index: Its place in the race, from 0.
        model: Its spec, as it was asked for.
        completion: Its whole answer, won or not.
        attempts: Its own, in the order of their indices.
        first_content_latency: Seconds from its own start to its first content; None if none came.
        latency: Seconds from its own start to its end; None if it was not started. If it was cancelled it
            would have taken longer.
        finish_rank: Its place in the order of complete answers, from 1; 0 if it gave none.
        finished_first: It was the first with a complete answer, won or not.
        usage: Of its attempts together; None if nothing was sent.
        failure_class: Of what ended it, where that has a class.
        message: Why it gave no answer, in one sentence without secrets.
        skipped_until: Seconds since the epoch: when the bench ends for which it was skipped.
    """

    index: int
    model: str
    outcome: CandidateOutcome | None = None
    completion: Completion | None = None
    attempts: tuple[Attempt, ...] = ()
    first_content_latency: float | None = None
    latency: float | None = None
    finish_rank: int = 0
    finished_first: bool = False
    usage: Usage | None = None
    failure_class: FailureClass | None = None
    message: str = ""
    skipped_until: float | None = None


@immutable(frozen=True, slots=True)
class AnswerGroup:
    """Equivalent answers: the text of one of them, and whose they are, ascending."""

    text: str
    candidate_indices: tuple[int, ...]


@immutable(frozen=True, slots=True)
class RaceSummary:
    """How a race went.

    Attributes:
        candidates: All of them, in the order of their indices.
        agreement_score: The largest group over the candidates asked; None if no consensus was sought.
        groups: The largest first; empty if no consensus was sought.
        responder_count: How many gave a complete answer that is not empty.
        decision_latency: Seconds from the call's start to the decision.
        loser_usage: Of the candidates that did not win and of the judges.
    """

    candidates: tuple[CandidateReport, ...]
    selected_index: int | None = None
    decision: RaceDecision | None = None
    agreement_score: float | None = None
    groups: tuple[AnswerGroup, ...] = ()
    responder_count: int = 0
    decision_latency: float | None = None
    loser_usage: Usage | None = None


@immutable(frozen=True, slots=True)
class CandidateStarted:
    """A candidate has started."""

    index: int
    model: str


@immutable(frozen=True, slots=True)
class WinnerSelected:
    """The race is decided, so many seconds after the call's start."""

    index: int
    decision: RaceDecision
    decision_latency: float


@immutable(frozen=True, slots=True)
class CandidateDelta:
    """The answer of a candidate that has not won grows."""

    index: int
    delta: Delta


@immutable(frozen=True, slots=True)
class CandidateOutputDiscarded:
    """All deltas of this candidate so far are void."""

    index: int


@immutable(frozen=True, slots=True)
class CandidateEnded:
    """A candidate is over; comes once for each."""

    candidate: CandidateReport


RaceEvent = CandidateStarted | WinnerSelected | CandidateDelta | CandidateOutputDiscarded | CandidateEnded
