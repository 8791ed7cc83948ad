"""What all targets of a process share."""

from __future__ import annotations

import random

from paceline_server.completion.immutable import immutable
from paceline_server.health.budget import AttemptBudget
from paceline_server.health.registry import HealthRegistry
from paceline_server.providers.base import PromptFitter
from paceline_server.strategies.call import AttemptConfig


@immutable(frozen=True, slots=True)
class Surroundings:
    """What all targets of a process share.

    Attributes:
        rng: Draws the jitter of retries.
        fitter: Makes each prompt one that its target can take.
    """

    health: HealthRegistry
    budget: AttemptBudget
    config: AttemptConfig
    rng: random.Random
    fitter: PromptFitter
