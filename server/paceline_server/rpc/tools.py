"""From the contract's tools and response format to the vocabulary's, with every violation told.

The rest of a prompt is read in `prompts`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from paceline.v1 import completion_pb2
from paceline_server.completion.prompt import (
    DEFAULT_SCHEMA_NAME,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from paceline_server.rpc.violations import Violations

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IDENTIFIER_RULE = "must be 1 to 64 of the characters a-z, A-Z, 0-9, '_' and '-'"


def decode_tools(wire: Sequence[completion_pb2.Tool], path: str, violations: Violations) -> tuple[Tool, ...]:
    """The tools, each with a name of its own and a schema of an object."""
    seen: set[str] = set()
    for index, tool in enumerate(wire):
        if not _IDENTIFIER.fullmatch(tool.name):
            violations.add(f"{path}[{index}].name", _IDENTIFIER_RULE)
        if tool.name in seen:
            violations.add(f"{path}[{index}].name", f"{tool.name!r} is used twice; names are unique")
        seen.add(tool.name)
        if tool.parameters_json_schema:
            _tool_schema(tool.parameters_json_schema, f"{path}[{index}].parameters_json_schema", violations)
    return tuple(Tool(tool.name, tool.description, tool.parameters_json_schema) for tool in wire)


def _tool_schema(text: str, path: str, violations: Violations) -> None:
    schema = violations.json_object(text, path, what="the JSON Schema")
    if schema is not None and schema.get("type") != "object":
        violations.add(path, 'must be a schema whose "type" is "object"')


def decode_tool_choice(wire: completion_pb2.Prompt, path: str, violations: Violations) -> ToolChoice | None:
    """Which tools the model may or must call; None leaves it to the provider."""
    mode = wire.tool_choice.WhichOneof("mode")
    if mode is None:
        return None
    names = {tool.name for tool in wire.tools}
    if mode in ("required", "named") and not names:
        violations.add(path, f"is {mode}, but the prompt has no tools")
    if mode != "named":
        return ToolChoice(ToolChoiceMode(mode))
    name = wire.tool_choice.named.name
    if names and name not in names:
        violations.add(f"{path}.named.name", f"{name!r} is no tool of the prompt")
    return ToolChoice(ToolChoiceMode.NAMED, name)


def decode_response_format(
    wire: completion_pb2.ResponseFormat, path: str, violations: Violations
) -> ResponseFormat | None:
    """The form of the answer; None leaves it to the model."""
    kind = wire.WhichOneof("format")
    if kind is None:
        return None
    if kind != "json_schema":
        return ResponseFormat(ResponseFormatKind(kind))
    schema = wire.json_schema
    if schema.name and not _IDENTIFIER.fullmatch(schema.name):
        violations.add(f"{path}.json_schema.name", _IDENTIFIER_RULE)
    violations.json_object(schema.schema_json, f"{path}.json_schema.schema_json", what="the JSON Schema")
    name = schema.name or DEFAULT_SCHEMA_NAME
    return ResponseFormat(ResponseFormatKind.JSON_SCHEMA, name, schema.schema_json, schema.strict)
