"""How races are assembled: those of the configuration, those of requests, and what a request may replace."""

from __future__ import annotations

import random

import pytest

from paceline_server.completion.errors import InvalidSpec, ModelNotFound
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.health.budget import AttemptBudget
from paceline_server.health.registry import HealthRegistry
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.routing.catalog import Catalog, Definition
from paceline_server.routing.performance import Performance
from paceline_server.strategies.assembly import KEPT_SPEC_COUNT, Assembly
from paceline_server.strategies.call import AttemptConfig
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.model import Model
from paceline_server.strategies.race import Race
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from paceline_server.strategies.racing.weighted import Weighted
from paceline_server.strategies.surroundings import Surroundings
from tests.as_given import AsGiven
from tests.routing.names import alias, chain, race

JUDGED = Best(Scorer.JUDGE, "both")


def spec_of(*models: str, rule: Rule | None = None, limits: RaceLimits = NO_LIMITS) -> RaceSpec:
    """A race as it is asked for."""
    return RaceSpec(tuple(map(CandidateSpec, models)), rule or First(), limits)


RACES = {
    "quick": spec_of("both", "p/3", limits=RaceLimits(max_cost_nano_usd=5, max_started_count=3)),
    "judged": spec_of("p/1", "p/1", rule=JUDGED),
    "late": RaceSpec(
        (CandidateSpec("quick", GenerationConfig(seed=1), 7), CandidateSpec("p/9,judged")), Weighted()
    ),
}
OTHERS = {
    "both": chain("p/1", "p/2"),
    "again": alias("quick"),
    "fast": alias("p/1"),
    "after": chain("p/8,quick"),
}


def assembly() -> Assembly:
    """An assembly of the names above over one provider that offers nothing."""
    named: dict[str, Definition] = {
        name: race(*(one.model for one in spec.candidates), judge=spec.rule.judge_model)
        for name, spec in RACES.items()
    }
    surroundings = Surroundings(
        HealthRegistry(),
        AttemptBudget(),
        AttemptConfig(),
        random.Random(1),
        AsGiven(),
        Performance(),
        AttemptBudget(),
    )
    catalog = Catalog({**OTHERS, **named}, frozenset({"p"}), default_model="quick")
    return Assembly(catalog, {"p": SimulatedProvider("p", {}, seed=1)}, surroundings, RACES)


def targets(model: Model | None) -> str:
    """The targets of a model as a spec."""
    assert model is not None
    return ",".join(map(str, model.targets))


def test_a_race_alone_is_the_race_itself() -> None:
    """R1: whatever name it goes by, it is the same race; its candidates are chains, so that they retry."""
    made = assembly()
    quick = made.model("quick")
    assert isinstance(quick, Race)
    assert made.model("again") is made.model("") is made.model("quick,again") is quick
    assert all(isinstance(candidate.model, Chain) for candidate in quick.candidates)
    assert [targets(candidate.model) for candidate in quick.candidates] == ["p/1,p/2", "p/3"]
    assert (quick.plan.rule, quick.plan.limits, quick.plan.judge) == (First(), RACES["quick"].limits, None)


def test_a_race_in_a_chain_is_one_of_its_models() -> None:
    """A chain whose second element is a race: everything is a model."""
    after = assembly().model("after")
    assert isinstance(after, Chain)
    assert targets(after) == "p/8,p/1,p/2,p/3"


def test_candidates_may_be_races_and_have_settings_of_their_own() -> None:
    """R1: a race of races and chains of races; settings and priority stay with the candidate."""
    made = assembly()
    late = made.model("late")
    assert isinstance(late, Race)
    first, second = late.candidates
    assert (first.spec, first.config, first.priority) == ("quick", GenerationConfig(seed=1), 7)
    assert first.model is made.model("quick")
    assert isinstance(second.model, Chain)
    assert targets(second.model) == "p/9,p/1"


def test_the_same_candidate_twice_shares_its_model() -> None:
    """R1: candidates are known by index, so the same model may run twice."""
    judged = assembly().model("judged")
    assert isinstance(judged, Race)
    assert [candidate.spec for candidate in judged.candidates] == ["p/1", "p/1"]
    assert judged.candidates[0].model is judged.candidates[1].model


def test_the_judge_is_a_model_like_any_other() -> None:
    """R5: the judge is resolved from its spec, in a configured race and in that of a request."""
    made = assembly()
    judged = made.model("judged")
    assert isinstance(judged, Race)
    assert judged.plan.judge is made.model("both")
    assert made.race(spec_of("p/1", rule=JUDGED)).plan.judge is made.model("both")


