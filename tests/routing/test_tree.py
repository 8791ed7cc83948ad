"""What specs come to with races among their names: the tree, its bounds and its targets."""

from __future__ import annotations

import pytest

from paceline_server.completion.errors import InvalidSpec, ModelNotFound
from paceline_server.routing.catalog import MAXIMUM_CANDIDATE_COUNT, MAXIMUM_DEPTH, Definition
from paceline_server.routing.tree import answering, reachable
from tests.routing.names import alias, catalog, chain, race, shown

NAMES = catalog(
    short=alias("p/1"),
    both=chain("short", "q/2"),
    quick=race("both", "q/3"),
    again=alias("quick"),
    twice=race("p/1", "p/1", "short"),
    late=race("quick", "both,quick", "p/4"),
    judged=race("p/1", "q/2", judge="both,q/9"),
    default_model="quick",
)


@pytest.mark.parametrize(
    ("spec", "tree"),
    [
        ("p/1", "p/1"),
        ("short", "p/1"),
        ("short,p/1", "p/1"),
        ("both,p/3", "[p/1 q/2 p/3]"),
        ("quick", "quick([p/1 q/2] q/3)"),
        ("again", "quick([p/1 q/2] q/3)"),
        ("", "quick([p/1 q/2] q/3)"),
        ("quick,again,quick", "quick([p/1 q/2] q/3)"),
        ("p/1,quick", "[p/1 quick([p/1 q/2] q/3)]"),
        ("again,both,quick,p/1", "[quick([p/1 q/2] q/3) p/1 q/2]"),
        ("twice", "twice(p/1 p/1 p/1)"),
        ("late", "late(quick([p/1 q/2] q/3) [p/1 q/2 quick([p/1 q/2] q/3)] p/4)"),
        ("judged", "judged(p/1 q/2 ?[p/1 q/2 q/9])"),
    ],
)
def test_a_spec_comes_to_a_tree_in_which_chains_are_flat_and_a_race_is_one_element(
    spec: str, tree: str
) -> None:
    """R1: a chain keeps each target and race once; a race keeps its candidates, and the same one twice."""
    assert shown(NAMES.expand(spec)) == tree


def test_the_targets_of_a_tree_come_in_order_each_once() -> None:
    """ModelEntry.targets: every target that a call may reach, the judge's too; he answers nobody (R9)."""
    node = NAMES.expand("q/3,judged,late")
    assert [str(target) for target in answering(node)] == ["q/3", "p/1", "q/2", "p/4"]
    assert [str(target) for target in reachable(node)] == ["q/3", "p/1", "q/2", "q/9", "p/4"]
    assert NAMES.resolve("q/3,judged,late") == reachable(node)


@pytest.mark.parametrize(
    ("definitions", "circle"),
    [
        ({"a": race("a")}, "a -> a"),
        ({"a": race("p/1", "p/2,b"), "b": chain("a")}, "a -> b -> a"),
        ({"a": alias("b"), "b": race("p/1", "c"), "c": race("b")}, "b -> c -> b"),
        ({"a": race("p/1", "p/2", judge="a")}, "a -> a"),
        ({"a": race("p/1", judge="q/1,b"), "b": alias("a")}, "a -> b -> a"),
    ],
)
def test_a_circle_through_races_is_an_invalid_spec(definitions: dict[str, Definition], circle: str) -> None:
    """INVALID_SPEC: a race that is its own candidate, or its own judge, by whatever way."""
    with pytest.raises(InvalidSpec, match=circle):
        catalog(definitions).expand("a")


def test_a_race_has_1_to_16_candidates() -> None:
    """R1: 16 candidates pass; 17 and none do not."""
    assert catalog(a=race(*["p/1"] * MAXIMUM_CANDIDATE_COUNT)).expand("a")
    for count in (0, MAXIMUM_CANDIDATE_COUNT + 1):
        with pytest.raises(InvalidSpec, match=f"'a' has {count} candidates; a race has 1 to 16"):
            catalog(a=race(*["p/1"] * count)).expand("p/1,a")


def test_the_targets_of_all_candidates_and_of_the_judge_count() -> None:
    """Bounds: 64 targets in all, each as often as a race would call it."""
    fifteen = ",".join(f"p/{index}" for index in range(15))
    full = [*["fifteen"] * 4, "p/1", "p/2", "p/3"]
    assert catalog(fifteen=alias(fifteen), a=race(*full, judge="q/1")).expand("a")
    with pytest.raises(InvalidSpec, match="'a' comes to 65 targets; at most 64"):
        catalog(fifteen=alias(fifteen), a=race(*full, judge="q/1,q/2")).expand("a")
    with pytest.raises(InvalidSpec, match="the spec comes to 65 targets"):
        catalog(fifteen=alias(fifteen), a=race(*full, judge="q/1")).expand("q/1,a")


def test_races_that_double_at_each_level_do_no_harm() -> None:
    """Bounds: forty levels of two candidates each are refused at the seventh, and not after 2^40 targets."""
    levels = {f"n{level}": race(f"n{level + 1}", f"n{level + 1}") for level in range(40)}
    with pytest.raises(InvalidSpec, match="'n33' comes to 128 targets"):
        catalog(levels, n40=alias("p/1")).expand("n0")


def test_a_tower_of_races_ends_in_an_error_of_the_catalogue() -> None:
    """Bounds: races of one candidate nest so deep and no deeper."""
    tower = {f"n{level}": race(f"n{level + 1}") for level in range(10_000)}
    with pytest.raises(InvalidSpec, match="stand for one another"):
        catalog(tower, n10000=alias("p/1")).expand("n0")
    allowed = {f"n{level}": race(f"n{level + 1}") for level in range(MAXIMUM_DEPTH - 1)}
    node = catalog({**allowed, f"n{MAXIMUM_DEPTH - 1}": alias("p/1")}).expand("n0")
    assert [str(target) for target in reachable(node)] == ["p/1"]


@pytest.mark.parametrize("definition", [race("p/1", "nobody"), race("p/1", judge="p/2,nobody")])
def test_an_unknown_candidate_or_judge_is_not_found(definition: Definition) -> None:
    """MODEL_NOT_FOUND: also where the name stands inside a race."""
    with pytest.raises(ModelNotFound) as caught:
        catalog(a=definition).expand("a")
    assert caught.value.name == "nobody"
