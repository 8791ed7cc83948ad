"""The classify rules of a configuration, in the adapter that is made of them."""

from __future__ import annotations

import json

import pytest

from paceline_server.adapters import make_provider
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.settings.providers import OpenAISettings
from tests.providers.openai_support import a_request
from tests.providers.replay import answering, replaying

_RULES = [
    {"status": 418, "class": "OVERLOADED"},
    {"code": "Gone_Fishing", "class": "QUOTA"},
    {"pattern": "too .*windy", "class": "UNSUPPORTED"},
    {"status": 401, "code": "odd", "pattern": "odd", "class": "RATE_LIMITED"},
]


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (418, {}, FailureClass.OVERLOADED),
        (500, {"code": "gone_FISHING"}, FailureClass.QUOTA),
        (500, {"message": "Too very Windy"}, FailureClass.UNSUPPORTED),
        (401, {"code": "odd", "message": "odd"}, FailureClass.RATE_LIMITED),
        (401, {"code": "odd"}, FailureClass.AUTHENTICATION),
    ],
)
async def test_configured_rules_come_first(
    status: int, error: dict[str, str], expected: FailureClass
) -> None:
    """A3: all that a rule gives must match, letters of either case alike; else the built-in table decides."""
    async with replaying(answering(json.dumps({"error": error}).encode(), status=status)) as server:
        settings = OpenAISettings.model_validate(
            {"format": "openai", "base_url": server.url, "classify": _RULES}
        )
        provider = make_provider("acme", settings, connect_timeout=5.0)
        try:
            with pytest.raises(AttemptFailure) as caught:
                await provider.complete(a_request())
        finally:
            await provider.aclose()
    assert caught.value.failure_class is expected
