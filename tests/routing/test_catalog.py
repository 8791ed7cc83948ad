"""What names come to: expansion, circles, bounds, and where a name was looked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import InvalidSpec, ModelNotFound
from paceline_server.routing.catalog import MAXIMUM_DEPTH, Catalog, Definition
from tests.routing.names import alias, catalog, chain, race


def written(targets: tuple[Target, ...]) -> str:
    """Targets as a spec."""
    return ",".join(map(str, targets))


@pytest.mark.parametrize(
    ("spec", "targets"),
    [
        ("p/1", "p/1"),
        ("q/2,p/1", "q/2,p/1"),
        ("short", "p/1"),
        ("both", "p/1,q/2"),
        ("deep", "q/3,p/1,q/2"),
        ("p/9,both,q/8", "p/9,p/1,q/2,q/8"),
        ("both,both", "p/1,q/2"),
        ("q/2,both", "q/2,p/1"),
        ("both,p/1,short", "p/1,q/2"),
        ("p/1,P/1", None),
    ],
)
def test_names_expand_in_place_and_a_repeated_target_is_kept_once(spec: str, targets: str | None) -> None:
    """ChainRequest.model: names are expanded in place, and a repeated target is kept once."""
    names = catalog(short=alias("p/1"), both=chain("short", "q/2"), deep=chain("q/3", "both,p/1"))
    if targets is None:
        with pytest.raises(ModelNotFound):
            names.resolve(spec)
    else:
        assert written(names.resolve(spec)) == targets


@pytest.mark.parametrize(
    ("definitions", "circle"),
    [
        ({"a": alias("a")}, "a -> a"),
        ({"a": alias("b"), "b": alias("a")}, "a -> b -> a"),
        ({"a": chain("p/1", "b"), "b": chain("p/2", "c"), "c": alias("p/3,a")}, "a -> b -> c -> a"),
        ({"a": alias("b"), "b": chain("p/1", "c"), "c": alias("b")}, "b -> c -> b"),
        ({"a": chain("b", "b"), "b": chain("p/1,a")}, "a -> b -> a"),
    ],
)
def test_a_circle_of_names_is_an_invalid_spec(definitions: dict[str, Definition], circle: str) -> None:
    """INVALID_SPEC: a spec that has a cycle, of one, two or three names, through aliases too."""
    with pytest.raises(InvalidSpec, match=circle):
        catalog(definitions).resolve("a")


def test_a_name_used_twice_side_by_side_is_no_circle() -> None:
    """INVALID_SPEC means a cycle, not a diamond."""
    names = catalog(a=chain("b", "c"), b=alias("d"), c=alias("d"), d=alias("p/1"))
    assert written(names.resolve("a")) == "p/1"


def test_an_unknown_name_says_where_it_was_looked_for() -> None:
    """MODEL_NOT_FOUND: the name that is not configured, and those that are."""
    with pytest.raises(ModelNotFound, match=r"'quick' is not configured: .*\(fast, slow\)") as caught:
        catalog(fast=alias("p/1"), slow=alias("p/2")).resolve("p/1,quick")
    assert caught.value.name == "quick"


def test_an_unknown_provider_says_which_there_are() -> None:
    """MODEL_NOT_FOUND: the provider that is not configured, and those that are."""
    with pytest.raises(ModelNotFound, match=r"'r' is not configured: .*configured are p, q") as caught:
        catalog().resolve("p/1,r/1")
    assert caught.value.name == "r"


def test_many_names_are_told_in_part() -> None:
    """MODEL_NOT_FOUND: the list of names stays readable."""
    with pytest.raises(ModelNotFound, match="and 20 more"):
        catalog({f"n{index}": alias("p/1") for index in range(30)}).resolve("other")


def test_a_spec_comes_to_at_most_64_targets() -> None:
    """Bounds: 64 targets pass, 65 do not; repeated ones count once."""
    names = catalog(
        full=chain(*(f"p/{index}" for index in range(64))),
        more=chain("full", "full", "p/0"),
        over=chain("full,p/64"),
    )
    assert len(names.resolve("more")) == 64
    with pytest.raises(InvalidSpec, match="65 targets"):
        names.resolve("over")


def test_names_that_double_at_each_level_do_no_harm() -> None:
    """Bounds: forty levels of two names each are expanded once a name, not 2^40 times."""
    levels = {f"n{level}": chain(f"n{level + 1},n{level + 1}") for level in range(40)}
    names = catalog(levels, n40=alias("p/1"))
    assert written(names.resolve("n0,n0")) == "p/1"


def test_a_tower_of_names_ends_in_an_error_of_the_catalogue() -> None:
    """Bounds: names nest so deep and no deeper, and a tower of ten thousand is an INVALID_SPEC."""
    tower = {f"n{level}": alias(f"n{level + 1}") for level in range(10_000)}
    with pytest.raises(InvalidSpec, match="stand for one another"):
        catalog(tower, n10000=alias("p/1")).resolve("n0")
    allowed = {f"n{level}": alias(f"n{level + 1}") for level in range(MAXIMUM_DEPTH - 1)}
    assert catalog({**allowed, f"n{MAXIMUM_DEPTH - 1}": alias("p/1")}).resolve("n0")


def test_an_empty_spec_means_the_default() -> None:
    """ChainRequest.model: empty is the configured default, which may be any spec."""
    assert written(catalog(default_model="fast,q/2", fast=alias("p/1")).resolve(" ")) == "p/1,q/2"


def test_without_a_default_an_empty_spec_is_refused() -> None:
    """ListModelsResponse.default_model: where none is configured, a request must name its model."""
    with pytest.raises(InvalidSpec, match="default_model"):
        catalog().resolve("")


def test_all_targets_are_those_of_names_and_of_the_configuration() -> None:
    """TargetService.ListTargets lists the targets of the configuration, sorted, each once."""
    names = Catalog({"a": chain("q/2", "p/1")}, frozenset({"p", "q"}), (Target("p", "0"), Target("p", "1")))
    assert written(names.all_targets()) == "p/0,p/1,q/2"


NAMES = st.sampled_from("abcdef")
ANY_KIND = st.sampled_from([chain, race])
ANY_SPEC = st.lists(NAMES | st.sampled_from(["p/1", "p/2", "q/1", "x/1", "zz"]), min_size=1, max_size=4).map(
    ",".join
)
ANY_DEFINITIONS = st.dictionaries(
    NAMES, st.tuples(ANY_KIND, st.lists(ANY_SPEC, min_size=1, max_size=3)).map(lambda made: made[0](*made[1]))
)


@given(definitions=ANY_DEFINITIONS, spec=ANY_SPEC)
def test_any_catalog_gives_targets_or_an_error_of_the_catalogue(
    definitions: dict[str, Definition], spec: str
) -> None:
    """INVALID_SPEC and MODEL_NOT_FOUND are the only failures; targets come once, of known providers."""
    try:
        targets = catalog(definitions).resolve(spec)
    except (InvalidSpec, ModelNotFound):
        return
    assert targets
    assert len(set(targets)) == len(targets)
    assert {target.provider for target in targets} <= {"p", "q"}
