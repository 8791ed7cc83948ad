"""`paceline models` lists the names."""

from __future__ import annotations

import json

from paceline.v1.targets_pb2 import MODEL_KIND_CHAIN, MODEL_KIND_RACE, ListModelsResponse, ModelEntry
from tests.cli.conftest import Paceline
from tests.cli.messages import SICK, WELL
from tests.clients.python.fake_gateway import FakeGateway, serving

ENTRY = ModelEntry(
    name="demo", kind=MODEL_KIND_CHAIN, targets=[SICK, WELL], available_now=True, description="For all."
)
RACE = ModelEntry(name="both", kind=MODEL_KIND_RACE, targets=[SICK])
PAGE = ListModelsResponse(models=[ENTRY, RACE], default_model="demo")


def test_names_are_listed_with_what_they_stand_for(paceline: Paceline) -> None:
    """Kind, availability and targets stand beside the name; the default is told apart from the table."""
    with serving(FakeGateway(pages={"": PAGE})) as address:
        result = paceline("models", "--address", address)
    assert result.out.splitlines()[1].split() == [
        "demo", "CHAIN", "yes", "p/sick,", "p/well", "For", "all.",
    ]  # fmt: skip
    assert result.out.splitlines()[2].split() == ["both", "RACE", "no", "p/sick"]
    assert result.err == "default: demo\n"


def test_json_is_the_answer_of_the_gateway(paceline: Paceline) -> None:
    """Programs get names and default in one object."""
    with serving(FakeGateway(pages={"": PAGE})) as address:
        result = paceline("models", "--address", address, "--json")
    assert json.loads(result.out)["defaultModel"] == "demo"
