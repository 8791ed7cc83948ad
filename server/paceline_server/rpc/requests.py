"""From a ChainRequest to what the engines take: the spec, the prompt and the options."""

from __future__ import annotations

from paceline.v1 import chain_pb2
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.rpc import enums
from paceline_server.rpc.call_context import check_context
from paceline_server.rpc.prompts import decode_prompt
from paceline_server.rpc.violations import Violations
from paceline_server.strategies.call import ChainOptions, Recovery

SHORTEST_TIMEOUT = 0.001
LONGEST_TIMEOUT = 86_400.0
MAXIMUM_HOLD_TOKEN_COUNT = 4096
MAXIMUM_RETRY_COUNT = 8
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
        Refused: The caller counts on something that this version does not do.
    """
    violations = Violations()
    prompt = decode_prompt(wire.prompt, "prompt", violations)
    options = _options(wire.options, "options", violations) if wire.HasField("options") else UNSET_OPTIONS
    check_context(wire, violations)
    return ChainCall(wire.model, prompt, options)


def _options(wire: chain_pb2.ChainOptions, path: str, violations: Violations) -> ChainOptions:
    def seconds(name: str) -> float | None:
        return violations.seconds(wire, name, path, SHORTEST_TIMEOUT, LONGEST_TIMEOUT)

    # Zero is a value of its own: it switches overtaking off.
    shortest = SHORTEST_TIMEOUT if wire.overtake_after.seconds or wire.overtake_after.nanos else 0.0
    overtake_after = violations.seconds(wire, "overtake_after", path, shortest, LONGEST_TIMEOUT)
    return ChainOptions(
        recovery=violations.choice(wire.recovery, enums.RECOVERY, f"{path}.recovery") or Recovery.RESTART,
        hold_token_count=violations.number(wire, "hold_token_count", path, 0, MAXIMUM_HOLD_TOKEN_COUNT),
        transient_retry_count=violations.number(wire, "transient_retry_count", path, 0, MAXIMUM_RETRY_COUNT),
        advance_on_permanent=wire.advance_on_permanent,
        first_content_timeout=seconds("first_content_timeout"),
        gap_timeout=seconds("gap_timeout"),
        attempt_timeout=seconds("attempt_timeout"),
        overtake_after=overtake_after,
    )
