"""Calls with recovery CONTINUE over targets of which some accept a prefill, and what those were sent (C5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paceline_server.completion.content import Role, Text
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import Price
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.profile import Profile
from paceline_server.strategies.call import Recovery
from paceline_server.strategies.model import Model
from tests.strategies.fitter import ScriptedFitter
from tests.strategies.scripted import Script
from tests.strategies.world import PLENTY, Outcome, World

PREFILLED = Profile(Price(1000, 2000), accepts_prefill=True)
PLAIN = Profile(Price(1000, 2000))


def world_of(
    scripts: Mapping[str, Script | list[Script]],
    *prefilled: str,
    budget: BudgetConfig = PLENTY,
    fitter: ScriptedFitter | None = None,
) -> World:
    """A world in which some targets accept a prefill; all, if none is named."""
    profiles = {name: PREFILLED if name in (prefilled or scripts) else PLAIN for name in scripts}
    return World(scripts, profiles=profiles, budget=budget, fitter=fitter)


async def continued(world: World, model: Model | None = None, **options: Any) -> Outcome:
    """Stream one call with CONTINUE."""
    return await world.stream(model, recovery=Recovery.CONTINUE, **options)


def beginning(prompt: Prompt) -> str | None:
    """What a prompt gives as the beginning of the answer; None if it asks for a whole one."""
    last = prompt.messages[-1]
    if last.role is not Role.ASSISTANT:
        return None
    (part,) = last.parts
    assert isinstance(part.kind, Text)
    return part.kind.text


def beginnings(world: World) -> list[str | None]:
    """The beginnings that were sent, call by call."""
    return [beginning(call.request.prompt) for call in world.calls]
