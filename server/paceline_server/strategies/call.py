"""One call as the engines see it: what is asked, until when, and with which options."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from paceline_server.completion.attempt import CallEvent
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.prompts import Prompts
from paceline_server.strategies.racing.allowance import Allowance
from paceline_server.strategies.record import CallRecord

Sink = Callable[[CallEvent], Awaitable[None]]
"""Takes the events of a call in order; it may wait, and then the provider is not read either."""


class Recovery(Enum):
    """What happens when a stream breaks after content was delivered (rule C5)."""

    NONE = "none"
    HOLD = "hold"
    RESTART = "restart"
    CONTINUE = "continue"


@immutable(frozen=True, slots=True)
class AttemptConfig:
    """The clocks and tries of an attempt; durations in seconds (rules A1, A7, C1).

    Attributes:
        reasoning_first_content_timeout: Instead of `first_content_timeout` where the model reasons unseen;
            likewise the other two.
        overtake_after: How long a stream may be without content before the next target starts beside it (C7).
        unary_overtake_after: ... and how long a unary call without its answer.
        overtake_quantile: Instead, where observations permit, this quantile of what the target usually takes.
        longest_retry_wait: A longer Retry-After is not worth waiting for on the same target.
        retry_backoff: The wait before a first retry without Retry-After; it doubles, with jitter.
        additional_attempts: What one call may start beyond its first attempt.
        shortest_share: The least time that a target gets, however little is left for the rest.
    """

    first_content_timeout: float = 30.0
    reasoning_first_content_timeout: float = 300.0
    gap_timeout: float = 15.0
    reasoning_gap_timeout: float = 150.0
    attempt_timeout: float = 120.0
    reasoning_attempt_timeout: float = 600.0
    transient_retry_count: int = 1
    overtake_after: float = 10.0
    reasoning_overtake_after: float = 60.0
    unary_overtake_after: float = 30.0
    overtake_quantile: float | None = None
    longest_retry_wait: float = 5.0
    retry_backoff: float = 0.1
    additional_attempts: int = 8
    shortest_share: float = 1.0
    hold_token_count: int = 64


@immutable(frozen=True, slots=True)
class ChainOptions:
    """What the caller chose for this call; None means the configured default.

    Attributes:
        hold_token_count: With HOLD: how many tokens are buffered before any is delivered.
        first_content_timeout: Seconds; likewise the other timeouts.
        overtake_after: Seconds; 0 for never.
    """

    recovery: Recovery = Recovery.RESTART
    hold_token_count: int | None = None
    transient_retry_count: int | None = None
    advance_on_permanent: bool = False
    first_content_timeout: float | None = None
    gap_timeout: float | None = None
    attempt_timeout: float | None = None
    overtake_after: float | None = None


def beside_others(options: ChainOptions) -> ChainOptions:
    """The options of models that run side by side: what is held back is held once, for the chosen one."""
    if options.recovery is not Recovery.HOLD:
        return options
    return replace(options, recovery=Recovery.RESTART)


_NO_OPTIONS = ChainOptions()


@dataclass(slots=True)
class Call:
    """One call.

    Attributes:
        started_at: On the event loop's clock, in seconds.
        deadline: On the same clock: no attempt outlives it.
        tells_all: The caller of a streamed race also wants what those write who have not won.
        prompts: `prompt` as the targets take it.
        allowances: What the races may take that it runs in, the outermost first; all must permit a start.
        answers_by: When the race that it runs in decides at the latest, on the same clock as `deadline`.
    """

    call_id: str
    prompt: Prompt
    started_at: float
    deadline: float
    options: ChainOptions = _NO_OPTIONS
    tells_all: bool = False
    record: CallRecord = field(default_factory=CallRecord)
    prompts: Prompts = field(default_factory=Prompts)
    allowances: tuple[Allowance, ...] = ()
    answers_by: float = NEVER

    def beside_others(
        self, prompt: Prompt, record: CallRecord, options: ChainOptions, allowances: tuple[Allowance, ...]
    ) -> Call:
        """The call as a model gets it that runs beside others; made at a third of what `replace` takes."""
        return Call(
            self.call_id,
            prompt,
            self.started_at,
            self.deadline,
            options,
            self.tells_all,
            record,
            self.prompts,
            allowances,
            self.answers_by,
        )


class Admission(Enum):
    """By what right a model asks to be let through.

    Attributes:
        SHARE: As its health says; while it ramps up, for its share of the calls.
        WHOLE_RAMP: Nothing else is left: a target that is ramping up may not decline.
        RETRY: The same model again, after the wait that it asked for.
        LAST_RESORT: Everything is benched: as a probe, before the bench ends.
    """

    SHARE = "share"
    WHOLE_RAMP = "whole_ramp"
    RETRY = "retry"
    LAST_RESORT = "last_resort"


@immutable(frozen=True, slots=True)
class Turn:
    """Where a model stands when its parent lets it try.

    Attributes:
        path: Its place in the model tree, as "chain[0]".
        untried: How many models its parent could still turn to afterwards.
        first_pass: Its parent comes back to what is held, so nothing that is held is forced now.
        continues: The text that was delivered, for a target that can go on from there; empty for none.
        beside: Tells whether anyone else could still answer beside it; None where nobody runs beside it.
    """

    path: str
    untried: int = 0
    first_pass: bool = False
    admission: Admission = Admission.SHARE
    continues: str = ""
    beside: Callable[[], bool] | None = None

    @property
    def in_race(self) -> bool:
        """Whether it works for a race: as one of its candidates, or as its judge."""
        if not self.path:
            return False
        return any(step.startswith(("race[", "judge")) for step in self.path.split("/"))

    def beside_others(self, could_answer: Callable[[], bool]) -> Turn:
        """The same, but that others may run beside it; `could_answer` tells whether one of them could."""
        return Turn(
            self.path, self.untried, self.first_pass, self.admission, self.continues, beside=could_answer
        )

    def path_of(self, step: str) -> str:
        """The path of a child at `step` of this one."""
        return f"{self.path}/{step}" if self.path else step
