"""What a race may still take: every start reserves the most that it can cost, before it is made (rule R9).

Counts money, tokens and starts of all attempts of a race, judges included. Whether to start, and what a
refusal means for a candidate, is decided elsewhere; so is the limit on time.
"""

from __future__ import annotations

from collections.abc import Sequence

from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import Usage
from paceline_server.providers.base import Profile
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.outlay import Outlay


@immutable(frozen=True, slots=True)
class LimitReached:
    """A limit of the race forbids a start.

    Attributes:
        limit: The field of the limits.
        message: What is wrong and how to mend it.
        of_target: This target cannot be held to the limit; another may be. Else the limit is used up.
    """

    limit: str
    message: str
    of_target: bool = False

    def __str__(self) -> str:
        """The sentence."""
        return self.message


class Allowance:
    """The limits of one race, and what its attempts have reserved and used of them.

    What is reserved and used never exceeds the limits together, in whatever order attempts start and end, as
    long as none uses more than it reserved: the input is estimated, the output is held to the reservation.

    Attributes:
        starts_due: How many first starts are about to be made side by side; set before them. Those that set
            no maximum of output tokens share what is left. Each counts it down, made or refused.
        started_count: Calls of providers that were made.
        cost_nano_usd: What is reserved and used, in 1e-9 USD.
        output_token_count: What is reserved and used.
    """

    __slots__ = ("_limits", "cost_nano_usd", "output_token_count", "started_count", "starts_due")

    def __init__(self, limits: RaceLimits) -> None:
        """Start with all that `limits` allow."""
        self._limits = limits
        self.starts_due = 0
        self.started_count = 0
        self.cost_nano_usd = 0
        self.output_token_count = 0

    def most_output(self, outlay: Outlay) -> int | LimitReached | None:
        """How many output tokens the start may have; None if they are bounded by no limit of the race."""
        limits = self._limits
        if limits.max_started_count is not None and self.started_count >= limits.max_started_count:
            return _used_up("max_started_count", "no further call of a provider")
        if limits.max_cost_nano_usd is not None and outlay.price is None:
            return _UNPRICED
        if outlay.sets_maximum and (limits.max_cost_nano_usd, limits.max_output_token_count) != (None, None):
            return _UNBOUNDED
        for sharer_count in range(self._sharer_count(outlay), 1, -1):
            most = min(self._shares(outlay, sharer_count), default=None)
            if most != 0:
                return most
        return self._whole_rest(outlay)

    def _whole_rest(self, outlay: Outlay) -> int | LimitReached | None:
        """What is left for one start, where no other is due or a share of it would be too little."""
        shares = self._shares(outlay, 1)
        if 0 not in shares:
            return min(shares, default=None)
        if self._limits.max_output_token_count is not None and shares[0] == 0:
            return _used_up("max_output_token_count", "no token of an answer")
        return _used_up("max_cost_nano_usd", "too little for the prompt and one token of an answer")

    def take(self, cost_nano_usd: int, output_token_count: int) -> None:
        """Reserve more, or with negative amounts give back."""
        self.cost_nano_usd += cost_nano_usd
        self.output_token_count += output_token_count

    def _sharer_count(self, outlay: Outlay) -> int:
        """Among how many starts the rest is to be divided, this one included."""
        if outlay.is_bounded:
            return 1
        return max(1, self.starts_due + (not outlay.is_first))

    def _shares(self, outlay: Outlay, sharer_count: int) -> list[int]:
        """How many output tokens its share of the tokens permits, and its share of the money, if limited."""
        limits, shares = self._limits, []
        if limits.max_output_token_count is not None:
            shares.append(max(0, limits.max_output_token_count - self.output_token_count) // sharer_count)
        if limits.max_cost_nano_usd is not None:
            share = (limits.max_cost_nano_usd - self.cost_nano_usd) // sharer_count
            affordable = outlay.affordable(share)
            if affordable is not None:
                shares.append(affordable)
        return shares


class Reservation:
    """What one start has reserved.

    Attributes:
        max_output_token_count: What its answer must be held to; None if no limit depends on it.
    """

    __slots__ = ("_allowances", "_cost_nano_usd", "_output_token_count", "max_output_token_count")

    def __init__(
        self,
        allowances: Sequence[Allowance],
        cost_nano_usd: int,
        output_token_count: int,
        *,
        held_to: int | None,
    ) -> None:
        """Take so much of each of `allowances`."""
        self.max_output_token_count = held_to
        self._allowances = allowances
        self._cost_nano_usd = 0
        self._output_token_count = 0
        for allowance in allowances:
            allowance.started_count += 1
        self._replace(cost_nano_usd, output_token_count)

    def settle(self, usage: Usage | None) -> None:
        """Replace it by what was used; None: nothing was. What is known last counts."""
        if usage is None:
            self._replace(0, 0)
        else:
            self._replace(usage.cost_nano_usd or 0, usage.output_token_count)

    def give_back(self) -> None:
        """Nothing was started after all."""
        self._replace(0, 0)
        for allowance in self._allowances:
            allowance.started_count -= 1

    def _replace(self, cost_nano_usd: int, output_token_count: int) -> None:
        for allowance in self._allowances:
            allowance.take(cost_nano_usd - self._cost_nano_usd, output_token_count - self._output_token_count)
        self._cost_nano_usd, self._output_token_count = cost_nano_usd, output_token_count


def reserve(
    allowances: Sequence[Allowance], provider: str, profile: Profile, prompt: Prompt, *, first: bool
) -> Reservation | LimitReached:
    """Reserve the most that sending `prompt` to a target can take, of all `allowances` or of none.

    Args:
        allowances: Of the races that the start belongs to.
        provider: The target's.
        profile: Likewise.
        prompt: As the target takes it.
        first: It is the first start of a candidate.
    """
    outlay = Outlay.of(provider, profile, prompt, first=first)
    bounds = []
    for allowance in allowances:
        bound = allowance.most_output(outlay)
        if isinstance(bound, LimitReached):
            if first and not bound.of_target:
                _count_down(allowances)
            return bound
        if bound is not None:
            bounds.append(bound)
    if first:
        _count_down(allowances)
    most = outlay.max_output_token_count
    if not bounds:
        return Reservation(allowances, outlay.cost_nano_usd(most or 0), most or 0, held_to=None)
    most = min(bounds) if most is None else min(most, *bounds)
    return Reservation(allowances, outlay.cost_nano_usd(most), most, held_to=most)


def _count_down(allowances: Sequence[Allowance]) -> None:
    for allowance in allowances:
        allowance.starts_due = max(0, allowance.starts_due - 1)


_UNPRICED = LimitReached(
    "max_cost_nano_usd",
    "the price of the target is not known, so that limits.max_cost_nano_usd could not be kept; "
    "configure a price, or leave the limit out",
    of_target=True,
)


_UNBOUNDED = LimitReached(
    "max_output_token_count",
    "prompt.provider_options_json sets the most output tokens itself, so that the limits of the race could "
    "not be kept; use prompt.config.max_output_token_count",
    of_target=True,
)


def _used_up(limit: str, what: str) -> LimitReached:
    return LimitReached(limit, f"limits.{limit} leaves {what}; raise it")
