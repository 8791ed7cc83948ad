"""The bill of an answer that the OpenAI adapter read and the engines refused."""

from __future__ import annotations

import json

import pytest

from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.usage import Usage
from paceline_server.strategies.chain import Chain
from tests.providers.openai_support import connected
from tests.providers.replay import answering
from tests.strategies.scripted import says
from tests.strategies.world import Outcome, World

_FILTERED = {
    "choices": [{"index": 0, "message": {"content": None}, "finish_reason": "content_filter"}],
    "usage": {"prompt_tokens": 1234, "completion_tokens": 7},
}


async def _called(body: bytes, *, stream: bool) -> Outcome:
    # The world is there for the health and the budget; the provider is the adapter on its server.
    world = World({"acme/gpt-test": says("unused")})
    async with connected(answering(body)) as (provider, _):
        model = Chain([world.model("acme/gpt-test", provider)], world.config)
        return await (world.stream(model) if stream else world.complete(model))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_wholly_filtered_answer_costs_what_the_provider_told(*, stream: bool) -> None:
    """K4, A2: filtered before any content it is CONTENT_FILTERED, and booked as told, not as estimated."""
    document = json.dumps(_FILTERED).encode()
    events = b"data: " + document + b"\n\ndata: [DONE]\n\n"

    outcome = await _called(events if stream else document, stream=stream)

    (attempt,) = outcome.attempts
    assert (attempt.outcome, attempt.failure_class) == (
        AttemptOutcome.FAILED,
        FailureClass.CONTENT_FILTERED,
    )
    assert attempt.usage == Usage(1234, 7)
