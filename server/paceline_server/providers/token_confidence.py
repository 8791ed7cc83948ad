"""How sure an answer is, by the probabilities of its tokens, whatever the wire format (rule R5).

It is the mean probability of the tokens that say something. Layout is left out, because what a model knows of
JSON and Markdown is near certain, and the more of it an answer has, the surer would any answer look.
"""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache

import msgspec

from paceline_server.completion.answer import Confidence, ConfidenceSource
from paceline_server.providers.json_faults import NOT_JSON

Token = tuple[str | None, float | None]
"""The text of a token, None where it is not told, and its log probability, None likewise."""

_FENCE = "```"
_CONTROL = re.compile(r"<[|｜].*[|｜]>|</?s>|<eos>|<end_of_turn>")  # noqa: RUF001 - as DeepSeek writes it
"""What models end with and some servers tell as a token; it is no part of the answer."""

_SILENT = frozenset({"Cc", "Cf"})
_KEPT_TOKEN_COUNT = 8192


class _Kind(Enum):
    WORD = "word"
    MARK = "mark"
    NOTHING = "nothing"


class TokenMeter:
    """Collects the tokens of one answer, in their order.

    - A token counts if one of its characters is a letter, a digit or a symbol outside ASCII. White space,
      punctuation and the symbols of ASCII are layout as often as not, and alone do not count; nor do the
      marks of a model's end, nor a code fence up to the end of its line.
    - Where no token has more than punctuation, as in the answer "!", those that have some count.
    - A log probability of -9999 or minus infinity is that of a token that was all but impossible: 0. One
      that is null or no number is not told, and neither counts.
    """

    __slots__ = ("_in_fence_line", "_mark_count", "_mark_sum", "_word_count", "_word_sum")

    def __init__(self) -> None:
        self._in_fence_line = False
        self._word_sum = self._mark_sum = 0.0
        self._word_count = self._mark_count = 0

    def add(self, tokens: Iterable[Token]) -> None:
        """Take the next tokens."""
        for text, log_probability in tokens:
            kind = _Kind.WORD if text is None else self._kind_of(text)
            if kind is _Kind.NOTHING or log_probability is None or not log_probability < math.inf:
                continue
            probability = math.exp(min(log_probability, 0.0))
            if kind is _Kind.WORD:
                self._word_sum += probability
                self._word_count += 1
            else:
                self._mark_sum += probability
                self._mark_count += 1

    def confidence(self) -> Confidence | None:
        """The mean probability of the tokens that count; None if there are none."""
        if self._word_count:
            return Confidence(self._word_sum / self._word_count, ConfidenceSource.LOGPROBS)
        if self._mark_count:
            return Confidence(self._mark_sum / self._mark_count, ConfidenceSource.LOGPROBS)
        return None

    def _kind_of(self, text: str) -> _Kind:
        if self._in_fence_line:
            text = self._after_fence_line(text)
        if _FENCE in text:
            before, _, after = text.partition(_FENCE)
            self._in_fence_line = True
            text = before + self._after_fence_line(after)
        return _kind(text)

    def _after_fence_line(self, text: str) -> str:
        _, line_end, after = text.partition("\n")
        self._in_fence_line = not line_end
        return after


def text_of(token: msgspec.Raw) -> str | None:
    """The text of a token as it is told; None where it is not told, or cannot be read."""
    try:
        return msgspec.json.decode(token, type=str) if token else None
    except NOT_JSON:
        return None


def tokens_of(answer: str, tokens: Iterable[Token]) -> list[Token]:
    """Those of `tokens` that spell `answer`, where the thoughts before it may be among them.

    None of them if they do not spell it: which of them are the answer's is not known then.
    """
    told = [token for token in tokens if not _CONTROL.fullmatch(token[0] or "")]
    answer = answer.strip()
    start = "".join(text or "" for text, _ in told).rfind(answer) if answer else -1
    if start < 0:
        return []
    end = 0
    for place, (text, _) in enumerate(told):
        end += len(text or "")
        if end > start:
            return told[place:]
    return []


@lru_cache(_KEPT_TOKEN_COUNT)
def _kind(text: str) -> _Kind:
    kind = _Kind.NOTHING
    if _CONTROL.fullmatch(text):
        return kind
    for character in text:
        category = unicodedata.category(character)
        if character in string.punctuation or category.startswith("P"):
            kind = _Kind.MARK
        elif not (character.isspace() or category in _SILENT):
            return _Kind.WORD
    return kind
