"""Everything around one chain, on the loop's clock: health, budget, providers, and a client that folds.

The client holds every stream to the grammar of the contract while it is being told, so each test that
streams checks it: attempts start before their deltas, indices are unique, a retraction has something to
retract, and what is left after retractions is the answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import (
    Attempt,
    AttemptEnded,
    AttemptStarted,
    CallEvent,
    FailureClass,
    OutputDiscarded,
)
from paceline_server.completion.content import Message, Part, Role, Text
from paceline_server.completion.deltas import Delta, Fold
from paceline_server.completion.errors import AttemptFailure, CallFailed, ErrorReason
from paceline_server.completion.prompt import Prompt
from paceline_server.health.budget import AttemptBudget, BudgetConfig
from paceline_server.health.machine import HealthConfig, Record, TargetState
from paceline_server.health.registry import HealthRegistry, ProviderScope, Scope, Ticket
from paceline_server.providers.base import PromptFitter, Provider
from paceline_server.providers.profile import Profile
from paceline_server.routing.performance import Performance
from paceline_server.strategies import engine
from paceline_server.strategies.call import AttemptConfig, Call, ChainOptions
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.delivery import NEVER_SENT
from paceline_server.strategies.model import Model
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.strategies.target import TargetModel
from tests.as_given import AsGiven
from tests.strategies.scripted import Recorded, Script, ScriptedProvider

EPOCH = 1_000_000.0
"""Health runs on the wall clock and clocks on the loop's: a test must notice where they are mixed."""

PROMPT = Prompt((Message(Role.USER, (Part(Text("What is a gateway?")),)),))
PLENTY = BudgetConfig(per_second=1000.0, burst=1000.0)
NO_JITTER = HealthConfig(jitter=0.0)
DEFAULTS = ChainOptions()


def target_of(name: str) -> Target:
    """The target that a spec writes as `name`."""
    provider, _, model = name.partition("/")
    return Target(provider, model)


@dataclass(slots=True)
class Client:
    """A caller of a stream.

    Attributes:
        pause: How long it takes over each delta.
        beside: Attempts may run side by side, and their events come between those of the one that writes.
        raced: What a race writes may be delivered when the attempt that wrote it has ended, and what it
            replaces is retracted only then.
    """

    pause: float = 0.0
    beside: bool = False
    raced: bool = False
    events: list[CallEvent] = field(default_factory=list)
    fold: Fold = field(default_factory=Fold)
    running: dict[int, Attempt] = field(default_factory=dict)
    indices: set[int] = field(default_factory=set)

    async def __call__(self, event: CallEvent) -> None:
        """Take an event, and hold it to the grammar."""
        self.events.append(event)
        match event:
            case AttemptStarted(attempt, continues):
                assert attempt.index not in self.indices, "an index came twice"
                assert self.beside or not self.running, "a chain runs one attempt at a time"
                assert self.raced or bool(self.fold) == continues, (
                    "an attempt started on output that was not discarded"
                )
                self.indices.add(attempt.index)
                self.running[attempt.index] = attempt
            case AttemptEnded(attempt):
                assert attempt.outcome is not None
                if attempt.outcome in NEVER_SENT and attempt.index not in self.running:
                    assert attempt.index not in self.indices, "an index came twice"
                    self.indices.add(attempt.index)
                else:
                    del self.running[attempt.index]
            case OutputDiscarded(index):
                assert self.fold, "nothing was there to discard"
                assert index in self.indices
                self.fold.clear()
            case Delta():
                assert self.running or self.raced, "a delta without an attempt"
                self.fold.add(event)
        if self.pause and isinstance(event, Delta):
            await asyncio.sleep(self.pause)
        else:
            await asyncio.sleep(0)

    def of_kind(self, kind: type[CallEvent]) -> list[CallEvent]:
        """All events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def discarded_count(self) -> int:
        """How often output was retracted."""
        return len(self.of_kind(OutputDiscarded))

    @property
    def delta_texts(self) -> list[str]:
        """The text of each delta, retracted or not."""
        return [getattr(event.kind, "text", "") for event in self.events if isinstance(event, Delta)]


@dataclass(slots=True)
class Outcome:
    """How a call ended."""

    call: Call
    client: Client
    completion: Completion | None = None
    error: CallFailed | None = None
    at: float = 0.0

    @property
    def answer(self) -> str:
        """The text of the answer."""
        assert self.completion is not None, f"no answer: {self.error}"
        return "".join(part.kind.text for part in self.completion.parts if isinstance(part.kind, Text))

    @property
    def reason(self) -> ErrorReason:
        """The reason of the error."""
        assert self.error is not None, f"no error but {self.completion}"
        return self.error.reason

    @property
    def tried(self) -> list[str]:
        """What was done, in order: the target and how it ended."""
        return [
            f"{attempt.target} {attempt.outcome.value}"
            for attempt in self.call.record.attempts
            if attempt.outcome is not None
        ]

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts as booked."""
        return self.call.record.attempts


