"""`paceline config check` judges without starting anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Paceline

GOOD = """\
default_model: quick
providers:
  openai: {format: openai, base_url: "https://api.example/v1", key: {env: OPENAI_KEY}}
  sim: {format: simulated}
  mine: {vendor: vllm}
models:
  quick: {chain: [openai/small, sim/steady]}
  same: sim/steady
  agree: {race: [quick, {model: sim/slow}], strategy: {consensus: {quorum: 2}}}
  either: {race: [sim/slow, sim/steady]}
"""
BAD = """\
providers: {sim: {format: simulated}}
listen: nowhere
models:
  broken: {chain: [nobody/model]}
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_KEY", "sk-very-secret")


def test_a_good_file_is_summed_up(paceline: Paceline, tmp_path: Path) -> None:
    """Providers, names and default are told; the secret is not."""
    file = tmp_path / "paceline.yaml"
    file.write_text(GOOD)
    result = paceline("config", "check", str(file))
    assert result.code == 0
    assert result.out.splitlines() == [
        f"{file} is valid",
        "listens on 127.0.0.1:50051",
        "provider openai: openai",
        "provider sim: simulated",
        "provider mine: openai, vendor vllm",
        "model quick: openai/small then sim/steady",
        "model same: sim/steady",
        "model agree: consensus of quick, sim/slow",
        "model either: first of sim/slow, sim/steady",
        "default model: quick",
    ]


def test_the_vendor_of_a_known_url_is_told(paceline: Paceline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives a provider by its URL sees whose data it has got."""
    monkeypatch.setenv("PACELINE_PROVIDER_GROQ", "openai+https://api.groq.com/openai/v1")
    monkeypatch.setenv("PACELINE_PROVIDER_GROQ_KEY", "gsk-very-secret")
    assert "provider groq: openai, vendor groq" in paceline("config", "check").out.splitlines()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", ", no key"),
        (", headers: {Authorization: {env: OPENAI_KEY}}", ""),
        (", key: {env: OPENAI_KEY}", ""),
    ],
)
def test_a_provider_without_a_key_is_told(paceline: Paceline, tmp_path: Path, more: str, told: str) -> None:
    """A forgotten key shows before the first call is refused."""
    file = tmp_path / "paceline.yaml"
    file.write_text(f"providers: {{p: {{format: openai, base_url: 'http://h'{more}}}}}\n")
    assert f"provider p: openai{told}" in paceline("config", "check", str(file)).out.splitlines()


def test_json_masks_secrets(paceline: Paceline, tmp_path: Path) -> None:
    """The whole configuration as data, without what nobody may see."""
    file = tmp_path / "paceline.yaml"
    file.write_text(GOOD)
    result = paceline("config", "check", str(file), "--json")
    assert json.loads(result.out)["valid"] is True
    assert "sk-very-secret" not in result.out


def test_every_problem_has_its_line_and_remedy(paceline: Paceline, tmp_path: Path) -> None:
    """All problems come at once, names that lead nowhere included."""
    file = tmp_path / "paceline.yaml"
    file.write_text(BAD)
    result = paceline("config", "check", str(file))
    assert (result.code, result.out) == (2, "")
    lines = result.err.splitlines()
    assert [line.removeprefix(f"{file}:").split(":")[0] for line in lines[:-1]] == ["2", "4"]
    assert all("Remedy:" in line for line in lines[:-1])
    assert lines[-1] == "2 problems; nothing was started"


def test_problems_as_json_have_their_parts(paceline: Paceline, tmp_path: Path) -> None:
    """Editors and pipelines get place, setting, message and remedy apart."""
    file = tmp_path / "paceline.yaml"
    file.write_text(BAD)
    result = paceline("config", "check", str(file), "--json")
    assert result.code == 2
    problem = json.loads(result.out)["problems"][0]
    assert (problem["line"], problem["setting"]) == (2, "listen")
    assert set(problem) == {"source", "line", "column", "setting", "message", "remedy"}


def test_without_a_file_the_defaults_are_judged(paceline: Paceline) -> None:
    """What a start without a file would use is valid."""
    result = paceline("config", "check")
    assert (result.code, result.out.splitlines()[0]) == (0, "the default configuration is valid")


def test_a_file_that_is_not_there_is_a_problem(paceline: Paceline, tmp_path: Path) -> None:
    """A wrong path is told like any other mistake."""
    result = paceline("config", "check", str(tmp_path / "none.yaml"))
    assert result.code == 2
    assert "cannot be read" in result.err


def test_the_vendors_are_listed(paceline: Paceline) -> None:
    """Who writes a configuration sees whom a provider can name, and where its key is looked for."""
    (groq,) = [line for line in paceline("config", "vendors").out.splitlines() if line.startswith("groq")]
    told = "groq Groq openai https://api.groq.com/openai/v1 GROQ_API_KEY yes some models no"
    assert groq.split() == told.split()
    listed = json.loads(paceline("config", "vendors", "--json").out)
    assert {"anthropic", "openai", "gemini", "vllm"} <= {vendor["name"] for vendor in listed}
