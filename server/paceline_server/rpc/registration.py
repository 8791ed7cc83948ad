"""Binds handlers to the methods of the contract.

Goes by the descriptors, so that no RPC can be forgotten: a method that has no handler is
refused as UNIMPLEMENTED, in the same form as every other refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from paceline.v1 import chain_pb2, race_pb2, routing_pb2, stats_pb2, targets_pb2
from paceline_server.completion.errors import ErrorReason, Refused
from paceline_server.rpc.shell import Handler, Rpc, Shell

FILES: tuple[FileDescriptor, ...] = (
    chain_pb2.DESCRIPTOR,
    race_pb2.DESCRIPTOR,
    stats_pb2.DESCRIPTOR,
    routing_pb2.DESCRIPTOR,
    targets_pb2.DESCRIPTOR,
)


def services() -> list[ServiceDescriptor]:
    """Every service of the contract."""
    return [service for file in FILES for service in file.services_by_name.values()]


def register(servicers: Mapping[str, object], shell: Shell, registrar: Any) -> None:
    """Register every method, in the two ways in which generated code does: listeners take one or the other.

    Args:
        servicers: By full service name; a method `StreamChain` is served by `stream_chain`.
        registrar: Of the listener.
    """
    for service in services():
        servicer = servicers.get(service.full_name)
        methods = {method.name: _method(method, servicer, shell) for method in service.methods}
        generic = grpc.method_handlers_generic_handler(service.full_name, methods)
        registrar.add_generic_rpc_handlers([generic])
        registrar.add_registered_method_handlers(service.full_name, methods)


def _method(method: MethodDescriptor, servicer: object, shell: Shell) -> grpc.RpcMethodHandler[Any, Any]:
    handler: Handler = getattr(servicer, snake_case(method.name), _unimplemented)
    decode = GetMessageClass(method.input_type).FromString
    encode = GetMessageClass(method.output_type).SerializeToString
    name = f"/{method.containing_service.full_name}/{method.name}"
    behaviour = shell.behaviour(name, handler)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(behaviour, decode, encode)
    return grpc.unary_unary_rpc_method_handler(behaviour, decode, encode)


def snake_case(name: str) -> str:
    """`StreamChain` as `stream_chain`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


async def _unimplemented(_request: object, rpc: Rpc) -> None:
    raise Refused(ErrorReason.UNIMPLEMENTED, f"{rpc.method} is not built in this version")
