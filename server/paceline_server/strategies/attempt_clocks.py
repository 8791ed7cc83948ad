"""The clocks of one attempt, from what the call, its turn and the target's profile say (rule A1)."""

from __future__ import annotations

from collections.abc import Callable

from paceline_server.completion.immutable import immutable
from paceline_server.providers.base import Profile
from paceline_server.strategies.call import AttemptConfig, Call, Turn
from paceline_server.strategies.clock import NEVER


@immutable(frozen=True, slots=True)
class Clocks:
    """The moments and lengths that bound one attempt, on the loop's clock, in seconds.

    Attributes:
        beside: While it tells that nobody else could answer, the first two end nothing.
    """

    first_content_at: float
    attempt_at: float
    gap: float
    beside: Callable[[], bool] | None = None


def clocks(call: Call, turn: Turn, profile: Profile, config: AttemptConfig, now: float) -> Clocks:
    """The clocks of an attempt that starts at `now` (rule A1).

    The last target that is left has the caller's whole remaining time; each other at most its share of it.
    """
    slow = profile.reasons_unseen
    options = call.options
    first = options.first_content_timeout
    if first is None:
        first = config.reasoning_first_content_timeout if slow else config.first_content_timeout
    whole = options.attempt_timeout
    if whole is None:
        whole = config.reasoning_attempt_timeout if slow else config.attempt_timeout
    gap = options.gap_timeout
    if gap is None:
        gap = config.reasoning_gap_timeout if slow else config.gap_timeout
    if turn.untried == 0 and turn.beside is None:
        return Clocks(NEVER, NEVER, gap)
    share = max(config.shortest_share, (call.deadline - now) / (turn.untried + 1))
    return Clocks(now + min(first, share), now + min(whole, share), gap, turn.beside)
