"""What a race may take, as its caller or the configuration says (rule R9)."""

from __future__ import annotations

from paceline_server.completion.immutable import immutable


@immutable(frozen=True, slots=True)
class RaceLimits:
    """None is no limit; durations in seconds, money in 1e-9 USD, all over the whole race.

    Attributes:
        max_started_count: Calls of providers: first starts, retries, hedges and judges together.
        decision_timeout: The race decides then with what is there.
        first_content_timeout: For an attempt's first content.
        candidate_timeout: For one candidate over all of its attempts, from its own start.
    """

    max_cost_nano_usd: int | None = None
    max_output_token_count: int | None = None
    max_started_count: int | None = None
    decision_timeout: float | None = None
    first_content_timeout: float | None = None
    candidate_timeout: float | None = None

    @property
    def bound_outlay(self) -> bool:
        """Whether starts must reserve what they can take."""
        bounds = (self.max_cost_nano_usd, self.max_output_token_count, self.max_started_count)
        return any(bound is not None for bound in bounds)


NO_LIMITS = RaceLimits()
