"""Texts without what does not matter to their meaning (R6)."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.strategies.racing.normalized import normalized_text

CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1)]
CHANGING = [one for one in CHARACTERS if unicodedata.normalize("NFKD", one) != one or one.casefold() != one]
MARKS = [one for one in CHARACTERS if unicodedata.combining(one)]
GREEK = [*map(chr, range(0x370, 0x400)), *map(chr, range(0x1F00, 0x2000))]


def by_definition(text: str) -> str:
    """The text folded as Unicode defines compatibility caseless matching (D146), between letters."""
    once = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return " ".join(unicodedata.normalize("NFKC", once.casefold()).split())


def test_every_character_is_folded_as_unicode_says() -> None:
    """R6: however a character is written, in whatever case, it is the same."""
    changing = [f"x{one}x" for one in CHANGING]
    assert [ascii(text) for text in changing if normalized_text(text) != by_definition(text)] == []


@given(
    st.lists(
        st.sampled_from(CHANGING)
        | st.sampled_from(MARKS)
        | st.sampled_from(GREEK)
        | st.sampled_from("\u0345\u037a\uff9eaA "),
        max_size=8,
    ).map("".join)
)
def test_every_text_is_folded_as_unicode_says(text: str) -> None:
    """R6: what stands beside a character does not change that, nor in which order its marks are written."""
    assert normalized_text(f"{text}x") == by_definition(f"{text}x")


@given(text=st.text(st.characters(codec=None), max_size=60))
def test_normalizing_twice_changes_nothing(text: str) -> None:
    """R6: what is normalised stays as it is, lone surrogates included."""
    assert normalized_text(normalized_text(text)) == normalized_text(text)


@pytest.mark.parametrize(
    "unit", ["a\u0301\u0316", "\u0301\u0316", "\uff9e\u0301", "\u0f73", "word ", ".!? ", "—", "ᾳ\u0323", "で"]
)
def test_long_texts_cost_no_more_than_their_length(unit: str) -> None:
    """R6: no text takes the square of its length, nor runs of marks that have to be put in order."""
    assert normalized_text(unit * (2_000_000 // len(unit)))
