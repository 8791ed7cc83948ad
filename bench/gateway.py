"""Paceline as it is measured: `paceline serve` with a configuration that points at the mock upstream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import SERVER_CORES, Server, serving

KEY_VARIABLE = "PACELINE_BENCH_KEY"

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


@contextmanager
def paceline(upstream: str, folder: Path, name_count: int = 10) -> Iterator[Server]:
    """Start Paceline with `name_count` configured names."""
    names = "\n".join(f"  name-{index}: mock/unary" for index in range(name_count))
    configuration = folder / f"paceline-{name_count}.yaml"
    configuration.write_text(CONFIGURATION.format(upstream=upstream, variable=KEY_VARIABLE, names=names))
    program = Path(sys.executable).with_name("paceline")
    command = [str(program), "serve", "--config", str(configuration)]
    log = folder / f"paceline-{name_count}.log"
    with serving(command, SERVER_CORES, log, {KEY_VARIABLE: "bench"}) as server:
        yield server
