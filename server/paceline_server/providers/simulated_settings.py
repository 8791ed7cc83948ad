"""What a simulated model is told to do, as plain data: its answer, its pace, its faults.

Values and their ranges only. `simulated_course` turns them into the course of one call,
`simulated` plays it. Durations are seconds, rates are shares of calls from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from types import MappingProxyType

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.usage import Price


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always `seconds` (at least 0)."""

    seconds: float

    def __post_init__(self) -> None:
        _require_at_least_zero(seconds=self.seconds)

    def sample(self, random: Random) -> float:
        """Seconds; draws nothing from `random`."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Evenly between `minimum` and `maximum` seconds (0 <= minimum <= maximum)."""

    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        _require_at_least_zero(minimum=self.minimum, maximum=self.maximum)
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum!r} is above maximum {self.maximum!r}")

    def sample(self, random: Random) -> float:
        """Seconds."""
        return random.uniform(self.minimum, self.maximum)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Around `median` seconds (above 0) with a long tail; `sigma` (at least 0) is its width in log space."""

    median: float
    sigma: float

    def __post_init__(self) -> None:
        _require_at_least_zero(median=self.median, sigma=self.sigma)
        if self.median == 0:
            raise ValueError("median must be above 0: a log-normal never is 0")

    def sample(self, random: Random) -> float:
        """Seconds."""
        return random.lognormvariate(math.log(self.median), self.sigma)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless, `mean` seconds on average (at least 0)."""

    mean: float

    def __post_init__(self) -> None:
        _require_at_least_zero(mean=self.mean)

    def sample(self, random: Random) -> float:
        """Seconds."""
        return random.expovariate(1.0 / self.mean) if self.mean else 0.0


Distribution = Fixed | Uniform | LogNormal | Exponential

DISTRIBUTION_KINDS: Mapping[str, type[Distribution]] = MappingProxyType(
    {"fixed": Fixed, "uniform": Uniform, "lognormal": LogNormal, "exponential": Exponential},
)
"""The distributions by the names that settings use."""


@dataclass(frozen=True, slots=True)
class Ok:
    """The answer comes whole, at the model's own pace."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The call fails without content.

    Attributes:
        retry_after: Seconds that the provider asks to wait; None if it asks nothing.
        before_headers: Whether a stream is refused when it is opened, or fails at its first read.
        after_seconds: Seconds from the call's start to the failure.
    """

    failure_class: FailureClass = FailureClass.TRANSIENT
    retry_after: float | None = None
    before_headers: bool = True
    after_seconds: float = 0.0

    def __post_init__(self) -> None:
        _require_at_least_zero(retry_after=self.retry_after, after_seconds=self.after_seconds)


@dataclass(frozen=True, slots=True)
class Cut:
    """The stream breaks after so many tokens, at the latest after the last, and shows no terminal marker."""

    after_tokens: int

    def __post_init__(self) -> None:
        _require_at_least_zero(after_tokens=self.after_tokens)


@dataclass(frozen=True, slots=True)
class Stall:
    """After so many tokens (0: before any content) nothing comes, and nothing ends it.

    Attributes:
        before_headers: The stream is not even accepted; only together with 0 tokens.
    """

    after_tokens: int = 0
    before_headers: bool = False

    def __post_init__(self) -> None:
        _require_at_least_zero(after_tokens=self.after_tokens)
        if self.before_headers and self.after_tokens:
            raise ValueError("before_headers needs after_tokens 0: tokens come after the headers")


@dataclass(frozen=True, slots=True)
class Slow:
    """A whole answer whose first content takes `first_content` seconds."""

    first_content: float

    def __post_init__(self) -> None:
        _require_at_least_zero(first_content=self.first_content)


@dataclass(frozen=True, slots=True)
class Malformed:
    """After so many tokens comes something that is no answer."""

    after_tokens: int = 0

    def __post_init__(self) -> None:
        _require_at_least_zero(after_tokens=self.after_tokens)


@dataclass(frozen=True, slots=True)
class Filtered:
    """The content filter stops the answer: after 0 tokens a failure, later an answer that ends there."""

    after_tokens: int = 0

    def __post_init__(self) -> None:
        _require_at_least_zero(after_tokens=self.after_tokens)


Step = Ok | Fail | Cut | Stall | Slow | Malformed | Filtered

STEP_KINDS: Mapping[str, type[Step]] = MappingProxyType(
    {
        "ok": Ok,
        "fail": Fail,
        "cut": Cut,
        "stall": Stall,
        "slow": Slow,
        "malformed": Malformed,
        "filtered": Filtered,
    },
)
"""The steps of a script by the names that settings use."""


class AfterScript(Enum):
    """What happens once the script has run out; without a script the plan always decides."""

    REPEAT = "repeat"
    LAST = "last"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """One model of a simulated provider.

    Attributes:
        answer: The text; `{prompt}` in it stands for the text of the last user message. None is a
            paragraph of some sixty words, or no text beside `tool_calls`.
        reasoning: Thought that comes before the text; empty for none.
        tool_calls: (name, arguments as JSON text) of each call that follows the text, unless the
            prompt forbids tools.
        first_content: Seconds from the call's start to the first token.
        token_interval: Seconds from one token to the next.
        merge: Whether tokens that are due come in one read, as from a socket; else one token a read.
        confidence: What the model reports of itself, from 0 to 1.
        failure_rate: Share of calls that fail before content, with `failure_class`.
        cut_rate: Share of calls whose stream breaks after a random token.
        stall_rate: Share of calls that fall silent for ever after a random token.
        rate_limit_rate: Share of calls that are RATE_LIMITED, asking for `retry_after` seconds.
        max_calls_per_second: Calls above this rate are RATE_LIMITED until there is room; a second's
            worth (at least one call) may come at once.
        script: One step a call in the order of the calls; while it lasts it takes the place of the
            rates, but not of `max_calls_per_second`.

    Raises:
        ValueError: A number is out of its range, or the four rates add up to more than 1.
    """

    answer: str | None = None
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    first_content: Distribution = Fixed(0.0)
    token_interval: Distribution = Fixed(0.0)
    merge: bool = True
    confidence: float | None = None
    price: Price | None = None
    reasons_unseen: bool = False
    accepts_prefill: bool = False
    bills_after_cancel: bool = False
    failure_rate: float = 0.0
    failure_class: FailureClass = FailureClass.TRANSIENT
    cut_rate: float = 0.0
    stall_rate: float = 0.0
    rate_limit_rate: float = 0.0
    retry_after: float | None = None
    max_calls_per_second: float | None = None
    script: tuple[Step, ...] = ()
    after_script: AfterScript = AfterScript.PLAN

    def __post_init__(self) -> None:
        rates = (self.failure_rate, self.cut_rate, self.stall_rate, self.rate_limit_rate)
        if any(not 0 <= rate <= 1 for rate in rates) or math.fsum(rates) > 1:
            raise ValueError(f"the rates must be from 0 to 1 and add up to at most 1, not {rates!r}")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence must be from 0 to 1, not {self.confidence!r}")
        if self.max_calls_per_second is not None and not 0 < self.max_calls_per_second < math.inf:
            raise ValueError(f"max_calls_per_second must be above 0, not {self.max_calls_per_second!r}")
        _require_at_least_zero(retry_after=self.retry_after)


def _require_at_least_zero(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not 0 <= number < math.inf:
            raise ValueError(f"{name} must be a number of at least 0, not {number!r}")
