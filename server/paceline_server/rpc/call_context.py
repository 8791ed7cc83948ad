"""What a caller says of himself and of the purpose of a call, in every request that takes it."""

from __future__ import annotations

from paceline.v1 import chain_pb2, completion_pb2, race_pb2
from paceline_server.completion.errors import ErrorReason, Refused
from paceline_server.rpc.bounds import check_count
from paceline_server.rpc.violations import Violations

MAXIMUM_LABEL_COUNT = 16
MAXIMUM_CAPABILITY_COUNT = 100
MAXIMUM_NAME_BYTES = 128
MAXIMUM_TASK_TYPE_BYTES = 64
MAXIMUM_LABEL_VALUE_BYTES = 256


def check_context(request: chain_pb2.ChainRequest | race_pb2.RaceRequest, violations: Violations) -> None:
    """Check the context, as the last field of a request, and raise what has been found in all of them.

    Raises:
        InvalidRequest: Fields are wrong; all of them are told.
        InvalidSpec: Nothing is wrong but specs; all of them are told.
        Refused: The caller counts on something that this version does not do.
    """
    context = request.context if request.HasField("context") else None
    if context is not None:
        _check_fields(context, "context", violations)
    violations.check()
    if context is not None:
        _check_promises(context, "context")


def _check_fields(wire: completion_pb2.CallContext, path: str, violations: Violations) -> None:
    violations.at_most_bytes(wire.caller_id, MAXIMUM_NAME_BYTES, f"{path}.caller_id")
    violations.at_most_bytes(wire.task_type, MAXIMUM_TASK_TYPE_BYTES, f"{path}.task_type")
    violations.at_most_bytes(wire.idempotency_key, MAXIMUM_NAME_BYTES, f"{path}.idempotency_key")
    for name, known in (
        ("complexity", completion_pb2.Complexity.values()),
        ("prefer", completion_pb2.Preference.values()),
    ):
        if getattr(wire, name) not in known:
            violations.add(f"{path}.{name}", f"is {getattr(wire, name)}, which this version does not know")
    needed = wire.required_capabilities
    few = check_count(needed, MAXIMUM_CAPABILITY_COUNT, f"{path}.required_capabilities", violations)
    for index, capability in enumerate(needed if few else ()):
        if capability not in completion_pb2.Capability.values() or not capability:
            violations.add(f"{path}.required_capabilities[{index}]", f"is {capability}: no capability")
    if not check_count(wire.labels, MAXIMUM_LABEL_COUNT, f"{path}.labels", violations):
        return
    for key, value in wire.labels.items():
        if not key:
            violations.add(f"{path}.labels", "has an empty key; name the label")
        violations.at_most_bytes(key, MAXIMUM_TASK_TYPE_BYTES, f"{path}.labels")
        violations.at_most_bytes(value, MAXIMUM_LABEL_VALUE_BYTES, f"{path}.labels[{key!r}]")


def _check_promises(wire: completion_pb2.CallContext, path: str) -> None:
    """Refuse what would be a broken promise if it were passed over in silence.

    Raises:
        Refused: The caller counts on something that this version does not do.
    """
    if wire.idempotency_key:
        raise Refused(
            ErrorReason.UNIMPLEMENTED,
            f"{path}.idempotency_key: repeated requests are not recognised in this version; leave it empty",
        )
    if wire.required_capabilities:
        raise Refused(
            ErrorReason.UNIMPLEMENTED,
            f"{path}.required_capabilities: what targets can do is not known in this version; leave it empty",
        )
