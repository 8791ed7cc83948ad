"""How servers of the Anthropic format differ, as data. Nothing here acts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ThinkingControl(Enum):
    """How a model is told how long to think."""

    NONE = "none"
    """Not at all: it does not think."""

    BUDGET = "budget"
    """By a number of tokens; it does not think unless told."""

    EFFORT = "effort"
    """By an effort; it decides itself how much to think, and may be told not to."""

    ALWAYS = "always"
    """By an effort; it cannot be told not to think."""


@dataclass(frozen=True, slots=True)
class AnthropicSettings:
    """A server's dialect; the defaults are Anthropic's own.

    Attributes:
        version: The version of the API, which every request names.
        betas: Features in trial that every request asks for, as "context-1m-2025-08-07".
        default_max_token_count: Sent where neither the prompt nor the model's profile says how long an
            answer may be, because the format demands a number.
        thinking_control: How every model of the server is told how long to think; None goes by the
            model's name.
    """

    version: str = "2023-06-01"
    betas: tuple[str, ...] = ()
    default_max_token_count: int = 8192
    thinking_control: ThinkingControl | None = None
