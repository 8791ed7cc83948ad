"""Puts messages into words: enum values without their prefix, targets, JSON, amounts of money.

For logs and terminals; whoever needs a value to decide by takes it from the message itself.
"""

from __future__ import annotations

import re
from decimal import Decimal

from google.protobuf import json_format
from google.protobuf.message import Message

from paceline.v1.completion_pb2 import Target, Usage

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NANO = Decimal("1e-9")


def enum_word(message: Message, field: str) -> str:
    """The value of an enum field as a bare word: "RATE_LIMITED". Unset: ""; unknown: its number.

    >>> enum_word(Attempt(failure_class=FAILURE_CLASS_QUOTA), "failure_class")
    'QUOTA'
    """
    number = getattr(message, field)
    kind = message.DESCRIPTOR.fields_by_name[field].enum_type
    if number == 0 or kind is None:
        return ""
    known = kind.values_by_number.get(number)
    return str(number) if known is None else known.name.removeprefix(_HUMP.sub("_", kind.name).upper() + "_")


def target_spec(target: Target) -> str:
    """A target as specs write it: "provider/model"."""
    return f"{target.provider}/{target.model}"


def parse_target(spec: str) -> Target:
    """The target that `spec` writes; "provider/" is the whole provider, where a method takes that.

    Raises:
        ValueError: There is no provider, or no "/".
    """
    provider, slash, model = spec.partition("/")
    if not provider or not slash:
        raise ValueError(f"{spec!r} is not written provider/model")
    return Target(provider=provider, model=model)


def one_line_json(message: Message) -> str:
    """The JSON form of a message, in one line, with protobuf's JSON names."""
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False)


def dollars(nano_usd: int) -> str:
    """An amount in dollars, exact but without trailing zeros: "$0.00042"."""
    amount = f"{nano_usd * _NANO:f}"
    whole, _, fraction = amount.partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def usage_words(usage: Usage) -> str:
    """What was consumed: "12 input + 40 output tokens, $0.0012 (estimated)"."""
    state = enum_word(usage, "state")
    if state == "UNKNOWN" and not (usage.input_token_count or usage.output_token_count):
        return "usage unknown"
    tokens = f"{usage.input_token_count} input + {usage.output_token_count} output tokens"
    cost = dollars(usage.cost_nano_usd) if usage.HasField("cost_nano_usd") else "no known price"
    doubt = {"ESTIMATED": " (estimated)", "UNKNOWN": " (incomplete)"}.get(state, "")
    return f"{tokens}, {cost}{doubt}"
