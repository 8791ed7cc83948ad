"""What each class of failure means: who is penalised, and what may be tried next.

The table of rule A3, and nothing else.
"""

from __future__ import annotations

from enum import Enum

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.immutable import immutable


class Penalty(Enum):
    """Whose health a failure counts against."""

    NOBODY = "nobody"
    TARGET = "target"
    PROVIDER = "provider"


class Advance(Enum):
    """Whether another target may be tried."""

    YES = "yes"
    OTHER_PROVIDER = "other_provider"
    ONLY_ON_REQUEST = "only_on_request"


@immutable(frozen=True, slots=True)
class Consequence:
    """What follows from a failure.

    Attributes:
        retry: The same target may be tried again in the same call.
        retry_needs_delay: ... but only where the provider said how long to wait.
    """

    retry: bool
    advance: Advance
    penalty: Penalty
    retry_needs_delay: bool = False


_TARGET_FAULT = Consequence(retry=True, advance=Advance.YES, penalty=Penalty.TARGET)
_PROVIDER_FAULT = Consequence(retry=False, advance=Advance.OTHER_PROVIDER, penalty=Penalty.PROVIDER)
_MISFIT = Consequence(retry=False, advance=Advance.YES, penalty=Penalty.NOBODY)
_REQUEST_FAULT = Consequence(retry=False, advance=Advance.ONLY_ON_REQUEST, penalty=Penalty.NOBODY)

CONSEQUENCES: dict[FailureClass, Consequence] = {
    FailureClass.TRANSIENT: _TARGET_FAULT,
    FailureClass.OVERLOADED: _TARGET_FAULT,
    FailureClass.MALFORMED_RESPONSE: _TARGET_FAULT,
    FailureClass.TIMEOUT: Consequence(retry=False, advance=Advance.YES, penalty=Penalty.TARGET),
    FailureClass.RATE_LIMITED: Consequence(
        retry=True, advance=Advance.YES, penalty=Penalty.TARGET, retry_needs_delay=True
    ),
    FailureClass.AUTHENTICATION: _PROVIDER_FAULT,
    FailureClass.QUOTA: _PROVIDER_FAULT,
    FailureClass.MODEL_NOT_FOUND: _MISFIT,
    FailureClass.UNSUPPORTED: _MISFIT,
    FailureClass.CONTEXT_TOO_LONG: _MISFIT,
    FailureClass.CONTENT_FILTERED: _REQUEST_FAULT,
    FailureClass.INVALID_REQUEST: _REQUEST_FAULT,
}
