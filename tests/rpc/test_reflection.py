"""A stock client that knows nothing but the address: it learns the contract by reflection alone.

Its messages come from a descriptor pool of its own, which asks the server for each file; none of the
generated stubs is used. Whoever writes a tool, in any language, meets the server like this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from paceline_server.providers.simulated_script import AfterScript, Fail, Ok
from paceline_server.providers.simulated_settings import SimulatedModel
from tests.rpc.gateway import gateway

pytestmark = pytest.mark.usefixtures("listener")

MODELS = {
    "well": SimulatedModel(answer="All is well.", script=(Ok(),), after_script=AfterScript.LAST),
    "broken": SimulatedModel(script=(Fail(),), after_script=AfterScript.LAST),
}
Fields = dict[str, Any]

REQUEST: Fields = {
    "model": "test/broken,test/well",
    "prompt": {"messages": [{"role": "ROLE_USER", "parts": [{"text": {"text": "How are you?"}}]}]},
}
SERVICES = {
    *(f"paceline.v1.{name}Service" for name in ("Chain", "Race", "Routing", "Stats", "Target")),
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
}


class StockClient:
    """Calls any method of any server that has reflection; speaks in plain data."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Know nothing yet."""
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self.pool = DescriptorPool(self._database)

    def services(self) -> set[str]:
        """What the server says that it serves."""
        return set(self._database.get_services())

    def service(self, name: str) -> ServiceDescriptor:
        """One service, with all messages that it needs."""
        found: ServiceDescriptor = self.pool.FindServiceByName(name)
        return found

    def call(self, service: str, method: str, request: Fields) -> Iterator[Fields]:
        """The answers of a method, one or many."""
        found = self.service(service).methods_by_name[method]
        question, answer = GetMessageClass(found.input_type), GetMessageClass(found.output_type)
        path = f"/{service}/{method}"
        streams = bool(getattr(found, "server_streaming", False))
        opened = self._channel.unary_stream if streams else self._channel.unary_unary
        invoke: Any = opened(
            path, request_serializer=question.SerializeToString, response_deserializer=answer.FromString
        )
        answered = invoke(ParseDict(request, question(), descriptor_pool=self.pool), timeout=20)
        for message in answered if streams else [answered]:
            yield MessageToDict(message, descriptor_pool=self.pool)

    def details(self, error: grpc.RpcError) -> list[Fields]:
        """The details of an error, by the types that the server itself describes."""
        assert isinstance(error, grpc.Call)
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        return [MessageToDict(detail, descriptor_pool=self.pool) for detail in status.details]


async def with_client(work: Any) -> None:
    """Give `work` a client of a running gateway, in a thread of its own."""
    async with gateway(MODELS) as gate:

        def run() -> None:
            with grpc.insecure_channel(gate.address) as channel:
                work(StockClient(channel))

        await asyncio.to_thread(run)
        assert not gate.bugs


async def test_the_services_are_listed() -> None:
    """Reflection: the server names everything that it serves."""

    def work(client: StockClient) -> None:
        assert client.services() == SERVICES
        for name in client.services() - {"grpc.reflection.v1alpha.ServerReflection"}:
            assert client.service(name).methods, name

    await with_client(work)


async def test_the_contract_is_described_whole() -> None:
    """Reflection: each file comes with all that it imports, errors and their details included."""

    def work(client: StockClient) -> None:
        chain = client.service("paceline.v1.ChainService")
        assert {method.name for method in chain.methods} >= {"Chain", "StreamChain"}
        assert files_of(chain.file) >= {
            "paceline/v1/chain.proto",
            "paceline/v1/completion.proto",
            "google/rpc/status.proto",
            "google/protobuf/duration.proto",
        }
        assert "attempts" in client.pool.FindMessageTypeByName("paceline.v1.CallFailure").fields_by_name

    await with_client(work)


def files_of(file: FileDescriptor) -> set[str]:
    """A file and all that it imports."""
    imported: list[FileDescriptor] = list(file.dependencies)
    return {file.name}.union(*map(files_of, imported))


async def test_a_chain_is_streamed() -> None:
    """ChainService: a client without stubs sees the failover, and folds the deltas to the answer."""

    def work(client: StockClient) -> None:
        events = list(client.call("paceline.v1.ChainService", "StreamChain", REQUEST))
        kinds = [next(iter(event)) for event in events]
        assert (kinds[0], kinds[-1]) == ("started", "finished")
        outcomes = [
            event["attemptEnded"]["attempt"]["outcome"] for event in events if "attemptEnded" in event
        ]
        assert (outcomes[0], outcomes[-1]) == ("ATTEMPT_OUTCOME_FAILED", "ATTEMPT_OUTCOME_SUCCEEDED")
        text = "".join(event["delta"]["text"]["text"] for event in events if "delta" in event)
        completion = events[-1]["finished"]["completion"]
        assert completion["parts"] == [{"text": {"text": text}}] == [{"text": {"text": "All is well."}}]
        assert completion["target"] == {"provider": "test", "model": "well"}

    await with_client(work)


async def test_a_unary_call_answers() -> None:
    """ChainService, TargetService, health: unary methods are called in the same way."""

    def work(client: StockClient) -> None:
        (answer,) = client.call("paceline.v1.ChainService", "Chain", REQUEST)
        assert answer["completion"]["parts"] == [{"text": {"text": "All is well."}}]
        (listed,) = client.call("paceline.v1.TargetService", "ListTargets", {})
        assert {status["target"]["model"] for status in listed["targets"]} == set(MODELS)
        (health,) = client.call("grpc.health.v1.Health", "Check", {})
        assert health == {"status": "SERVING"}

    await with_client(work)


async def test_the_details_of_an_error_can_be_read() -> None:
    """Errors: the server describes the types of its details, so that a tool can show them."""

    def work(client: StockClient) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            list(client.call("paceline.v1.ChainService", "Chain", {**REQUEST, "model": "test/broken"}))
        shown = client.details(caught.value)
        assert shown[0]["reason"] == "ALL_ATTEMPTS_FAILED"
        (told,) = [detail for detail in shown if detail["@type"].endswith("paceline.v1.CallFailure")]
        assert told["attempts"][0]["target"] == {"provider": "test", "model": "broken"}

    await with_client(work)
