"""From the contract's prompt to the vocabulary's, with every violation told.

Its tools and the form of its answer are read in `tools`, its sizes checked in `bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from paceline.v1 import completion_pb2
from paceline_server.completion.content import (
    Kind,
    Media,
    Message,
    Part,
    ProviderSignature,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.prompt import (
    OWN_MEMBERS,
    GenerationConfig,
    Prompt,
)
from paceline_server.rpc import enums
from paceline_server.rpc.bounds import check_prompt_bounds
from paceline_server.rpc.tools import decode_response_format, decode_tool_choice, decode_tools
from paceline_server.rpc.violations import Violations

UNSET_CONFIG = GenerationConfig()
_SPEAKERS = {wire: role for wire, role in enums.ROLE.items() if role is not Role.TOOL}


def decode_prompt(wire: completion_pb2.Prompt, path: str, violations: Violations) -> Prompt:
    """The prompt; what is wrong with it is added to `violations`.

    Raises:
        InvalidRequest: It has too many pieces, or more is wrong than is worth telling.
    """
    check_prompt_bounds(wire, path, violations)
    if not wire.messages:
        violations.add(f"{path}.messages", "is empty; a prompt needs at least one message")
    return Prompt(
        messages=_messages(wire.messages, f"{path}.messages", violations),
        tools=decode_tools(wire.tools, f"{path}.tools", violations) if wire.tools else (),
        tool_choice=decode_tool_choice(wire, f"{path}.tool_choice", violations)
        if wire.HasField("tool_choice")
        else None,
        response_format=decode_response_format(wire.response_format, f"{path}.response_format", violations)
        if wire.HasField("response_format")
        else None,
        config=decode_config(wire.config, f"{path}.config", violations)
        if wire.HasField("config")
        else UNSET_CONFIG,
        provider_options_json=_provider_options(wire, f"{path}.provider_options_json", violations)
        if wire.provider_options_json
        else {},
    )


def decode_config(
    wire: completion_pb2.GenerationConfig, path: str, violations: Violations
) -> GenerationConfig:
    """The generation settings, each within its range."""
    if not all(wire.stop_sequences):
        violations.add(f"{path}.stop_sequences", "holds an empty text; remove it")
    number = violations.number
    return GenerationConfig(
        max_output_token_count=number(wire, "max_output_token_count", path, 1, math.inf),
        temperature=number(wire, "temperature", path, 0, 2),
        top_p=number(wire, "top_p", path, 0, 1, above_low=True),
        top_k=number(wire, "top_k", path, 1, math.inf),
        seed=wire.seed if wire.HasField("seed") else None,
        frequency_penalty=number(wire, "frequency_penalty", path, -2, 2),
        presence_penalty=number(wire, "presence_penalty", path, -2, 2),
        stop_sequences=tuple(wire.stop_sequences),
        reasoning_effort=violations.choice(
            wire.reasoning_effort, enums.REASONING_EFFORT, f"{path}.reasoning_effort"
        ),
        cache_prompt=wire.cache_prompt,
    )


def _messages(
    wire: Sequence[completion_pb2.Message], path: str, violations: Violations
) -> tuple[Message, ...]:
    plain = [_plain(message) for message in wire]
    if all(plain):
        return tuple(message for message in plain if message)
    messages = tuple(
        found or _message(message, f"{path}[{index}]", violations)
        for index, (message, found) in enumerate(zip(wire, plain, strict=True))
    )
    _check_results(messages, path, violations)
    return messages


def _plain(wire: completion_pb2.Message) -> Message | None:
    """A message of nothing but texts, as most are: nothing can be wrong with it, so that it needs no path."""
    role = _SPEAKERS.get(wire.role)
    if role is None:
        return None
    parts = []
    for part in wire.parts:
        if part.WhichOneof("kind") != "text" or part.HasField("signature"):
            return None
        parts.append(Part(Text(part.text.text)))
    return Message(role, tuple(parts)) if parts else None


def _message(wire: completion_pb2.Message, path: str, violations: Violations) -> Message:
    role = violations.choice(wire.role, enums.ROLE, f"{path}.role")
    if wire.role == completion_pb2.ROLE_UNSPECIFIED:
        violations.add(f"{path}.role", "is not set; say who speaks")
    if not wire.parts:
        violations.add(f"{path}.parts", "is empty; a message needs at least one part")
    parts = tuple(
        _part(part, role, f"{path}.parts[{index}]", violations) for index, part in enumerate(wire.parts)
    )
    return Message(role or Role.USER, parts)


def _part(wire: completion_pb2.Part, role: Role | None, path: str, violations: Violations) -> Part:
    signature = None
    if wire.HasField("signature"):
        signature = ProviderSignature(wire.signature.provider, wire.signature.value)
        if not wire.signature.provider or not wire.signature.value:
            violations.add(f"{path}.signature", "needs both provider and value; send it back as it came")
    if role is Role.TOOL and wire.WhichOneof("kind") not in ("tool_result", None):
        violations.add(path, "is no tool result; a message of the role TOOL holds nothing else")
    return Part(_kind(wire, role, path, violations), signature)


def _check_results(messages: Sequence[Message], path: str, violations: Violations) -> None:
    """Every result answers a call that came before it: no provider takes another one."""
    called: set[str] = set()
    for index, message in enumerate(messages):
        for place, part in enumerate(message.parts):
            kind = part.kind
            if isinstance(kind, ToolCall):
                called.add(kind.id)
            elif isinstance(kind, ToolResult) and kind.tool_call_id not in called and kind.tool_call_id:
                violations.add(
                    f"{path}[{index}].parts[{place}].tool_result.tool_call_id",
                    f"{kind.tool_call_id!r} is the id of no earlier tool call; send the call back, too",
                )


def _kind(wire: completion_pb2.Part, role: Role | None, path: str, violations: Violations) -> Kind:
    match wire.WhichOneof("kind"):
        case "text":
            return Text(wire.text.text)
        case "media":
            return _media(wire.media, f"{path}.media", violations)
        case "reasoning":
            return Reasoning(wire.reasoning.text, wire.reasoning.redacted_data)
        case "tool_call":
            if role not in (Role.ASSISTANT, None):
                violations.add(f"{path}.tool_call", "belongs into a message of the role ASSISTANT")
            return _tool_call(wire.tool_call, f"{path}.tool_call", violations)
        case "tool_result":
            if role not in (Role.TOOL, None):
                violations.add(f"{path}.tool_result", "belongs into a message of the role TOOL")
            return _tool_result(wire.tool_result, f"{path}.tool_result", violations)
        case _:
            if not wire.HasField("signature"):
                violations.add(
                    f"{path}.kind", "is not set; a part is a text, media, reasoning, call or result"
                )
            return Text("")


def _media(wire: completion_pb2.Media, path: str, violations: Violations) -> Media:
    source = wire.WhichOneof("source")
    if source is None or not getattr(wire, source):
        violations.add(f"{path}.source", "is not set; give data or uri")
    if source == "uri" and "://" not in wire.uri and not wire.uri.startswith("data:"):
        violations.add(f"{path}.uri", "is no URI; write it with its scheme, as in 'https://...'")
    return Media(wire.media_type, wire.data, wire.uri)


def _tool_call(wire: completion_pb2.ToolCall, path: str, violations: Violations) -> ToolCall:
    if not wire.id:
        violations.add(f"{path}.id", "is empty; send back the id that the model gave")
    if not wire.name:
        violations.add(f"{path}.name", "is empty; send back the name that the model gave")
    if wire.arguments_json:
        violations.json_object(wire.arguments_json, f"{path}.arguments_json", what="the arguments")
    return ToolCall(wire.id, wire.name, wire.arguments_json)


def _tool_result(wire: completion_pb2.ToolResult, path: str, violations: Violations) -> ToolResult:
    if not wire.tool_call_id:
        violations.add(f"{path}.tool_call_id", "is empty; name the call that the result answers")
    for index, part in enumerate(wire.parts):
        if part.WhichOneof("kind") not in ("text", "media"):
            violations.add(f"{path}.parts[{index}]", "must be text or media")
    parts = tuple(
        _part(part, None, f"{path}.parts[{index}]", violations)
        for index, part in enumerate(wire.parts)
        if part.WhichOneof("kind") in ("text", "media")
    )
    return ToolResult(wire.tool_call_id, parts, wire.failed)


def _provider_options(wire: completion_pb2.Prompt, path: str, violations: Violations) -> dict[str, str]:
    for provider, text in wire.provider_options_json.items():
        options = violations.json_object(text, f"{path}[{provider!r}]", what="the options")
        for member in OWN_MEMBERS:
            if options is not None and member in options:
                violations.add(f"{path}[{provider!r}]", f"may not set {member!r}, which Paceline sets itself")
    return dict(wire.provider_options_json)
