"""Settings laid over others."""

from __future__ import annotations

from typing import Any

import pytest

from paceline_server.completion.prompt import GenerationConfig, ReasoningEffort, overlaid

FULL = GenerationConfig(
    max_output_token_count=7,
    temperature=0.5,
    top_p=0.9,
    top_k=3,
    seed=11,
    frequency_penalty=1.0,
    presence_penalty=-1.0,
    stop_sequences=("x",),
    reasoning_effort=ReasoningEffort.LOW,
    cache_prompt=True,
)
CHANGES = {
    "max_output_token_count": 8,
    "temperature": 0.0,
    "top_p": 0.1,
    "top_k": 1,
    "seed": 0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "stop_sequences": ("y", "z"),
    "reasoning_effort": ReasoningEffort.NONE,
    "cache_prompt": True,
}


def settings(name: str) -> GenerationConfig:
    """Settings of which only one is set."""
    values: dict[str, Any] = {name: CHANGES[name]}
    return GenerationConfig(**values)


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_set_replaces_and_nothing_else(name: str) -> None:
    """R1: a candidate's settings replace those of the prompt field by field, zero included."""
    laid = overlaid(FULL, settings(name))
    changed = {field for field in CHANGES if getattr(laid, field) != getattr(FULL, field)}
    assert changed == ({name} if name != "cache_prompt" else set())
    assert getattr(laid, name) == CHANGES[name]
    assert getattr(overlaid(GenerationConfig(), settings(name)), name) == CHANGES[name]


def test_settings_without_a_value_change_nothing() -> None:
    """R1: an empty override leaves the prompt's settings as they are."""
    assert overlaid(FULL, GenerationConfig()) == FULL
    assert overlaid(GenerationConfig(), FULL) == FULL
