"""From a ChainRequest to what the engines take: the spec, the prompt and the options."""

from __future__ import annotations

from paceline.v1 import chain_pb2, completion_pb2
from paceline_server.completion.errors import ErrorReason, Refused
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.rpc import enums
from paceline_server.rpc.bounds import check_count
from paceline_server.rpc.prompts import decode_prompt
from paceline_server.rpc.violations import Violations
from paceline_server.strategies.call import ChainOptions, Recovery

SHORTEST_TIMEOUT = 0.001
LONGEST_TIMEOUT = 86_400.0
MAXIMUM_HOLD_TOKEN_COUNT = 4096
MAXIMUM_RETRY_COUNT = 8
MAXIMUM_LABEL_COUNT = 16
MAXIMUM_CAPABILITY_COUNT = 100
MAXIMUM_NAME_BYTES = 128
MAXIMUM_TASK_TYPE_BYTES = 64
MAXIMUM_LABEL_VALUE_BYTES = 256
UNSET_OPTIONS = ChainOptions()


@immutable(frozen=True, slots=True)
class ChainCall:
    """A decoded request."""

    spec: str
    prompt: Prompt
    options: ChainOptions


def decode_chain_request(wire: chain_pb2.ChainRequest) -> ChainCall:
    """Decode and check a request.

    Raises:
        InvalidRequest: Fields are wrong; all of them are told.
    """
    violations = Violations()
    prompt = decode_prompt(wire.prompt, "prompt", violations)
    options = _options(wire.options, "options", violations) if wire.HasField("options") else UNSET_OPTIONS
    context = wire.context if wire.HasField("context") else None
    if context is not None:
        _check_context(context, "context", violations)
    violations.check()
    if context is not None:
        _check_promises(context, "context")
    return ChainCall(wire.model, prompt, options)


def _options(wire: chain_pb2.ChainOptions, path: str, violations: Violations) -> ChainOptions:
    def seconds(name: str) -> float | None:
        return violations.seconds(wire, name, path, SHORTEST_TIMEOUT, LONGEST_TIMEOUT)

    # Zero is a value of its own: it switches overtaking off.
    shortest = SHORTEST_TIMEOUT if wire.overtake_after.seconds or wire.overtake_after.nanos else 0.0
    violations.seconds(wire, "overtake_after", path, shortest, LONGEST_TIMEOUT)
    return ChainOptions(
        recovery=violations.choice(wire.recovery, enums.RECOVERY, f"{path}.recovery") or Recovery.RESTART,
        hold_token_count=violations.number(wire, "hold_token_count", path, 0, MAXIMUM_HOLD_TOKEN_COUNT),
        transient_retry_count=violations.number(wire, "transient_retry_count", path, 0, MAXIMUM_RETRY_COUNT),
        advance_on_permanent=wire.advance_on_permanent,
        first_content_timeout=seconds("first_content_timeout"),
        gap_timeout=seconds("gap_timeout"),
        attempt_timeout=seconds("attempt_timeout"),
    )


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


def _check_context(wire: completion_pb2.CallContext, path: str, violations: Violations) -> None:
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