def test_the_race_of_a_request_shares_the_models_of_its_candidates() -> None:
    """RaceRequest.candidates: any specs; the race itself is the request's own."""
    made = assembly()
    limits = RaceLimits(max_started_count=2)
    asked = made.race(spec_of("fast", "quick", "p/1", rule=Weighted(), limits=limits))
    assert [candidate.model for candidate in asked.candidates] == [
        made.model("p/1"),
        made.model("quick"),
        made.model("p/1"),
    ]
    assert (asked.plan.rule, asked.plan.limits) == (Weighted(), limits)
    assert made.race(spec_of("fast")) is not made.race(spec_of("fast"))


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        (spec_of("p/1", "p/"), "candidates[1].model", "names no model"),
        (spec_of("p/1", " "), "candidates[1].model", "the spec is empty"),
        (
            spec_of("p/1", rule=Best(Scorer.JUDGE, "a b")),
            "strategy.best.scorer.judge.model",
            "no valid name",
        ),
        (
            spec_of("p/1", rule=Consensus(Equivalence.JUDGE, judge="p/")),
            "strategy.consensus.judge_model",
            "names no model",
        ),
        (spec_of(), "model", "the race has 0 candidates"),
        (spec_of(*["p/1"] * 17), "model", "the race has 17 candidates"),
        (spec_of(*[",".join(f"p/{i}" for i in range(33))] * 2), "model", "the race comes to 66 targets"),
        (
            spec_of(*[",".join(f"p/{i}" for i in range(32))] * 2, rule=Best(Scorer.JUDGE, "fast")),
            "model",
            "the race comes to 65 targets",
        ),
    ],
)
def test_what_is_wrong_with_the_race_of_a_request_names_its_field(
    spec: RaceSpec, field: str, said: str
) -> None:
    """R1: judged at the door, with the field of the request."""
    with pytest.raises(InvalidSpec, match=said) as caught:
        assembly().race(spec)
    assert caught.value.violations[0].field == field


def test_an_unknown_candidate_or_judge_of_a_request_is_not_found() -> None:
    """MODEL_NOT_FOUND before anything is called."""
    for spec in (spec_of("p/1", "nobody"), spec_of("p/1", rule=Best(Scorer.JUDGE, "nobody"))):
        with pytest.raises(ModelNotFound, match="'nobody' is not configured"):
            assembly().race(spec)


def test_a_named_race_is_that_of_the_configuration() -> None:
    """RaceRequest.model: where a request sets nothing else, the configured race answers as it is."""
    made = assembly()
    assert made.race_named("quick") is made.race_named("again", None, NO_LIMITS) is made.model("quick")
    assert made.race_named("quick", First(), RaceLimits(max_started_count=3)) is made.model("quick")


def test_a_request_replaces_the_strategy_and_the_limits_that_it_sets() -> None:
    """RaceRequest.strategy, limits: those of the virtual model apply where the request sets none."""
    made = assembly()
    limited = made.race_named("again", None, RaceLimits(max_started_count=0, decision_timeout=2.0))
    assert limited.plan.limits == RaceLimits(max_cost_nano_usd=5, max_started_count=0, decision_timeout=2.0)
    assert limited.plan.rule == First()
    judged = made.race_named("quick", JUDGED, None)
    assert (judged.plan.rule, judged.plan.judge) == (JUDGED, made.model("both"))
    assert judged.plan.limits == RACES["quick"].limits
    assert [one.model for one in judged.candidates] == [
        one.model for one in made.race_named("quick").candidates
    ]
    assert made.race_named("judged", Weighted()).plan.judge is None


def test_a_request_that_replaces_something_assembles_no_candidate_anew() -> None:
    """Assembly: the candidates of a kept race are kept with it, whatever callers have written since."""
    made = assembly()
    kept = made.model("quick")
    assert isinstance(kept, Race)
    for index in range(2 * KEPT_SPEC_COUNT):
        made.model(f"p/{index}")
        made.model("quick")
    named = made.race_named("quick", Weighted())
    assert all(mine.model is its.model for mine, its in zip(named.candidates, kept.candidates, strict=True))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fast", "'fast' is a target, not a race; list the models in `candidates`"),
        ("p/1", "'p/1' is a target"),
        ("both", "'both' is a chain"),
        ("quick,p/1", "'quick,p/1' is a chain"),
        ("", "no race was named"),
    ],
)
def test_a_name_that_is_no_race_says_what_it_is(name: str, said: str) -> None:
    """INVALID_SPEC: the field, what the name stands for, and what to do."""
    with pytest.raises(InvalidSpec, match=said) as caught:
        assembly().race_named(name)
    assert caught.value.violations[0].field == "model"


def test_a_judge_of_a_request_that_cannot_be_used_is_told_at_the_strategy() -> None:
    """INVALID_SPEC: the strategy of a request is judged like the rest."""
    with pytest.raises(InvalidSpec, match="no valid name") as caught:
        assembly().race_named("quick", Best(Scorer.JUDGE, "a b"))
    assert caught.value.violations[0].field == "strategy.best.scorer.judge.model"


def test_a_race_may_judge_its_own_kind() -> None:
    """A request may let the configured race judge a variant of itself: that is no circle."""
    made = assembly()
    assert made.race_named("quick", Best(Scorer.JUDGE, "quick")).plan.judge is made.model("quick")
