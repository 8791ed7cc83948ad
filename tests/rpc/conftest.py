"""What all tests of the shell share: both listeners, and silence in the logs of gRPC and of the loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from paceline_server.rpc.options import ListenerKind
from tests.rpc.gateway import LISTENERS, Served


@pytest.fixture(scope="module", params=LISTENERS)
def listener(request: pytest.FixtureRequest) -> Iterator[ListenerKind]:
    """Run the tests of a module on each listener: what they say of the service holds on both.

    A test of what only one listener does is parametrised with that one, indirectly.
    """
    before = Served.listener
    Served.listener = request.param
    yield request.param
    Served.listener = before


@pytest.fixture
def no_errors_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which gRPC or the loop complains of an exception that nobody caught."""
    yield
    told = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert not told
