"""Other gateways, measured on request in front of the same upstream: how they are installed and started.

Each gets a folder of its own below build/, and nothing of it is a dependency of the project.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.generator import Model
from bench.processes import ROOT, SERVER_CORES, Server, started
from bench.program import Missing

INSTALLED = ROOT / "build" / "bench" / "peers"
READY_TIMEOUT = 180.0
POLL_SECONDS = 0.2
KEY = f"sk-{secrets.token_hex(24)}"
AUTHORIZATION = f"authorization: Bearer {KEY}"


@dataclass(frozen=True)
class Peer:
    """A gateway as it runs in front of one upstream.

    Attributes:
        title: Its name and version.
        headers: What its callers send with each request, as whole lines.
    """

    title: str
    command: Sequence[str]
    headers: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def serving_peer(name: str, upstream: Server, folder: Path) -> Iterator[tuple[Peer, Server]]:
    """Install a peer if it is not, start it on the servers' core, and stop it afterwards.

    Raises:
        Missing: It cannot be installed, or does not start.
    """
    port = _free_port()
    peer = PEERS[name](upstream, port)
    log = folder / f"{name}.log"
    start = time.monotonic()
    with started(peer.command, SERVER_CORES, log, peer.environ) as process:
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() - start > READY_TIMEOUT:
                raise Missing(f"{peer.title} did not start: {log.read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
        yield peer, Server(process.pid, f"127.0.0.1:{port}", time.monotonic() - start)


def _litellm(upstream: Server, port: int) -> Peer:
    """LiteLLM's proxy with one worker and without a database. It does not start without a key of its own."""
    version = "1.106.0"
    home = INSTALLED / f"litellm-{version}"
    program = home / "bin" / "litellm"
    if not program.exists():
        _install([sys.executable, "-m", "venv", "--clear", str(home)])
        _install([str(home / "bin" / "pip"), "install", "--quiet", f"litellm[proxy]=={version}"])
    parameters = f"api_base: http://{upstream.address}/v1, api_key: bench"
    models = [
        f"  - {{model_name: {name}, litellm_params: {{model: openai/{name}, {parameters}}}}}"
        for name in (Model.UNARY.value, Model.BURST.value, Model.PACED.value)
    ]
    configuration = home / "models.yaml"
    settings = f"general_settings: {{master_key: {KEY}}}"
    configuration.write_text("\n".join(["model_list:", *models, settings, ""]))
    listen = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    environ = {
        "PYTHONPATH": "",  # its own libraries, not the project's
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the prices that it brings, not a download
    }
    command = [str(program), "--config", str(configuration), *listen]
    return Peer(f"LiteLLM proxy {version}", command, (AUTHORIZATION,), environ)


def _portkey(upstream: Server, port: int) -> Peer:
    """Portkey's gateway on Node."""
    version = "1.15.2"
    home = INSTALLED / f"portkey-{version}"
    program = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        manifest = {
            "dependencies": {"@portkey-ai/gateway": version},
            # With later ones every stream of this version fails: they hand it headers that it cannot change.
            "overrides": {"@hono/node-server": "1.13.8"},
        }
        (home / "package.json").write_text(json.dumps(manifest))
        _install(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(home)])
    command = [_program("node"), str(program), "--headless", f"--port={port}"]
    headers = (
        AUTHORIZATION,
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://{upstream.address}/v1",
    )
    return Peer(f"Portkey gateway {version}", command, headers)


PEERS: Mapping[str, Callable[[Server, int], Peer]] = {"litellm": _litellm, "portkey": _portkey}


def _install(command: Sequence[str]) -> None:
    finished = subprocess.run(  # noqa: S603 - pip, or npm, of a pinned version
        [_program(command[0]), *command[1:]], capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise Missing(f"{' '.join(command)} failed:\n{finished.stderr[-2000:]}")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"this peer needs {name}, which is not installed")
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
