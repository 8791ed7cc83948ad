"""How long a model may take before another starts beside it, and whether that can be paid for (rules C7, C6).

Who starts then, and what becomes of the slow one, is the overtaking's business.
"""

from __future__ import annotations

from paceline_server.strategies.call import Call
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.model import Model
from paceline_server.strategies.surroundings import Surroundings


class Pace:
    """How long the models of one call may take."""

    def __init__(self, call: Call, surroundings: Surroundings, *, streaming: bool) -> None:
        """Go by what the caller asked for in `call`, else by the configuration."""
        self.streaming = streaming
        self._call = call
        self._surroundings = surroundings

    def delay(self, model: Model) -> float:
        """Seconds, or `NEVER`."""
        asked = self._call.options.overtake_after
        if asked is not None:
            return asked or NEVER
        config = self._surroundings.config
        if config.overtake_quantile is not None:
            observed = self._surroundings.performance.quantile(
                model.targets[0], config.overtake_quantile, streaming=self.streaming
            )
            if observed is not None:
                return observed
        if model.reasons_unseen:
            return config.reasoning_overtake_after or NEVER
        return (config.overtake_after if self.streaming else config.unary_overtake_after) or NEVER

    def take_hedge(self) -> bool:
        """Take a token for a start beside another; tells whether there was one, and the start can be paid."""
        record, surroundings = self._call.record, self._surroundings
        additional_count = (record.whole or record).additional_count
        if additional_count >= surroundings.config.additional_attempts or not surroundings.budget.has_one():
            return False
        return surroundings.hedges.spend()

    def give_back_hedge(self) -> None:
        """Nobody was asked after all."""
        self._surroundings.hedges.give_back()
