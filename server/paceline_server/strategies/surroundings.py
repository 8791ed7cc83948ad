"""What all targets of a process share."""

from __future__ import annotations

import random

from paceline_server.completion.immutable import immutable
from paceline_server.health.budget import AttemptBudget
from paceline_server.health.registry import HealthRegistry
from paceline_server.providers.base import PromptFitter
from paceline_server.routing.performance import Performance
from paceline_server.strategies.call import AttemptConfig


@immutable(frozen=True, slots=True)
class Surroundings:
    """What all targets of a process share.

    Attributes:
        rng: Draws the jitter of retries.
        fitter: Makes each prompt one that its target can take.
        performance: What attempts and races have shown of the targets.
        hedges: Pays for what is started beside an attempt that is merely slow (rules C7, R4).
    """

    health: HealthRegistry
    budget: AttemptBudget
    config: AttemptConfig
    rng: random.Random
    fitter: PromptFitter
    performance: Performance
    hedges: AttemptBudget
