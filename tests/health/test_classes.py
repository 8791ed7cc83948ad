"""The table of rule A3, row by row, and as a whole."""

from __future__ import annotations

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.health.classes import CONSEQUENCES, Advance, Penalty

ROWS = [
    (FailureClass.TRANSIENT, "yes", Advance.YES, Penalty.TARGET),
    (FailureClass.OVERLOADED, "yes", Advance.YES, Penalty.TARGET),
    (FailureClass.TIMEOUT, "no", Advance.YES, Penalty.TARGET),
    (FailureClass.MALFORMED_RESPONSE, "yes", Advance.YES, Penalty.TARGET),
    (FailureClass.RATE_LIMITED, "only if Retry-After is short", Advance.YES, Penalty.TARGET),
    (FailureClass.AUTHENTICATION, "no", Advance.OTHER_PROVIDER, Penalty.PROVIDER),
    (FailureClass.QUOTA, "no", Advance.OTHER_PROVIDER, Penalty.PROVIDER),
    (FailureClass.MODEL_NOT_FOUND, "no", Advance.YES, Penalty.NOBODY),
    (FailureClass.UNSUPPORTED, "no", Advance.YES, Penalty.NOBODY),
    (FailureClass.CONTEXT_TOO_LONG, "no", Advance.YES, Penalty.NOBODY),
    (FailureClass.CONTENT_FILTERED, "no", Advance.ONLY_ON_REQUEST, Penalty.NOBODY),
    (FailureClass.INVALID_REQUEST, "no", Advance.ONLY_ON_REQUEST, Penalty.NOBODY),
]


@pytest.mark.parametrize(("failure_class", "again", "advance", "penalty"), ROWS)
def test_a_row_of_the_table(
    failure_class: FailureClass, again: str, advance: Advance, penalty: Penalty
) -> None:
    """A3: same target again, next target, penalises."""
    consequence = CONSEQUENCES[failure_class]

    assert consequence.retry == (again != "no")
    assert consequence.retry_needs_delay == (again == "only if Retry-After is short")
    assert consequence.advance is advance
    assert consequence.penalty is penalty


def test_every_class_has_its_row() -> None:
    """A3: a class without a consequence would be an exception in the middle of a failure."""
    assert set(CONSEQUENCES) == set(FailureClass) == {row[0] for row in ROWS}
