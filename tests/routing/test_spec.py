"""The grammar of a spec, as ChainRequest.model states it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import InvalidSpec
from paceline_server.routing.spec import MAXIMUM_SPEC_BYTES, Element, Name, parse_spec

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", fullmatch=True)
MODELS = (
    st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters=","), min_size=1, max_size=12)
    | NAMES.map("vendor/{}".format)
    | NAMES.map("two {}".format)
)
TARGETS = st.builds(Target, NAMES, MODELS)
ELEMENTS = st.lists(TARGETS | st.builds(Name, NAMES), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("spec", "elements"),
    [
        ("openai/gpt-4o", [Target("openai", "gpt-4o")]),
        ("fast", [Name("fast")]),
        ("a/b,fast,c/d", [Target("a", "b"), Name("fast"), Target("c", "d")]),
        (" a/b , fast ", [Target("a", "b"), Name("fast")]),
        ("router/meta/llama-3.1", [Target("router", "meta/llama-3.1")]),
        ("router//x", [Target("router", "/x")]),
        ("a/b/", [Target("a", "b/")]),
        ("eu.openai_1/o3:free", [Target("eu.openai_1", "o3:free")]),
        ("a/b,a/b", [Target("a", "b"), Target("a", "b")]),
        ("a/模型", [Target("a", "模型")]),
    ],
)
def test_a_spec_is_elements_that_are_targets_or_names(spec: str, elements: list[Element]) -> None:
    """ChainRequest.model: elements are parted by ",", a target at its first "/", the model verbatim."""
    assert parse_spec(spec) == tuple(elements)


@pytest.mark.parametrize(
    "spec",
    [
        *("", " ", ",", "a/b,", ",a/b", "a/b,,c/d", "a/", "/b", "/", " /b", "a/b,/", "a/ "),
        *(
            "-a",
            ".a",
            "_a/b",
            "a b",
            "a b/c",
            "a:b/c",
            "ä/b",
            "a\n/b",
            "a/b\nc",
            "a/\0",
            "a/\x7f",
            "a/\ud800",
        ),
        *("x" * 129, "x" * 129 + "/m"),
    ],
)
def test_what_is_no_spec_is_refused(spec: str) -> None:
    """INVALID_SPEC: a spec that cannot be parsed or is empty."""
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(spec)
    assert [violation.field for violation in caught.value.violations] == ["model"]


def test_a_spec_has_at_most_1024_bytes() -> None:
    """ChainRequest.model: at most 1024 bytes, counted as UTF-8."""
    parse_spec("a/" + "é" * 511)
    with pytest.raises(InvalidSpec, match="1024 bytes"):
        parse_spec("a/" + "é" * 511 + "x")


@given(elements=ELEMENTS)
def test_elements_that_are_written_and_parsed_come_back(elements: list[Element]) -> None:
    """ChainRequest.model: what is written as a spec is read as the same elements."""
    spec = ",".join(map(str, elements))
    if len(spec.encode()) <= MAXIMUM_SPEC_BYTES:
        assert parse_spec(spec) == tuple(elements)


@given(spec=st.text(st.characters() | st.sampled_from("a/,. -"), max_size=40))
def test_any_text_is_elements_or_an_invalid_spec(spec: str) -> None:
    """INVALID_SPEC is the only way in which a text fails, and what parses can be written again."""
    try:
        elements = parse_spec(spec)
    except InvalidSpec:
        return
    assert parse_spec(",".join(map(str, elements))) == elements
