"""The health of a gateway is asked in the standard way."""

from __future__ import annotations

import pytest

from paceline_client.connect import connect
from paceline_client.errors import CallFailed
from paceline_client.health import ServingStatus, check_health, watch_health
from tests.clients.python.fake_gateway import FakeGateway, serving


@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("", ServingStatus.SERVING),
        ("model/auto", ServingStatus.NOT_SERVING),
        ("model/none", ServingStatus.SERVICE_UNKNOWN),
    ],
)
async def test_a_check_and_a_watch_say_the_same(service: str, status: ServingStatus) -> None:
    """A service serves, does not, or does not exist, whichever way it is asked."""
    with serving(FakeGateway(), healthy=[""], sick=["model/auto"]) as address:
        async with connect(address) as channel:
            assert await check_health(channel, service) is status
            async with watch_health(channel, service) as changes:
                assert await anext(changes) is status


async def test_nobody_is_not_healthy() -> None:
    """A gateway that is not there is a failure, not a status."""
    with serving(FakeGateway()) as address:
        pass
    async with connect(address) as channel:
        with pytest.raises(CallFailed) as caught:
            await check_health(channel)
    assert caught.value.unreachable
