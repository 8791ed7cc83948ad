"""What only the composition root can judge: whether what it needs is installed, and what names come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from paceline_server.configuration import catalog_of, is_installed, load_checked
from paceline_server.routing.catalog import Definition, ModelKind
from paceline_server.settings.problem import ConfigurationError, written

NATIVE = {"PACELINE__SERVER__LISTENER": "native"}


def test_a_listener_without_its_package_is_told_with_all_else(tmp_path: Path) -> None:
    """server.listener: `config check` says what a start would, beside every other problem (S5)."""
    path = tmp_path / "paceline.yaml"
    path.write_text("providers: {p: {format: simulated}}\nserver: {listener: native}\nlog: {level: loud}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_checked(path, {}, installed=lambda _: False)
    told = [f"{problem.place.line}: {problem.message}" for problem in caught.value.problems]
    assert told == ["2: the package pygrpc-native is not installed", "3: there is no such choice"]
    assert "requirements-native.lock" in caught.value.problems[0].remedy


def test_the_package_is_asked_for_by_those_who_need_it() -> None:
    """server.listener: native is fine where its package is, and grpcio needs none."""
    asked: list[str] = []

    def installed(package: str) -> bool:
        asked.append(package)
        return True

    assert load_checked(None, NATIVE, installed=installed).settings.server.listener == "native"
    load_checked(None, {}, installed=installed)
    assert asked == ["pygrpc_native"]


@pytest.mark.parametrize(("package", "there"), [("pytest", True), ("paceline_no_such_package", False)])
def test_what_is_installed_is_found(package: str, *, there: bool) -> None:
    """server.listener: a package counts as there when it can be imported."""
    assert is_installed(package) is there


PROVIDERS = "providers: {p: {format: simulated}, q: {format: simulated}}\n"
RACES = """
models:
  cheap: {chain: [p/small, q/small]}
  quick: {race: [cheap, q/haiku], strategy: {hedged: {quantile: 0.95, max_hedges: 1}}}
  agree: {race: [p/a, q/b, p/c], strategy: {consensus: {quorum: 2}}, description: Two of three}
  judged: {race: [quick, agree], strategy: {best: {scorer: {judge: {model: cheap}}}}}
"""


def problems(path: Path, text: str) -> list[str]:
    """What is wrong with a file, without the remedies."""
    path.write_text(text + PROVIDERS)
    with pytest.raises(ConfigurationError) as caught:
        load_checked(path, {})
    return [f"{written(problem.path)}: {problem.message}" for problem in caught.value.problems]


def test_races_are_names_of_the_catalog(tmp_path: Path) -> None:
    """R1: a configured race is a name like others, with the specs of its candidates and of its judge."""
    path = tmp_path / "paceline.yaml"
    path.write_text(RACES + PROVIDERS)
    settings = load_checked(path, {}).settings
    catalog = catalog_of(settings)
    assert catalog.definitions["cheap"].kind is ModelKind.CHAIN
    assert catalog.definitions["agree"] == Definition(ModelKind.RACE, ("p/a", "q/b", "p/c"), "Two of three")
    assert catalog.definitions["judged"].judge == "cheap"
    assert ",".join(map(str, catalog.resolve("judged"))) == "p/small,q/small,q/haiku,p/a,q/b,p/c"


def test_a_spec_in_a_race_that_leads_nowhere_is_told_at_its_place(tmp_path: Path) -> None:
    """S5: candidates of either form and judges, asked or not, are checked like every spec, all at once."""
    told = problems(
        tmp_path / "paceline.yaml",
        "models:\n"
        "  a: {race: [none/1, {model: nobody}, p/1]}\n"
        "  b: {race: [p/1], strategy: {best: {scorer: {judge: {model: absent}}}}}\n"
        "  c: {race: [p/1], strategy: {consensus: {judge_model: missing}}}\n"
        "  d: {race: [p/1, 'q/1,d']}\n"
        "  e: {race: [p/1], strategy: {best: {scorer: {judge: {model: e}}}}}\n",
    )
    assert [line.partition(" is not configured")[0] for line in told] == [
        "models.a.race[0]: 'none'",
        "models.a.race[1]: 'nobody'",
        "models.b.strategy.best.scorer.judge.model: 'absent'",
        "models.c.strategy.consensus.judge_model: 'missing'",
        "models.d.race[1]: the names run in a circle: d -> d",
        "models.e.strategy.best.scorer.judge.model: the names run in a circle: e -> e",
    ]


@pytest.mark.parametrize("kind", ["race", "chain"])
def test_a_name_whose_specs_come_to_too_many_targets_together_is_told(tmp_path: Path, kind: str) -> None:
    """Bounds: each spec may be short enough, and the name is not; a start must not be the first to say so."""
    specs = [",".join(f"{provider}/{index}" for index in range(33)) for provider in ("p", "q")]
    told = problems(tmp_path / "paceline.yaml", f"models: {{a: {{{kind}: {specs}}}, b: a}}\n")
    assert told == [
        "models.a: 'a' comes to 66 targets; at most 64 are allowed",
        "models.b: 'a' comes to 66 targets; at most 64 are allowed",
    ]


def test_a_name_that_is_none_is_told_once(tmp_path: Path) -> None:
    """S5: what the schema says of a name the catalog does not say again."""
    assert problems(tmp_path / "paceline.yaml", "models: {a b: {race: [p/1]}}\n") == [
        "models.'a b': this is not a valid name"
    ]
