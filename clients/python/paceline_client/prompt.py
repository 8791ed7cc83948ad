"""Makes what requests for answers have in common: one question, perhaps an instruction, and a recovery."""

from __future__ import annotations

from typing import Literal, get_args

from paceline.v1.completion_pb2 import (
    ROLE_SYSTEM,
    ROLE_USER,
    GenerationConfig,
    Message,
    Part,
    Prompt,
    Recovery,
    Role,
    Text,
)
from paceline_client.choices import checked

RecoveryName = Literal["none", "hold", "restart", "continue"]


def text_prompt(text: str, *, system: str = "", max_output_token_count: int | None = None) -> Prompt:
    """A prompt of one question, with an instruction before it unless `system` is empty."""
    messages = [_message(ROLE_SYSTEM, system)] if system else []
    messages.append(_message(ROLE_USER, text))
    return Prompt(
        messages=messages,
        config=GenerationConfig(max_output_token_count=max_output_token_count),
    )


def recovery_value(name: RecoveryName) -> Recovery.ValueType:
    """A recovery by its name.

    Raises:
        ValueError: There is none of that name.
    """
    return Recovery.Value(f"RECOVERY_{checked(name, 'recovery', get_args(RecoveryName)).upper()}")


def _message(role: Role.ValueType, text: str) -> Message:
    return Message(role=role, parts=[Part(text=Text(text=text))])
