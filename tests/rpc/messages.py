"""Any message of the contract, drawn by its descriptor, with values from the edges of its fields."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

TEXTS = (
    st.text(max_size=8)
    | st.sampled_from(
        ["", "{}", '{"type": "object"}', '{"model": 1}', "[", "test/a", "https://host/x", "find"]
    )
    | st.integers(60, 1100).map(lambda length: "é" * length)
)
INT32 = st.sampled_from([-(2**31), -1, 0, 1, 8, 9, 64, 4096, 4097, 2**31 - 1])
INT64 = st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1])
NANOS = st.sampled_from([-(2**31), -999_999_999, -1, 0, 1, 999_999, 1_000_000, 999_999_999, 2**31 - 1])
DOUBLES = st.floats() | st.sampled_from([0.0, 1.0, 2.0, -2.0])

_DEEPEST = 5


def messages(descriptor: Any, depth: int = _DEEPEST) -> st.SearchStrategy[Any]:
    """Messages of one type."""
    kind = GetMessageClass(descriptor)
    fields = {
        field.name: _values(field, depth) for field in descriptor.fields if depth or not field.message_type
    }
    if descriptor.full_name == "google.protobuf.Duration":
        fields["nanos"] = NANOS
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: kind(**values))


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    message: Descriptor | None = field.message_type
    if message is not None and message.GetOptions().map_entry:
        value = message.fields_by_name["value"]
        return st.dictionaries(TEXTS, _single(value, depth), max_size=3)
    single = _single(field, depth)
    return st.lists(single, max_size=3) if field.is_repeated else single


def _single(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        message = field.message_type
        return st.deferred(lambda: messages(message, depth - 1))
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return st.binary(max_size=8) if field.type == FieldDescriptor.TYPE_BYTES else TEXTS
        case FieldDescriptor.CPPTYPE_ENUM:
            kind: Any = field.enum_type
            return st.sampled_from([value.number for value in kind.values]) | INT32
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return DOUBLES
        case FieldDescriptor.CPPTYPE_INT64:
            return INT64
        case _:
            return INT32
