"""What operators and orchestrators see costs no more for what callers have named (H3, H4, S1)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.machine import TargetState
from paceline_server.health.registry import HealthRegistry, ProviderScope, Ticket
from paceline_server.providers.profile import Profile
from paceline_server.routing.catalog import Catalog, Definition, ModelKind
from paceline_server.routing.directory import Directory, TargetStatus

A, B, C = Target("p", "a"), Target("p", "b"), Target("q", "c")
P = ProviderScope("p")
NAMES = {
    "first": Definition(ModelKind.ALIAS, ("p/a",)),
    "second": Definition(ModelKind.ALIAS, ("p/b",)),
    "both": Definition(ModelKind.CHAIN, ("p/a", "q/c")),
    "other": Definition(ModelKind.ALIAS, ("q/c",)),
}


@dataclass
class View:
    """A directory on a clock that the test turns."""

    now: float = 1e9
    definitions: dict[str, Definition] = field(default_factory=lambda: dict(NAMES))
    woken: int = 0
    told: list[tuple[Target, TargetState, TargetState]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.health = HealthRegistry(now=lambda: self.now)
        catalog = Catalog(self.definitions, frozenset({"p", "q"}))
        self.directory = Directory(catalog, self.health, lambda _target: Profile())
        self.changes = self.directory.follow_names(self.wake)

    def wake(self) -> None:
        """Count."""
        self.woken += 1

    def tell(self, status: TargetStatus, before: TargetState) -> None:
        """Note a change of a target."""
        shown = status.own.state if status.provider.state is TargetState.ACTIVE else status.provider.state
        self.told.append((status.target, before, shown))

    def fail(self, target: Target, failure_class: FailureClass, retry_after: float | None = None) -> None:
        """A call fails."""
        ticket = self.health.admit(target)
        assert isinstance(ticket, Ticket)
        ticket.failed(AttemptFailure(failure_class, "failed", retry_after=retry_after))


@pytest.fixture
def view() -> View:
    """A directory with names over two providers."""
    return View()


def test_what_time_changes_next_is_known(view: View) -> None:
    """Health: a model may become available by time alone, at the end of a bench or of a probe's lease."""
    assert view.changes.settle() is None
    view.health.bench(A, 50, "")
    view.health.bench(B, 20, "")
    assert view.changes.settle() == 1e9 + 20
    view.now += 20
    assert view.changes.settle() == 1e9 + 50


def test_a_change_touches_only_the_names_that_hold_it(view: View) -> None:
    """H4: a target's change touches its names, a provider's those of all its targets, each once."""
    view.health.bench(A, 60, "")
    assert view.changes.take() == ["both", "first"]
    view.health.bench(P, 60, "")
    view.health.bench(B, 60, "")
    assert view.changes.take() == ["both", "first", "second"]
    assert view.changes.take() == []


def test_the_end_of_a_bench_touches_its_names(view: View) -> None:
    """H2: from its end on a call goes through, as a probe, though the bench itself stays until then."""
    view.fail(C, FailureClass.RATE_LIMITED, 30)
    view.changes.take()
    view.now += 30
    assert view.changes.settle() is None
    assert view.changes.take() == ["both", "other"]
    assert view.directory.available("other")


def test_counts_touch_no_name_and_wake_nobody(view: View) -> None:
    """H1, H4: one failure of two decides nothing."""
    view.fail(A, FailureClass.TRANSIENT)
    assert (view.changes.take(), view.woken) == ([], 0)


def test_targets_that_no_name_holds_leave_nothing_to_look_at(view: View) -> None:
    """H4: callers name any models of a provider that is down."""
    for number in range(1000):
        view.fail(Target("p", f"m{number}"), FailureClass.RATE_LIMITED, 60)
    assert view.changes.take() == []


def test_who_follows_no_more_is_not_woken(view: View) -> None:
    """H4: what has ended costs nothing."""
    view.changes.close()
    view.health.bench(A, 60, "")
    assert (view.changes.take(), view.woken) == ([], 0)


def test_a_watch_is_told_the_state_before(view: View) -> None:
    """TargetChange.previous_state: the target's own, unless its provider held it."""
    view.directory.subscribe(view.tell)
    view.health.bench(A, 60, "")
    view.health.bench(P, 60, "")
    view.health.unbench(A)
    view.health.unbench(P)
    active, benched = TargetState.ACTIVE, TargetState.BENCHED
    assert view.told == [
        (A, active, benched),
        (A, benched, benched),
        (B, active, benched),
        (A, benched, benched),
        (A, benched, active),
        (B, benched, active),
    ]


def test_a_watch_that_comes_later_knows_what_was_before(view: View) -> None:
    """TargetChange.previous_state: also of what changed before the watch began."""
    view.health.bench(A, 60, "")
    view.directory.subscribe(view.tell)
    view.health.unbench(A)
    assert view.told == [(A, TargetState.BENCHED, TargetState.ACTIVE)]


def test_known_targets_are_sorted_and_of_one_provider_if_asked_for(view: View) -> None:
    """ListTargets: by provider and model; those that were called or held since the start included."""
    view.health.admit(Target("p", "0"))
    view.health.bench(Target("q", "z"), 60, "")
    assert view.directory.known_targets() == [Target("p", "0"), A, B, C, Target("q", "z")]
    assert view.directory.known_targets("q") == [C, Target("q", "z")]


def test_a_race_is_available_as_long_as_a_candidate_can_be_tried() -> None:
    """model/<name>: any target of any candidate will do, but not the judge's, who answers nobody."""
    judged = Definition(ModelKind.RACE, ("p/a,p/b", "q/c"), judge="q/j")
    view = View(definitions={"judged": judged, "through": Definition(ModelKind.ALIAS, ("judged",))})
    view.health.bench(C, 60, "")
    view.health.bench(A, 60, "")
    assert view.changes.take() == ["judged", "through"]
    assert view.directory.available("judged")
    assert view.directory.model("judged").targets == (A, B, C, Target("q", "j"))
    view.health.bench(B, 60, "")
    assert not view.directory.available("through")
    assert view.directory.known_targets("q") == [C, Target("q", "j")]
