"""What is the native listener's own: what it leaves to grpcio, its package (an extra), and its caution."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from paceline_server.rpc.health import HealthRpc
from paceline_server.rpc.native import NativeListener
from paceline_server.rpc.native_fallback import Fallback
from paceline_server.rpc.native_threads import patient_threads
from paceline_server.rpc.registration import register
from paceline_server.rpc.shell import Shell
from tests.rpc.gateway import CallBook, ask, failure, gateway, options

WITHOUT_THE_PACKAGE = """
import sys
sys.modules["pygrpc_native"] = None
from paceline_server.__main__ import main
main()
"""


class RecordingFallback(Fallback):
    """Keeps what it is given to serve."""

    def __init__(self) -> None:
        """Nothing yet."""
        super().__init__(1 << 20)
        self.methods: set[str] = set()

    def add(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Keep the methods' paths."""
        self.methods |= {f"/{service_name}/{name}" for name in method_handlers}


async def test_only_reflection_is_left_to_grpcio() -> None:
    """S7: every method of the contract and of health is served by the front itself."""
    fallback = RecordingFallback()
    registrar = NativeListener(options(listener="native"), fallback).registrar
    register({}, Shell(maximum_deadline=1.0, observer=CallBook()), registrar)
    health_pb2_grpc.add_HealthServicer_to_server(HealthRpc(), registrar)
    add: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
    add(reflection.aio.ReflectionServicer([]), registrar)
    assert fallback.methods == {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}


async def test_without_its_package_the_extra_is_named() -> None:
    """server.listener: where the extra is not installed, the start says what to install."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WITHOUT_THE_PACKAGE, "serve", "--listen", "127.0.0.1:0"),
        env={"PACELINE__SERVER__LISTENER": "native", "PYTHONPATH": ":".join(sys.path)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 2
    assert told.decode().startswith("PACELINE__SERVER__LISTENER: server.listener: the package pygrpc-native")
    assert "pip install '.[native]'" in told.decode()


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1:0", True),
        ("127.8.8.8:50051", True),
        ("[::1]:0", True),
        ("localhost:0", True),
        ("unix:/run/paceline.sock", True),
        ("0.0.0.0:0", False),
        ("[::]:0", False),
        ("10.0.0.1:0", False),
        ("gateway.internal:0", False),
    ],
)
def test_an_address_that_a_network_reaches_is_known(address: str, *, trusted: bool) -> None:
    """S7: only loopback and socket files are this machine's alone; a name may lead anywhere."""
    assert options(address=address).on_this_machine_only is trusted


async def test_the_caution_is_for_native_on_a_network() -> None:
    """S7: the native listener says that it is for trusted networks; grpcio has nothing to say."""
    async with gateway(address="0.0.0.0:0", listener="native") as gate:
        assert "trusted networks only" in gate.server.caution
    async with gateway(address="0.0.0.0:0", listener="grpcio") as gate:
        assert not gate.server.caution
    async with gateway(listener="native") as gate:
        assert not gate.server.caution


async def test_a_request_that_is_no_message_tells_nothing_of_the_exception() -> None:
    """Errors: the text of a parser is not the caller's."""
    async with gateway(listener="native") as gate:
        channel: Any = gate.channel
        told = await failure(channel.unary_unary("/paceline.v1.ChainService/Chain")(b"\xff"))
        assert told.message == "the request is no message of this method"
        await gate.chain.Chain(ask())


def policy_inside() -> int:
    """The scheduling policy of a thread that is started as the front's are."""
    found: list[int] = []
    with patient_threads():
        thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
        thread.start()
        thread.join()
    return found[0]


def threads_named(name: str) -> list[int]:
    """The threads of this process that are called so, as the system knows them."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if (task / "comm").read_text().strip() == name:
                found.append(int(task.name))
    return found


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the system has no such choice")
async def test_the_fronts_thread_interrupts_nobody() -> None:
    """Native: what calls write gathers until Python gives way, whose own thread stays as it was."""
    async with gateway(listener="native"):
        policies = [os.sched_getscheduler(thread) for thread in threads_named("grpc-native-io")]
        assert policies == [os.SCHED_BATCH]
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the system has no such choice")
@pytest.mark.parametrize("chosen", ["SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"])
def test_what_the_operator_has_chosen_stays(chosen: str) -> None:
    """Native: only where nothing was chosen do the front's threads get a policy of their own."""
    found: list[tuple[int, int]] = []

    def run() -> None:
        os.sched_setscheduler(0, getattr(os, chosen), os.sched_param(0))
        found.append((policy_inside(), os.sched_getscheduler(0)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    inside = os.SCHED_BATCH if chosen == "SCHED_OTHER" else getattr(os, chosen)
    assert found == [(inside, getattr(os, chosen))]
