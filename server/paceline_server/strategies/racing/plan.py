"""What a race is made of, the same for every call that it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from paceline_server.completion.answer import Target
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt, overlaid
from paceline_server.completion.race import RaceEvent
from paceline_server.strategies.call import Call, ChainOptions, beside_others
from paceline_server.strategies.lane import Lane
from paceline_server.strategies.model import Model
from paceline_server.strategies.racing.allowance import Allowance
from paceline_server.strategies.racing.candidate import Candidate
from paceline_server.strategies.racing.field import Entrant, Field
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.surroundings import Surroundings

Tell = Callable[[RaceEvent], Awaitable[None]]
"""Takes the events of a race, in order with those that its sink takes."""


@immutable(frozen=True, slots=True)
class RacePlan:
    """A race of at least one candidate.

    Attributes:
        judge: The model that `rule` may ask for; None if it asks for none.
    """

    candidates: tuple[Candidate, ...]
    rule: Rule
    surroundings: Surroundings
    limits: RaceLimits = NO_LIMITS
    judge: Model | None = None

    def field(self, *, streaming: bool) -> Field:
        """The field before the start, with what is known of each candidate's performance."""
        return Field(
            [self._entrant(index, streaming=streaming) for index in range(len(self.candidates))], streaming
        )

    def prompt(self, prompt: Prompt, index: int) -> Prompt:
        """What a candidate is asked of `prompt`: with its own settings, and with what the rule needs."""
        config, over = prompt.config, self.candidates[index].config
        if over is not None:
            config = overlaid(config, over)
        if self.rule.asks_logprobs:
            config = replace(config, logprobs=True)
        return prompt if config is prompt.config else replace(prompt, config=config)

    def allowance(self) -> Allowance | None:
        """What all attempts of the race may take together, shared among those that it may start."""
        if not self.limits.bound_outlay:
            return None
        allowance = Allowance(self.limits)
        allowance.starts_due = self.rule.start_count(len(self.candidates)) + bool(self.rule.judge_model)
        return allowance

    def options(self, call: Call) -> ChainOptions:
        """The options of `call` as its candidates and its judge have them."""
        options = beside_others(call.options)
        if self.limits.first_content_timeout is not None:
            options = replace(options, first_content_timeout=self.limits.first_content_timeout)
        return options

    def target(self, lane: Lane) -> Target:
        """Whose performance a candidate's is: the target that it turned to last."""
        attempts = lane.attempts
        return attempts[-1].target if attempts else self.candidates[lane.index].model.targets[0]

    def _entrant(self, index: int, *, streaming: bool) -> Entrant:
        candidate, performance = self.candidates[index], self.surroundings.performance
        target = candidate.model.targets[0]
        return Entrant(
            index,
            candidate.priority,
            win_rate=performance.win_rate(target),
            quality=candidate.quality,
            hedge_delay=self.rule.hedge_delay(lambda q: performance.quantile(target, q, streaming=streaming)),
        )
