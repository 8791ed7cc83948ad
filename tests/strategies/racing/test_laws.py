"""What holds for every rule of a race, whatever has happened (R2, R3 to R8)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.field import Entrant, Field, Judgement, Standing
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Fail, Judge, Rule, Select, Start, Step, Wait
from paceline_server.strategies.racing.weighted import Weighted
from tests.strategies.racing.events import NO_WINNER, answers, completion, fails, field_of, played

NOW = 8.0
SHARES = st.sampled_from([0.0, 0.3, 0.5, 0.9, math.nan])
TIMES = st.integers(0, 3).map(float)
TEXTS = st.sampled_from(["a", "A.", "b", "1", "1.0000008", "1.0000016", "[1]", "no 1"])

NUMBERS = [str(1 + step * 4e-7) for step in range(6)]

RULES: st.SearchStrategy[Rule] = st.one_of(
    st.builds(First, grace=st.sampled_from([0.0, 1.0, 9.0]), minimum_confidence=st.sampled_from([None, 0.5])),
    st.builds(Hedged, max_hedge_count=st.integers(0, 3)),
    st.builds(Best, scorer=st.sampled_from(Scorer)),
    st.builds(
        Consensus,
        equivalence=st.sampled_from(Equivalence),
        quorum=st.none() | st.integers(1, 5),
        minimum_agreement=st.sampled_from([0.0, 0.5, 1.0]),
    ),
    st.just(Weighted()),
    st.builds(Quality, grace=st.sampled_from([None, 0.0, 1.0, 9.0])),
)


@st.composite
def entrant(draw: st.DrawFn, index: int, standings: list[Standing]) -> Entrant:
    """A candidate in any standing, with the times that go with it."""
    standing = draw(st.sampled_from(standings))
    one = Entrant(
        index,
        priority=draw(st.integers(0, 1)),
        standing=standing,
        win_rate=draw(SHARES),
        quality=draw(st.none() | SHARES),
        hedge_delay=draw(st.sampled_from([1.0, 9.0, math.inf])),
        ready=draw(st.booleans()),
    )
    if standing is Standing.WAITING or (standing is Standing.OUT and draw(st.booleans())):
        return one
    one.started_at = draw(TIMES)
    if one.has_content:
        one.first_content_at = one.started_at + draw(TIMES)
    if not one.running:
        one.ended_at = (one.first_content_at or one.started_at) + draw(TIMES)
        one.blocks_others = standing is Standing.OUT and draw(st.booleans())
    if one.has_answered:
        one.completion = completion(
            draw(TEXTS), confidence=draw(st.none() | SHARES), cost=draw(st.none() | st.integers(0, 2))
        )
    return one


@st.composite
def fields(draw: st.DrawFn) -> Field:
    """A race at any moment."""
    streaming = draw(st.booleans())
    standings = [one for one in Standing if streaming or one is not Standing.WRITING]
    entrants = [draw(entrant(index, standings)) for index in range(draw(st.integers(1, 5)))]
    groups = st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=3)
    scores = st.dictionaries(st.integers(0, 5), SHARES, max_size=3)
    return Field(
        entrants,
        streaming=streaming,
        time_is_up=draw(st.booleans()),
        hedges_refused=draw(st.booleans()),
        judgement=draw(st.none() | st.builds(Judgement, scores, groups)),
    )


@given(rule=RULES, field=fields())
def test_nobody_is_selected_who_cannot_answer(rule: Rule, field: Field) -> None:
    """R8, a defect of earlier racers: who failed, never started or has written nothing is never selected."""
    step = rule.decide(field, NOW)
    if isinstance(step, Select):
        assert field.entrants[step.index].standing not in NO_WINNER
    if isinstance(step, Start):
        assert field.entrants[step.index].standing is Standing.WAITING
        assert rule.may_start(field)
    if isinstance(step, Judge):
        assert all(field.entrants[index].standing is Standing.ANSWERED for index in step.indices)


@given(rule=RULES, field=fields())
def test_time_up_is_decided(rule: Rule, field: Field) -> None:
    """R2: when time is up the race is decided or fails, and says so only if it would have waited."""
    late = rule.decide(replace(field, time_is_up=True), NOW)
    timely = rule.decide(replace(field, time_is_up=False), NOW)
    assert isinstance(late, Select | Fail)
    if isinstance(timely, Select | Fail):
        assert late == timely
    if isinstance(timely, Select):
        assert timely.decision is not RaceDecision.DEADLINE
    elif isinstance(late, Select):
        assert late.decision is RaceDecision.DEADLINE


@given(rule=RULES, field=fields())
def test_nobody_is_waited_for_who_is_not_coming(rule: Rule, field: Field) -> None:
    """R8: a race waits only while someone runs, and never until a moment that has passed."""
    step = rule.decide(replace(field, time_is_up=False), NOW)
    if isinstance(step, Wait):
        assert field.anyone_running
        assert step.until > NOW


@given(rule=RULES, field=fields(), data=st.data())
def test_order_of_the_input_does_not_matter(rule: Rule, field: Field, data: st.DataObject) -> None:
    """R5, a defect of earlier racers: no tie falls to the order in which candidates are listed."""
    turned = replace(field, entrants=data.draw(st.permutations(field.entrants)))
    assert rule.decide(turned, NOW) == rule.decide(field, NOW)
    assert rule.first_starts(turned) == rule.first_starts(field)
    assert rule.agreement(turned) == rule.agreement(field)


@given(rule=RULES, field=fields())
def test_rules_change_nothing(rule: Rule, field: Field) -> None:
    """R3, a defect of earlier racers: deciding sorts and changes nothing that others see."""
    before = copy.deepcopy(field)
    rule.decide(field, NOW)
    rule.agreement(field)
    for one in field.entrants:
        rule.confidence(one, field)
    assert repr(field) == repr(before)


@given(rule=RULES, field=fields())
def test_groups_hold_each_answer_once(rule: Rule, field: Field) -> None:
    """R6, a defect of earlier racers: every answer is in one group, and the score is over all asked."""
    agreement = rule.agreement(field)
    if agreement is not None:
        indices = sorted(index for group in agreement.groups for index in group.candidate_indices)
        sizes = [len(group.candidate_indices) for group in agreement.groups]
        assert indices == sorted(field.completions)
        assert sizes == sorted(sizes, reverse=True)
        assert agreement.score == max(sizes, default=0) / len(field.entrants)


@st.composite
def consensus_races(
    draw: st.DrawFn, *equivalences: Equivalence
) -> tuple[Consensus, Callable[[int], Field], int]:
    """A rule, the field after so many of its candidates have ended, in any order, and their number."""
    count = draw(st.integers(1, 6))
    rule = Consensus(
        draw(st.sampled_from(equivalences)),
        quorum=draw(st.none() | st.integers(1, count)),
        minimum_agreement=draw(st.sampled_from([0.0, 0.4, 0.5, 1.0])),
    )
    texts = st.sampled_from(NUMBERS if rule.equivalence is Equivalence.NUMBER else ["1", "2", "x"])
    ends = [
        answers(index, draw(texts), confidence=draw(st.none() | SHARES))
        if draw(st.integers(0, 4))
        else fails(index)
        for index in draw(st.permutations(range(count)))
    ]

    def after(ended_count: int) -> Field:
        events = [(1.0 + place, end) for place, end in enumerate(ends[:ended_count])]
        return played(field_of(count=count), *events)

    return rule, after, count


@given(race=consensus_races(Equivalence.NORMALIZED_TEXT, Equivalence.JSON, Equivalence.NUMBER))
def test_early_consensus_is_that_of_the_end(race: tuple[Consensus, Callable[[int], Field], int]) -> None:
    """R6: what is decided before all have ended is what would be decided then, however the rest ends."""
    rule, after, count = race
    end = after(count)
    last = rule.decide(end, NOW)
    assert isinstance(last, Select | Fail)
    for ended_count in range(count):
        early = rule.decide(after(ended_count), NOW)
        if isinstance(early, Fail):
            assert last == early
        if isinstance(early, Select):
            assert isinstance(last, Select)
            assert early.index in _winning_group(rule, end, last)


@given(race=consensus_races(Equivalence.NORMALIZED_TEXT, Equivalence.JSON), data=st.data())
def test_consensus_is_not_waited_for_in_vain(
    race: tuple[Consensus, Callable[[int], Field], int], data: st.DataObject
) -> None:
    """R6: the rule waits only while the rest could end in such ways that the outcome differs."""
    rule, after, count = race
    field = after(data.draw(st.integers(0, count - 1)))
    if isinstance(rule.decide(field, NOW), Wait):
        outcomes: set[tuple[Fail | None, tuple[int, ...]]] = set()
        for text in ("1", "2", "x", "3", None):
            end = copy.deepcopy(field)
            for one in end.entrants:
                if one.running:
                    finish = fails(one.index) if text is None else answers(one.index, text, confidence=1.0)
                    finish(end, NOW)
            step = rule.decide(end, NOW)
            group = [i for i in _winning_group(rule, end, step) if field.entrants[i].has_answered]
            outcomes.add((step if isinstance(step, Fail) else None, tuple(group)))
        assert len(outcomes) > 1


def _winning_group(rule: Consensus, field: Field, step: Step) -> tuple[int, ...]:
    """The indices of those who gave the winning answer; empty if none won."""
    groups = rule.agreement(field).groups
    return next(
        (
            group.candidate_indices
            for group in groups
            if isinstance(step, Select) and step.index in group.candidate_indices
        ),
        (),
    )
