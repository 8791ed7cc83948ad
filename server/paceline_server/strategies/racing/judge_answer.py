"""Reading what a judge said about the answers of a race (rules R5, R6, R9).

Judges are models: what can be read of their words counts, and the rest is missing. A label about which a
judge contradicts himself is missing too. Nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from paceline_server.completion.answer import Completion
from paceline_server.completion.content import Text
from paceline_server.strategies.racing.field import Judgement
from paceline_server.strategies.racing.judge import HIGHEST_SCORE, JudgeQuestion
from paceline_server.strategies.racing.rule import JudgeTask

NOTHING_SAID = Judgement({})
"""The judgement of a judge who failed, or said nothing that can be read; the next rule decides then."""

_MAX_CHARACTERS = 20_000
"""So much of a judge's words is searched, from their end: longer ones are no judgement."""

_MAX_START_COUNT = 200
"""At so many places a JSON value is looked for, because each that is none may be read to the end."""

_START = re.compile(r"[{\[]")
_NUMBER = re.compile(rf"\s*(\d{{1,9}}(?:\.\d{{1,30}})?)\s*(?:/\s*{HIGHEST_SCORE}\s*)?", re.ASCII)
_LABEL = re.compile(r"(?:answer[\s_-]*)?([A-Z])", re.IGNORECASE | re.ASCII)

_Said = Mapping[str, Any] | list[Any]


def read_judgement(task: JudgeTask, question: JudgeQuestion, completion: Completion) -> Judgement:
    """What the judge said, by candidate index; empty if nothing of it can be read.

    The JSON may stand in a fence or between other words; the last that says something counts, because models
    reason before they conclude. SCORE: numbers from 0 to 10, also in quotes, come out as 0 to 1; others are
    missing. GROUP: each candidate is in exactly one group. One that is not named stands alone, and so does
    one that is named in two groups, which cannot both be meant.
    """
    text = "".join(part.kind.text for part in completion.parts if isinstance(part.kind, Text))
    read = _scores if task is JudgeTask.SCORE else _groups
    judgement = NOTHING_SAID
    for value in _values(text[-_MAX_CHARACTERS:]):
        judgement = read(value, question.indices) or judgement
    return judgement


def _values(text: str) -> Iterator[_Said]:
    """The JSON objects and arrays in `text` that are not inside another, in their order."""
    decoder = json.JSONDecoder(object_pairs_hook=_members, parse_int=float, parse_constant=lambda _: None)
    start = _START.search(text)
    for _ in range(_MAX_START_COUNT):
        if start is None:
            return
        end = start.end()
        try:
            value, end = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            pass
        else:
            yield value
        start = _START.search(text, end)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        members[name] = value if members.get(name, value) == value else None
    return members


def _scores(said: _Said, indices: Mapping[str, int]) -> Judgement | None:
    if isinstance(said, dict):
        said = said.get("scores", said)
    scores: dict[int, float | None] = {}
    for name, value in _scored(said):
        index = _index(name, indices)
        score = _score(value)
        if index is not None and score is not None:
            scores[index] = score if scores.get(index, score) == score else None
    known = {index: score for index, score in sorted(scores.items()) if score is not None}
    return Judgement(known) if known else None


def _scored(said: Any) -> Iterator[tuple[Any, Any]]:
    """Labels and their scores, from one object or from a list of objects that hold a label and a score."""
    if isinstance(said, dict):
        for name, value in said.items():
            yield name, value.get("score") if isinstance(value, dict) else value
    elif isinstance(said, list):
        for each in said:
            if isinstance(each, dict):
                yield each.get("label", each.get("answer")), each.get("score")


def _score(value: Any) -> float | None:
    if isinstance(value, str):
        number = _NUMBER.fullmatch(value)
        value = float(number[1]) if number else None
    if not isinstance(value, float):
        return None
    # Also false of what is no number at all.
    return value / HIGHEST_SCORE if 0 <= value <= HIGHEST_SCORE else None


def _groups(said: _Said, indices: Mapping[str, int]) -> Judgement | None:
    if isinstance(said, dict):
        said = said.get("groups", said)
    groups: list[frozenset[int]] = []
    for members in _lists(said):
        named = frozenset(index for name in members if (index := _index(name, indices)) is not None)
        if named and named not in groups:
            groups.append(named)
    if not groups:
        return None

    times: dict[int, int] = dict.fromkeys(indices.values(), 0)
    for group in groups:
        for index in group:
            times[index] += 1
    together = [sorted(index for index in group if times[index] == 1) for group in groups]
    alone = [[index] for index, count in times.items() if count != 1]
    return Judgement({}, tuple(sorted(tuple(group) for group in (*together, *alone) if group)))


def _lists(said: Any) -> Iterator[list[Any]]:
    """The groups as lists of labels, from one list, from an object, or from a list of objects."""
    inner = list(said.values()) if isinstance(said, dict) else said if isinstance(said, list) else []
    for each in inner:
        if isinstance(each, dict):
            yield from (members for members in each.values() if isinstance(members, list))
        elif isinstance(each, list):
            yield each


def _index(name: Any, indices: Mapping[str, int]) -> int | None:
    label = _LABEL.fullmatch(name.strip()) if isinstance(name, str) else None
    return indices.get(label[1].upper()) if label else None
