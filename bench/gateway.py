"""The servers that are compared: `paceline serve` in front of the mock upstream, and the bare reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.processes import SERVER_CORES, Server, module, serving

KEY_VARIABLE = "PACELINE_BENCH_KEY"
LISTENERS = ("grpcio", "native")
LISTENER_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "grpcio": {},
    "native": {"PACELINE__SERVER__LISTENER": "native"},
}

# The log stays as it is by default, a JSON line a call, written to a file.
CONFIGURATION = """\
listen: 127.0.0.1:0
providers:
  mock:
    format: openai
    base_url: http://{upstream}/v1
    key: {{env: {variable}}}
    targets:
      unary: {{price: {{input_usd_per_million: 0.15, output_usd_per_million: 0.6}}}}
models:
{names}
"""

RACING = """\
listen: 127.0.0.1:0
providers:
  mock:
    format: openai
    base_url: http://{upstream}/v1
    key: {{env: {variable}}}
  whole: {{format: simulated, targets: {{a: {{}}, b: {{}}, c: {{}}}}}}
  words: {{format: simulated, targets: {{a: {{merge: false}}, b: {{merge: false}}, c: {{merge: false}}}}}}
"""
"""For races: the mock upstream, and simulated targets without latency. Those of `whole` give what is due in
one read, which is all of it; those of `words` a token a read."""


@contextmanager
def paceline(listener: str, upstream: Server, folder: Path, name_count: int = 10) -> Iterator[Server]:
    """Start Paceline with `name_count` configured names."""
    names = "\n".join(f"  name-{index}: mock/unary" for index in range(name_count))
    text = CONFIGURATION.format(upstream=upstream.address, variable=KEY_VARIABLE, names=names)
    with _serving(f"paceline-{name_count}", text, listener, folder) as server:
        yield server


def racing(listener: str, upstream: Server, folder: Path) -> AbstractContextManager[Server]:
    """Start Paceline with the targets that races are measured with."""
    text = RACING.format(upstream=upstream.address, variable=KEY_VARIABLE)
    return _serving("paceline-racing", text, listener, folder)


def _serving(name: str, text: str, listener: str, folder: Path) -> AbstractContextManager[Server]:
    configuration = folder / f"{name}.yaml"
    configuration.write_text(text)
    program = Path(sys.executable).with_name("paceline")
    command = [str(program), "serve", "--config", str(configuration)]
    environ = {KEY_VARIABLE: "bench", **LISTENER_SETTINGS[listener]}
    return serving(command, SERVER_CORES, folder / f"{name}.log", environ)


def reference(listener: str, upstream: Server, folder: Path) -> AbstractContextManager[Server]:
    """Start the bare reference."""
    command = module("bench.reference", listener, upstream.address)
    return serving(command, SERVER_CORES, folder / "reference.log")
