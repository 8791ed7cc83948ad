"""Settings of models: aliases and virtual models, which are chains or races.

What their specs come to is not judged here: that is the catalog's, by the check that `load` is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from paceline_server.settings.problem import SettingPath
from paceline_server.settings.races import Candidates, RaceLimitSettings
from paceline_server.settings.secret import refusal
from paceline_server.settings.section import Section
from paceline_server.settings.strategies import FirstSettings, Strategy, StrategyForms
from paceline_server.settings.values import Kind, Spec, Text
from paceline_server.strategies.racing.spec import RaceSpec


def _not_built(_given: object) -> object:
    raise refusal("this kind of model is not available in this version", "use chain or race, or remove it")


Specs = Annotated[
    tuple[Spec, ...], Kind("list of specs", "a list such as [openai/gpt-4o-mini]"), Field(min_length=1)
]
NotBuilt = Annotated[None, Kind("none", "nothing"), BeforeValidator(_not_built)]


class ModelSettings(Section):
    """An alias (a spec alone) or a virtual model."""

    alias: Spec | None = Field(default=None, description="The spec it stands for; a text alone means this.")
    chain: Specs | None = Field(default=None, description="Specs that are tried head to tail.")
    race: Candidates | None = Field(default=None, description="Up to 16 specs that run side by side.")
    strategy: Strategy | None = Field(
        default=None,
        description="How a race is decided: `first` (the default), `best`, `consensus`, `weighted`, "
        "`quality` or `hedged`.",
    )
    limits: RaceLimitSettings | None = Field(default=None, description="What a race may take.")
    display_name: Text | None = Field(default=None, description="For lists that people read.")
    description: Text | None = Field(default=None, description="For lists that people read.")
    route: NotBuilt = Field(default=None, description="Not available in this version.")
    prefer: NotBuilt = Field(default=None, description="Not available in this version.")

    @model_validator(mode="before")
    @classmethod
    def _from_spec(cls, given: Any) -> Any:
        return {"alias": given} if isinstance(given, str) else given

    @field_validator("strategy", "limits")
    @classmethod
    def _of_a_race(cls, given: Any, info: ValidationInfo) -> Any:
        # `race` stands before them; where that is wrong itself, it is told alone.
        if given is not None and info.data.get("race", ()) is None:
            raise refusal("only a race has it, and this is none", "remove it, or list the models in race")
        return given

    @field_validator("strategy")
    @classmethod
    def _can_be_reached(cls, strategy: StrategyForms | None, info: ValidationInfo) -> StrategyForms | None:
        quorum = strategy.consensus.quorum if strategy and strategy.consensus else None
        race = info.data.get("race")
        if quorum and race and quorum > len(race):
            raise refusal(
                f"the quorum is larger than the race, which has {len(race)} candidates",
                f"write a number from 1 to {len(race)}",
                below=("consensus", "quorum"),
            )
        return strategy

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in ("alias", "chain", "race") if getattr(self, kind) is not None]
        if len(given) > 1:
            several = " and ".join(f"{'an' if kind == 'alias' else 'a'} {kind}" for kind in given)
            raise refusal(f"it is {several} at once", f"keep {' or '.join(given)}")
        if not given:
            raise refusal("there is no model in it", "list at least one, as in chain: [openai/gpt-4o-mini]")
        return self

    @property
    def specs(self) -> tuple[str, ...]:
        """What the name stands for: one spec for an alias, one or more for a chain or a race."""
        return tuple(spec for _, spec in self._models())

    @property
    def judge(self) -> str:
        """The spec of the judge; empty if nobody judges."""
        return self.to_race().rule.judge_model if self.race else ""

    def placed_specs(self) -> Iterator[tuple[SettingPath, str]]:
        """Every spec in it, that of the judge too, with its path below the model's own."""
        yield from self._models()
        if self.strategy and self.strategy.judge:
            path, spec = self.strategy.judge
            yield ("strategy", *path), spec

    def to_race(self) -> RaceSpec:
        """For the assembly, where it is a race."""
        return RaceSpec(
            tuple(candidate.to_candidate() for candidate in self.race or ()),
            (self.strategy or _FIRST).to_rule(),
            (self.limits or RaceLimitSettings()).to_limits(),
        )

    def _models(self) -> Iterator[tuple[SettingPath, str]]:
        if self.alias is not None:
            yield (), self.alias
        for index, spec in enumerate(self.chain or ()):
            yield ("chain", index), spec
        for index, candidate in enumerate(self.race or ()):
            yield ("race", index), candidate.model


_FIRST = StrategyForms(first=FirstSettings())
