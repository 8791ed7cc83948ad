"""How long things take in a simulated model: the distributions that settings may name, in seconds.

Values and their ranges only; they know no clock and bring no randomness of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType


def require_at_least_zero(**numbers: float | None) -> None:
    """Raise ValueError for a number that is negative, infinite or none at all; None passes."""
    for name, number in numbers.items():
        if number is not None and not 0 <= number < math.inf:
            raise ValueError(f"{name} must be a number of at least 0, not {number!r}")


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always `seconds` (at least 0)."""

    seconds: float

    def __post_init__(self) -> None:
        require_at_least_zero(seconds=self.seconds)

    def sample(self, random: Random) -> float:
        """Seconds; draws nothing from `random`."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Evenly between `minimum` and `maximum` seconds (0 <= minimum <= maximum)."""

    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        require_at_least_zero(minimum=self.minimum, maximum=self.maximum)
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
        require_at_least_zero(median=self.median, sigma=self.sigma)
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
        require_at_least_zero(mean=self.mean)

    def sample(self, random: Random) -> float:
        """Seconds."""
        return random.expovariate(1.0 / self.mean) if self.mean else 0.0


AT_ONCE = Fixed(0.0)

Distribution = Fixed | Uniform | LogNormal | Exponential

DISTRIBUTION_KINDS: Mapping[str, type[Distribution]] = MappingProxyType(
    {"fixed": Fixed, "uniform": Uniform, "lognormal": LogNormal, "exponential": Exponential},
)
"""The distributions by the names that settings use."""
