"""A chain: models tried head to tail until one answers (rules C1 to C5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from paceline_server.completion.answer import Completion, Target
from paceline_server.strategies.call import Call, Sink, Turn, beside_others
from paceline_server.strategies.course import Ask, Course
from paceline_server.strategies.delivery import Delivery
from paceline_server.strategies.model import Model
from paceline_server.strategies.overtaking import Runner
from paceline_server.strategies.pace import Pace
from paceline_server.strategies.recovery import NOTHING_DELIVERED, delivery_of
from paceline_server.strategies.surroundings import Surroundings


class Chain:
    """An ordered list of models, of at least one."""

    def __init__(self, models: Sequence[Model], surroundings: Surroundings) -> None:
        """Make a chain of `models`."""
        self._models = tuple(models)
        self._surroundings = surroundings
        self.targets: tuple[Target, ...] = tuple(
            dict.fromkeys(target for model in self._models for target in model.targets)
        )

    def __repr__(self) -> str:
        """The models in their order."""
        return f"Chain{self._models!r}"

    @property
    def reasons_unseen(self) -> bool:
        """Whether the first model may think for minutes without sending anything."""
        return self._models[0].reasons_unseen

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to one of the models now."""
        return any(model.ready(call) for model in self._models)

    def can_continue(self, call: Call) -> bool:
        """Whether one of the models can go on with an answer that broke off."""
        return any(model.can_continue(call) for model in self._models)

    async def complete(self, call: Call, turn: Turn) -> Completion:
        """Give the whole answer of the first model that has one; recovers silently."""
        models = self._models

        def ask(position: int, mine: Turn, runner: Runner | None) -> Awaitable[Completion]:
            return models[position].complete(call if runner is None else _call_in(runner, call), mine)

        return await self._course(call, turn, NOTHING_DELIVERED, ask, streaming=False).answer()

    async def stream(self, call: Call, sink: Sink, turn: Turn) -> Completion:
        """Stream the answer of the first model that gives it whole."""
        # One a call: a chain in a chain delivers through its parent's, so nothing is held or joined twice.
        delivery = sink if isinstance(sink, Delivery) else delivery_of(call, sink, self._surroundings.config)
        models = self._models

        def ask(position: int, mine: Turn, runner: Runner | None) -> Awaitable[Completion]:
            if runner is None:
                return models[position].stream(call, delivery, mine)
            return models[position].stream(_call_in(runner, call), runner, mine)

        completion = await self._course(call, turn, delivery, ask, streaming=True).answer()
        return completion if delivery is sink else delivery.whole(completion)

    def _course(self, call: Call, turn: Turn, delivery: Delivery, ask: Ask, *, streaming: bool) -> Course:
        models = self._models
        pace = Pace(call, self._surroundings, streaming=streaming) if len(models) > 1 else None
        return Course(models, call, turn, delivery, ask, self._path_in(turn), list(range(len(models))), pace)

    def _path_in(self, turn: Turn) -> Callable[[int], str]:
        """The place of the model at a position; a chain of one is its model."""
        if len(self._models) == 1:
            return lambda _position: turn.path
        return lambda position: turn.path_of(f"chain[{position}]")


def _call_in(runner: Runner, call: Call) -> Call:
    """The call as a model in a lane gets it: with its own branch of the record."""
    return call.beside_others(call.prompt, runner.record, beside_others(call.options), call.allowances)