class World:
    """Providers by name, and all that targets share.

    Attributes:
        calls: All calls to all providers, in the order of their starts.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script | Sequence[Script]],
        *,
        config: AttemptConfig | None = None,
        health: HealthConfig = NO_JITTER,
        budget: BudgetConfig = PLENTY,
        hedges: BudgetConfig = PLENTY,
        performance: Performance | None = None,
        profiles: Mapping[str, Profile] | None = None,
        quota_identities: Mapping[str, str] | None = None,
        seed: int = 1,
        drift: float = 0.0,
        fitter: PromptFitter | None = None,
    ) -> None:
        """Make a world on the running loop; `scripts` by target, as "provider/model".

        Args:
            drift: By which share the wall clock, which health goes by, is slower than the loop's.
        """
        time = asyncio.get_running_loop().time
        identities = quota_identities or {}
        self.config = config or AttemptConfig()
        self.names = tuple(scripts)
        self.health = HealthRegistry(
            health,
            provider_scope=lambda target: identities.get(target.provider, target.provider),
            now=lambda: EPOCH + time() * (1.0 - drift),
            rng=random.Random(seed),
        )
        self.budget = AttemptBudget(budget, now=time)
        self.hedges = AttemptBudget(hedges, now=time)
        self.performance = performance or Performance(now=time)
        self.surroundings = Surroundings(
            self.health,
            self.budget,
            self.config,
            random.Random(seed),
            fitter or AsGiven(),
            self.performance,
            self.hedges,
        )
        self.providers: dict[str, ScriptedProvider] = {}
        self.calls: list[Recorded] = []
        by_provider: dict[str, dict[str, Sequence[Script]]] = {}
        for name, script in scripts.items():
            target = target_of(name)
            played = (script,) if isinstance(script, Script) else script
            by_provider.setdefault(target.provider, {})[target.model] = played
        for provider, models in by_provider.items():
            facts = {
                target_of(name).model: profile
                for name, profile in (profiles or {}).items()
                if target_of(name).provider == provider
            }
            self.providers[provider] = ScriptedProvider(provider, models, facts, self.calls)

    def model(self, name: str, provider: Provider | None = None) -> TargetModel:
        """One target as a model."""
        target = target_of(name)
        return TargetModel(target, provider or self.providers[target.provider], self.surroundings)

    def chain(self, *names: str) -> Chain:
        """A chain of targets; without names all of them in their order."""
        return Chain([self.model(name) for name in names or self.names], self.surroundings)

    def call(self, options: ChainOptions = DEFAULTS, *, within: float = 300.0) -> Call:
        """A call that starts now; nobody overtakes in it unless `options` say when."""
        if options.overtake_after is None:
            options = replace(options, overtake_after=0.0)
        now = asyncio.get_running_loop().time()
        return Call("call", PROMPT, now, now + within, options)

    async def stream(
        self,
        model: Model | None = None,
        *,
        call: Call | None = None,
        client: Client | None = None,
        within: float = 300.0,
        **options: Any,
    ) -> Outcome:
        """Stream one call to its end, and hold the whole to the contract."""
        call = call or self.call(ChainOptions(**options), within=within)
        client = client or Client(beside=call.options.overtake_after != 0.0)
        outcome = Outcome(call, client)
        model = model or self.chain()
        await _settle(outcome, engine.stream(call, model, client, now=self.health.now))
        if outcome.completion is not None:
            assert client.fold.parts() == outcome.completion.parts, "fold(deltas) is not the answer"
        if outcome.error is None or outcome.error.reason is not ErrorReason.DEADLINE_EXCEEDED:
            assert not client.running, "the end came before an attempt's end"
        self._check(outcome)
        return outcome

    async def complete(
        self, model: Model | None = None, *, call: Call | None = None, within: float = 300.0, **options: Any
    ) -> Outcome:
        """Make one unary call to its end."""
        call = call or self.call(ChainOptions(**options), within=within)
        outcome = Outcome(call, Client())
        await _settle(outcome, engine.complete(call, model or self.chain(), now=self.health.now))
        self._check(outcome)
        return outcome

    async def stream_beside(self, **options: Any) -> Outcome:
        """Stream one call while others run, whose connections and probes may be out."""
        outcome = Outcome(self.call(ChainOptions(**options)), Client())
        await _settle(outcome, engine.stream(outcome.call, self.chain(), outcome.client, now=self.health.now))
        return outcome

    async def complete_beside(self) -> Outcome:
        """Make one unary call while others run, whose connections and probes may be out."""
        outcome = Outcome(self.call(), Client())
        await _settle(outcome, engine.complete(outcome.call, self.chain(), now=self.health.now))
        return outcome

    @property
    def called(self) -> list[str]:
        """The targets that were called, in order."""
        return [call.target for call in self.calls]

    @property
    def open_count(self) -> int:
        """How many connections are held."""
        return sum(not call.closed for call in self.calls)

    def record(self, name: str) -> Record:
        """The health of a target ("a/x") or of a provider ("a")."""
        return self.health.record(target_of(name) if "/" in name else ProviderScope(name))

    @property
    def penalised(self) -> set[str]:
        """The scopes that a failure counts against."""
        return {
            str(scope)
            for scope, record in self.health.snapshot().items()
            if record.failures or record.state is not TargetState.ACTIVE
        }

    @property
    def probes_out(self) -> list[Scope]:
        """The scopes whose probe is under way."""
        records = self.health.snapshot().items()
        return [scope for scope, record in records if record.state is TargetState.PROBING]

    def bench(self, name: str) -> None:
        """Bench a target as its own failures do it."""
        while self.health.held(target_of(name)) is None:
            self.fail_once(name)

    def fail_once(self, name: str) -> None:
        """Another call failed on a target."""
        ticket = self.health.admit(target_of(name), whole_ramp=True)
        assert isinstance(ticket, Ticket)
        ticket.failed(AttemptFailure(FailureClass.TRANSIENT, "failed in another call"))

    def _check(self, outcome: Outcome) -> None:
        assert self.open_count == 0, "a connection was left open"
        assert self.probes_out == [], "a probe was left out"
        indices = [attempt.index for attempt in outcome.attempts]
        assert len(set(indices)) == len(indices), "an attempt was booked twice"
        assert all(attempt.outcome is not None for attempt in outcome.attempts)


async def _settle(outcome: Outcome, answer: Awaitable[Completion]) -> None:
    try:
        outcome.completion = await answer
    except CallFailed as error:
        outcome.error = error
    outcome.at = asyncio.get_running_loop().time()
