"""Which delivery a call's answer gets, by the recovery that its caller wants (rule C5)."""

from __future__ import annotations

from paceline_server.completion.attempt import CallEvent
from paceline_server.completion.prompt import Prompt, ResponseFormatKind
from paceline_server.strategies.call import AttemptConfig, Call, Recovery, Sink
from paceline_server.strategies.delivery import Delivery


def delivery_of(call: Call, sink: Sink, config: AttemptConfig) -> Delivery:
    """The delivery of a call's answer to `sink`, with the recovery that its caller wants."""
    recovery, hold = call.options.recovery, call.options.hold_token_count
    if recovery is Recovery.CONTINUE and not _may_be_joined(call.prompt):
        recovery = Recovery.RESTART
    return Delivery(sink, recovery, config.hold_token_count if hold is None else hold)


def _may_be_joined(prompt: Prompt) -> bool:
    """Whether an answer of several hands can be right: where a form is enforced, each would begin it anew."""
    wanted = prompt.response_format
    return wanted is None or wanted.kind is ResponseFormatKind.TEXT


async def _ignore(_event: CallEvent) -> None:
    """A unary call delivers nothing before its end."""


NOTHING_DELIVERED = Delivery(_ignore, Recovery.RESTART, 0)
"""What a unary call has delivered until then; nothing is ever put into it."""
