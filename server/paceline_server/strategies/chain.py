"""A chain: models tried head to tail until one answers (rules C1 to C5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from paceline_server.completion.answer import Completion, Target
from paceline_server.strategies.call import AttemptConfig, Call, Sink, Turn
from paceline_server.strategies.course import Ask, Course
from paceline_server.strategies.delivery import NOTHING_DELIVERED, Delivery, delivery_of
from paceline_server.strategies.model import Model


class Chain:
    """An ordered list of models, of at least one."""

    def __init__(self, models: Sequence[Model], config: AttemptConfig) -> None:
        """Make a chain of `models`."""
        self._models = tuple(models)
        self._config = config
        self.targets: tuple[Target, ...] = tuple(
            dict.fromkeys(target for model in self._models for target in model.targets)
        )

    def __repr__(self) -> str:
        """The models in their order."""
        return f"Chain{self._models!r}"

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to one of the models now."""
        return any(model.ready(call) for model in self._models)

    def can_continue(self, call: Call) -> bool:
        """Whether one of the models can go on with an answer that broke off."""
        return any(model.can_continue(call) for model in self._models)

    async def complete(self, call: Call, turn: Turn) -> Completion:
        """Give the whole answer of the first model that has one; recovers silently."""
        models = self._models

        def ask(position: int, mine: Turn) -> Awaitable[Completion]:
            return models[position].complete(call, mine)

        return await self._course(call, turn, NOTHING_DELIVERED, ask).answer()

    async def stream(self, call: Call, sink: Sink, turn: Turn) -> Completion:
        """Stream the answer of the first model that gives it whole."""
        # One a call: a chain in a chain delivers through its parent's, so nothing is held or joined twice.
        delivery = sink if isinstance(sink, Delivery) else delivery_of(call, sink, self._config)
        models = self._models

        def ask(position: int, mine: Turn) -> Awaitable[Completion]:
            return models[position].stream(call, delivery, mine)

        completion = await self._course(call, turn, delivery, ask).answer()
        return completion if delivery is sink else delivery.whole(completion)

    def _course(self, call: Call, turn: Turn, delivery: Delivery, ask: Ask) -> Course:
        return Course(self._models, call, turn, delivery, ask, self._path_in(turn))

    def _path_in(self, turn: Turn) -> Callable[[int], str]:
        """The place of the model at a position; a chain of one is its model."""
        if len(self._models) == 1:
            return lambda _position: turn.path
        return lambda position: turn.path_of(f"chain[{position}]")
