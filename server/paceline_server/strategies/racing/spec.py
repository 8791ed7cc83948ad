"""A race as it is asked for: its candidates by their specs, its rule and its limits.

Values only; what the specs come to is the assembly's business.
"""

from __future__ import annotations

from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.routing.catalog import MAXIMUM_CANDIDATE_COUNT
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.rule import Rule

__all__ = ["MAXIMUM_CANDIDATE_COUNT", "CandidateSpec", "RaceSpec"]


@immutable(frozen=True, slots=True)
class CandidateSpec:
    """One entrant.

    Attributes:
        model: Its spec: a target, a chain, or a name of either or of another race.
        config: Laid over the prompt's own settings; None leaves those as they are.
        priority: Higher ones start first where not all start at once, and win ties.
    """

    model: str
    config: GenerationConfig | None = None
    priority: int = 0


@immutable(frozen=True, slots=True)
class RaceSpec:
    """A race of 1 to `MAXIMUM_CANDIDATE_COUNT` candidates."""

    candidates: tuple[CandidateSpec, ...]
    rule: Rule
    limits: RaceLimits = NO_LIMITS
