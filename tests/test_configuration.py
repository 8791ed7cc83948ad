"""What only the composition root can judge of a configuration: here, whether what it needs is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from paceline_server.configuration import is_installed, load_checked
from paceline_server.settings.problem import ConfigurationError

NATIVE = {"PACELINE__SERVER__LISTENER": "native"}


def test_a_listener_without_its_package_is_told_with_all_else(tmp_path: Path) -> None:
    """server.listener: `config check` says what a start would, beside every other problem (S5)."""
    path = tmp_path / "paceline.yaml"
    path.write_text("providers: {p: {format: simulated}}\nserver: {listener: native}\nlog: {level: loud}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_checked(path, {}, installed=lambda _: False)
    told = [f"{problem.place.line}: {problem.message}" for problem in caught.value.problems]
    assert told == ["2: the package pygrpc-native is not installed", "3: there is no such choice"]
    assert "requirements-native.lock" in caught.value.problems[0].remedy


def test_the_package_is_asked_for_by_those_who_need_it() -> None:
    """server.listener: native is fine where its package is, and grpcio needs none."""
    asked: list[str] = []

    def installed(package: str) -> bool:
        asked.append(package)
        return True

    assert load_checked(None, NATIVE, installed=installed).settings.server.listener == "native"
    load_checked(None, {}, installed=installed)
    assert asked == ["pygrpc_native"]


@pytest.mark.parametrize(("package", "there"), [("pytest", True), ("paceline_no_such_package", False)])
def test_what_is_installed_is_found(package: str, *, there: bool) -> None:
    """server.listener: a package counts as there when it can be imported."""
    assert is_installed(package) is there
