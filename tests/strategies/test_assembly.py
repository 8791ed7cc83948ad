"""From specs to models: what is shared and what is kept."""

from __future__ import annotations

import random

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import PacelineError
from paceline_server.health.budget import AttemptBudget
from paceline_server.health.registry import HealthRegistry
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.routing.catalog import Catalog
from paceline_server.routing.performance import Performance
from paceline_server.strategies.assembly import KEPT_SPEC_COUNT, Assembly
from paceline_server.strategies.call import AttemptConfig
from paceline_server.strategies.surroundings import Surroundings
from tests.as_given import AsGiven
from tests.routing.names import alias, catalog, chain


def assembly(names: Catalog) -> Assembly:
    """An assembly over simulated providers that offer nothing."""
    providers = {name: SimulatedProvider(name, {}, seed=1) for name in ("p", "q")}
    surroundings = Surroundings(
        HealthRegistry(),
        AttemptBudget(),
        AttemptConfig(),
        random.Random(1),
        AsGiven(),
        Performance(),
        AttemptBudget(),
    )
    return Assembly(names, providers, surroundings)


def test_a_spec_is_assembled_once_and_shared() -> None:
    """Assembly: models hold no state of a call, so calls of one spec share one."""
    made = assembly(catalog(default_model="p/1", fast=alias("p/1")))
    assert made.model("fast") is made.model("fast")
    assert made.model("") is made.model("")
    assert made.model("p/1,q/2").targets == (Target("p", "1"), Target("q", "2"))


def test_callers_who_write_ever_new_specs_do_not_fill_the_memory() -> None:
    """Assembly: at most so many specs are kept; beyond them the oldest is assembled anew."""
    made = assembly(catalog())
    first = made.model("p/first")
    for index in range(KEPT_SPEC_COUNT):
        made.model(f"p/{index}")
    assert made.model("p/first") is not first
    assert made.model(f"p/{KEPT_SPEC_COUNT - 1}") is made.model(f"p/{KEPT_SPEC_COUNT - 1}")


def test_no_configured_name_is_assembled_anew_however_many_there_are() -> None:
    """Assembly: the bound is for what callers write; names that are asked for in turn are all kept."""
    names = {f"name-{index}": alias(f"p/{index}") for index in range(2 * KEPT_SPEC_COUNT)}
    made = assembly(catalog(names))
    models = [made.model(name) for name in names]
    assert all(made.model(name) is model for name, model in zip(names, models, strict=True))


def test_names_of_the_same_targets_share_a_model() -> None:
    """Assembly: what ten thousand names of one target hold is one model; another order is another."""
    made = assembly(catalog(one=chain("p/1", "q/2"), other=chain("p/1", "q/2"), reverse=chain("q/2", "p/1")))
    assert made.model("one") is made.model("other")
    assert made.model("one") is not made.model("reverse")


def test_a_spec_that_cannot_be_used_is_not_kept() -> None:
    """Assembly: an error leaves nothing behind, and comes again for the next caller."""
    made = assembly(catalog())
    for _ in range(2):
        with pytest.raises(PacelineError):
            made.model("nobody/1")
