"""How much text a prompt holds."""

from __future__ import annotations

from paceline_server.completion.content import (
    Media,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.estimate import prompt_character_count
from paceline_server.completion.prompt import Prompt, Tool


def test_a_prompt_counts_all_of_its_text_and_no_media() -> None:
    """A6: an estimate of the input is made from texts, thoughts, calls, results and tools."""
    picture = Part(Media("image/png", b"0" * 400))
    messages = (
        Message(Role.USER, (Part(Text("1")), picture)),
        Message(Role.ASSISTANT, (Part(Reasoning("t" * 10)), Part(ToolCall("id", "n" * 100, "a" * 1000)))),
        Message(Role.TOOL, (Part(ToolResult("id", (Part(Text("r" * 10_000)), picture))),)),
    )
    tools = (Tool("n" * 100_000, "d" * 200_000, "s" * 300_000),)
    assert prompt_character_count(Prompt(messages, tools)) == 611_111


def test_an_empty_prompt_holds_nothing() -> None:
    """A6: nothing is estimated from nothing."""
    assert prompt_character_count(Prompt(())) == 0
