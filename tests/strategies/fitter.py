"""A fitter that does what a test says for each provider, and keeps the books of what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Message, Part, Role, Text
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Profile


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The prompt becomes another, which says for whom."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Refuse:
    """The prompt does not fit."""

    failure_class: FailureClass = FailureClass.UNSUPPORTED
    seconds: float = 0.0
    only_continuations: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """The fitter has a bug."""


Fitting = Rewrite | Refuse | Fault


@dataclass(slots=True)
class ScriptedFitter:
    """Does the same for a provider each time; without a rule the prompt fits as it is.

    Attributes:
        asked: The providers that prompts were fitted for, in order.
    """

    rules: Mapping[str, Fitting]
    asked: list[str] = field(default_factory=list)

    async def fitted(self, prompt: Prompt, provider: str, profile: Profile) -> Prompt:
        """What the rule of `provider` makes of `prompt`."""
        self.asked.append(provider)
        match self.rules.get(provider):
            case Rewrite(seconds):
                if _note(provider) in prompt.messages:
                    return prompt
                await asyncio.sleep(seconds)
                return replace(prompt, messages=(*prompt.messages, _note(provider)))
            case Refuse(failure_class, seconds, only_continuations):
                if only_continuations and prompt.messages[-1].role is not Role.ASSISTANT:
                    return prompt
                await asyncio.sleep(seconds)
                raise AttemptFailure(failure_class, f"{provider} cannot take it")
            case Fault():
                raise LookupError("a bug of the fitter")
            case None:
                return prompt


def _note(provider: str) -> Message:
    return Message(Role.USER, (Part(Text(f"fitted for {provider}")),))
