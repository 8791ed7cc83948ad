"""The workload that races are judged by, in small: what each strategy starts, and what that gains."""

from __future__ import annotations

import pytest

from bench.simulation import HEDGED, RACE_OF_2, RACE_OF_3, SINGLE, STALL_SECONDS, Sample, simulate

CALL_COUNT = 600


@pytest.fixture(scope="module", params=[1, 2])
def samples(request: pytest.FixtureRequest) -> dict[str, Sample]:
    """The same calls with each strategy, for some seeds."""
    return simulate(request.param, CALL_COUNT)


def test_every_call_has_its_first_content(samples: dict[str, Sample]) -> None:
    """No call is left out of the figures."""
    assert {len(sample.seconds) for sample in samples.values()} == {CALL_COUNT}


def test_races_start_all_and_hedges_few(samples: dict[str, Sample]) -> None:
    """R3, R4: a race starts each candidate, a hedge only where the first is slow, for 10 % of the calls."""
    started = {name: sample.started_count for name, sample in samples.items()}

    hedges = started.pop(HEDGED) - CALL_COUNT
    assert started == {SINGLE: CALL_COUNT, RACE_OF_2: 2 * CALL_COUNT, RACE_OF_3: 3 * CALL_COUNT}
    assert 0.02 * CALL_COUNT < hedges <= 0.1 * CALL_COUNT


def test_each_start_cuts_the_tail(samples: dict[str, Sample]) -> None:
    """R3, R4: more candidates are faster at every quantile; a hedge spares the stalls, and little else."""
    for q in (0.5, 0.95, 0.99):
        assert samples[RACE_OF_3].quantile(q) < samples[RACE_OF_2].quantile(q) < samples[SINGLE].quantile(q)
    assert samples[SINGLE].quantile(0.99) == STALL_SECONDS
    assert samples[RACE_OF_2].quantile(0.99) < samples[HEDGED].quantile(0.99) < STALL_SECONDS / 2
    assert samples[HEDGED].quantile(0.5) == samples[SINGLE].quantile(0.5)


def test_benched_targets_are_not_hedged_to(samples: dict[str, Sample]) -> None:
    """R4: once the other targets are benched a hedge starts none."""
    assert samples[HEDGED].benched_start_count == 0


def test_a_seed_gives_the_same_figures() -> None:
    """Nothing but the seed decides: not the machine, and not what ran before."""
    first, second = (simulate(7, 60) for _ in range(2))

    assert first == second
    assert first != simulate(8, 60)
