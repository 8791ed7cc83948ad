"""The import rules of the architecture hold, and the contracts that state them bite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("server/paceline_server", "clients/python/paceline_client")


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the source roots below ``root``."""
    source_roots = [str(root / package) for package in ("server", "clients/python")]
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(source_roots)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages and the contracts, free to be broken."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_contract_holds() -> None:
    """An import that is not an arrow of the architecture is a failure."""
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("paceline_server.completion.broken", "paceline_server.telemetry"),
        ("paceline_server.completion.broken", "pydantic"),
        ("paceline_server.telemetry.broken", "paceline_server.health"),
        ("paceline_server.health.broken", "paceline_server.state"),
        ("paceline_server.state.broken", "paceline_server.ledger"),
        ("paceline_server.ledger.broken", "paceline_server.providers.base"),
        ("paceline_server.providers.broken", "paceline_server.health"),
        ("paceline_server.routing.broken", "paceline_server.providers.base"),
        ("paceline_server.strategies.broken", "paceline_server.state"),
        ("paceline_server.strategies.broken", "paceline_server.rpc"),
        ("paceline_server.rpc.broken", "paceline_server.health"),
        ("paceline_server.rpc.broken", "paceline_server.providers.base"),
        ("paceline_server.rpc.broken", "paceline_server.cli"),
        ("paceline_server.cli.broken", "paceline_server.rpc"),
        ("paceline_server.newcomer", "paceline_server.completion"),
        ("paceline_server.strategies.broken", "grpc"),
        ("paceline_server.strategies.broken", "google.protobuf.message"),
        ("paceline_server.strategies.broken", "paceline.v1"),
        ("paceline_server.rpc.broken", "httpx"),
        ("paceline_server.routing.broken", "aiohttp"),
        ("paceline_server.health.broken", "redis.asyncio"),
        ("paceline_server.state.broken", "sqlite3"),
        ("paceline_client.broken", "paceline_server.completion"),
        ("paceline_client.broken", "httpx"),
    ],
)
def test_forbidden_import_breaks_a_contract(copy: Path, module: str, imported: str) -> None:
    """A contract that nothing can break protects nothing."""
    package, _, rest = module.partition(".")
    source_root = next(path for path in PACKAGES if path.endswith(package))
    path = copy / source_root / f"{rest.replace('.', '/')}.py"
    path.write_text(f'"""Breaks a rule."""\n\nimport {imported}\n')

    result = lint_imports(copy)

    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{module} ->" in result.stdout


@pytest.mark.parametrize(
    ("package", "third_parties"),
    [
        ("paceline_server.completion", set()),
        ("paceline_client", {"google", "grpc", "grpc_health", "grpc_status", "paceline"}),
    ],
)
def test_third_parties_of_the_vocabulary_and_the_client(package: str, third_parties: set[str]) -> None:
    """The vocabulary stands on the standard library, the client on the generated stubs as well."""
    graph = grimp.build_graph("paceline_server", "paceline_client", include_external_packages=True)
    modules = {package, *graph.find_descendants(package)}
    imported = {name for module in modules for name in graph.find_modules_directly_imported_by(module)}
    foreign = {name.partition(".")[0] for name in imported if not f"{name}.".startswith(f"{package}.")}
    assert foreign - sys.stdlib_module_names <= third_parties
