"""What a simulated model is told to do, as plain data: its answer, its pace, its faults.

Values and their ranges only. `simulated_course` turns them into the course of one call,
`simulated` plays it. Durations are seconds, rates are shares of calls from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.usage import Price
from paceline_server.providers.simulated_pace import AT_ONCE, Distribution, require_at_least_zero
from paceline_server.providers.simulated_script import AfterScript, Step


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
        quality: How good its answers are held to be, from 0 to 1.
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
    first_content: Distribution = AT_ONCE
    token_interval: Distribution = AT_ONCE
    merge: bool = True
    confidence: float | None = None
    price: Price | None = None
    reasons_unseen: bool = False
    accepts_prefill: bool = False
    bills_after_cancel: bool = False
    quality: float | None = None
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
        for name, share in (("confidence", self.confidence), ("quality", self.quality)):
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {share!r}")
        if self.max_calls_per_second is not None and not 0 < self.max_calls_per_second < math.inf:
            raise ValueError(f"max_calls_per_second must be above 0, not {self.max_calls_per_second!r}")
        require_at_least_zero(retry_after=self.retry_after)
