"""How much text a prompt holds: the base of every estimate of tokens that no provider told."""

from __future__ import annotations

from paceline_server.completion.content import Part, Reasoning, Text, ToolCall, ToolResult
from paceline_server.completion.prompt import Prompt


def prompt_character_count(prompt: Prompt) -> int:
    """The characters of the messages and the tools of `prompt`; media count nothing."""
    characters = sum(_part_character_count(part) for message in prompt.messages for part in message.parts)
    return characters + sum(
        len(tool.name) + len(tool.description) + len(tool.parameters_json_schema) for tool in prompt.tools
    )


def _part_character_count(part: Part) -> int:
    match part.kind:
        case Text(text) | Reasoning(text):
            return len(text)
        case ToolCall(_, name, arguments_json):
            return len(name) + len(arguments_json)
        case ToolResult(_, parts):
            return sum(_part_character_count(inner) for inner in parts)
        case _:
            return 0
