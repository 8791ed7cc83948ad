"""The steps that a simulated model can be told to take, one a call.

Values and their ranges only; what a step does to an answer is decided in `simulated_course`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from paceline_server.completion.attempt import FailureClass
from paceline_server.providers.simulated_pace import require_at_least_zero


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
        require_at_least_zero(retry_after=self.retry_after, after_seconds=self.after_seconds)


@dataclass(frozen=True, slots=True)
class Cut:
    """The stream breaks after so many tokens, at the latest after the last, and shows no terminal marker."""

    after_tokens: int

    def __post_init__(self) -> None:
        require_at_least_zero(after_tokens=self.after_tokens)


@dataclass(frozen=True, slots=True)
class Stall:
    """After so many tokens (0: before any content) nothing comes, and nothing ends it.

    Attributes:
        before_headers: The stream is not even accepted; only together with 0 tokens.
    """

    after_tokens: int = 0
    before_headers: bool = False

    def __post_init__(self) -> None:
        require_at_least_zero(after_tokens=self.after_tokens)
        if self.before_headers and self.after_tokens:
            raise ValueError("before_headers needs after_tokens 0: tokens come after the headers")


@dataclass(frozen=True, slots=True)
class Slow:
    """A whole answer whose first content takes `first_content` seconds."""

    first_content: float

    def __post_init__(self) -> None:
        require_at_least_zero(first_content=self.first_content)


@dataclass(frozen=True, slots=True)
class Malformed:
    """After so many tokens comes something that is no answer."""

    after_tokens: int = 0

    def __post_init__(self) -> None:
        require_at_least_zero(after_tokens=self.after_tokens)


@dataclass(frozen=True, slots=True)
class Filtered:
    """The content filter ends the answer after so many tokens; the engines make a failure of none."""

    after_tokens: int = 0

    def __post_init__(self) -> None:
        require_at_least_zero(after_tokens=self.after_tokens)


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
