"""What to do about races that fail, or look mistyped, in the words of the options of `paceline race`."""

from __future__ import annotations

from collections.abc import Sequence

from paceline_client.errors import CallFailed

_OPTIONS_OF_LIMITS = {
    "limits.max_cost_nano_usd": "--max-cost",
    "limits.max_output_token_count": "--max-output-tokens",
    "limits.decision_timeout": "--decision-timeout",
}
"""By the names that the sentences of the gateway have for the limits."""


def remedy_of(failed: CallFailed, name: str) -> str:
    """What to do about a failure; empty where the command knows no more than its reason says.

    Args:
        failed: How the race ended.
        name: That of the race, if it was asked for by a name of the configuration.
    """
    if name and failed.reason == "INVALID_SPEC" and any(one.subject == "model" for one in failed.violations):
        return f"use: paceline chain {name}, or name more models, which then race"
    if failed.reason == "LIMIT_REACHED":
        options = [option for limit, option in _OPTIONS_OF_LIMITS.items() if limit in failed.message]
        if options:
            return f"allow the race more with {' or '.join(options)}, or give it models that need less"
    return ""


def hint_of(models: Sequence[str], prompt: str) -> str:
    """What to say of a prompt that looks like one more model; empty of any other."""
    looks_like_a_model = "/" in prompt.strip("/") and not any(character.isspace() for character in prompt)
    if not models or not looks_like_a_model:
        return ""
    return f"the prompt is {prompt!r}; was it meant as a model? Then write the prompt behind it"
