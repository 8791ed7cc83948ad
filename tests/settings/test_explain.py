"""Every mistake is told with its place and a remedy, and no secret is repeated (S5, S6).

`refused.txt` is the table: files, each followed by exactly what is said about it.
"""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from paceline_server.configuration import load_checked
from paceline_server.settings.load import load
from paceline_server.settings.problem import HIDDEN_KEY, ConfigurationError, shown
from paceline_server.settings.reference import rows

CANARY = "sk-canary-4711"
SIMULATED = "providers: {simulated: {format: simulated}}\n"
UNPARSED = ("log: {level: info\n", "- a\n")
TABLE = Path(__file__).with_name("refused.txt").read_text("utf-8")
SETTINGS = sorted({row.name.replace("<name>", "p").replace("[]", "") for row in rows()})


def refusal(file: Path, **environ: str) -> ConfigurationError:
    """What is said about a file."""
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ)
    return caught.value


@pytest.mark.parametrize("block", TABLE.strip().split("\n\n"))
def test_a_mistake_is_told_with_its_line_and_a_remedy(tmp_path: Path, block: str) -> None:
    """Each line of the table is said, and nothing else."""
    text, _, said = block.partition("\n=> ")
    file = tmp_path / "paceline.yaml"
    alone = "providers:" in text or f"{text}\n" in UNPARSED
    file.write_text(f"{text}\n" if alone else f"{text}\n{SIMULATED}")
    lines = [f"{file}:{line}" for line in said.split("\n=> ")]
    assert str(refusal(file)).splitlines() == lines


def test_every_problem_of_every_source_is_listed(tmp_path: Path) -> None:
    """Nobody mends a configuration one start at a time."""
    file = tmp_path / "paceline.yaml"
    file.write_text(
        "listen: nowhere\n"
        "log: {level: loud}\n"
        "health: {jitter: 3}\n"
        "models: {m: {chain: []}}\n"
        "log: {}\n"
        "providers: {p: {format: x}, q: {format: openai}}\n"
    )
    error = refusal(file, PACELINE__CALL__MAXIMUM_DEADLINE="never", PACELINE_PROVIDER_R="openai")
    assert [str(problem.place).removeprefix(f"{file}:") for problem in error.problems] == [
        "1:9",
        "2:14",
        "3:18",
        "4:21",
        "5:1",
        "6:25",
        "6:29",
        "PACELINE_PROVIDER_R",
        "PACELINE__CALL__MAXIMUM_DEADLINE",
    ]


@pytest.mark.parametrize("provider", ["{format: openai, base_url: 'http://h'}", "{format: simulated}"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path, setting: str, provider: str) -> None:
    """Whatever setting a secret is written into, no problem, cause or traceback repeats it."""
    file = tmp_path / "paceline.yaml"
    file.write_text(f"providers: {{p: {provider}}}\n")
    variable = f"PACELINE__{setting.replace('.', '__').upper()}"
    for form in (
        "{}",
        "[{}]",
        "{{env: {}}}",
        "{{file: {}}}",
        '"{}',
        "!{} x",
        "https://u:{}@h/",
        "https://h?key={}",
        "{{{}: 1}}",
        "{{{}: 1, {}: 2}}",
        "[{{{}: {{a: 1}}}}]",
    ):
        said = _said(file, {variable: form.replace("{}", CANARY).format()})
        assert CANARY not in said


def _said(file: Path, environ: dict[str, str]) -> str:
    try:
        load(file, environ)
    except ConfigurationError as error:
        return f"{error}{error!r}{error.problems}{''.join(traceback.format_exception(error))}"
    return ""


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("levle", "levle"),
        ("key_file", "key_file"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-20250514"),
        ("gpt-4.1", "'gpt-4.1'"),
        ("a b", "'a b'"),
        ("correct horse battery staple", "'correct hors...'"),
        ("x" * 65, "'xxxxxxxxxxxx...'"),
        ("sk-1", HIDDEN_KEY),
        ("Bearer abc", HIDDEN_KEY),
        ("0123456789abcdef0123456789abcdef", HIDDEN_KEY),
        ("team/dGhpcyBpcyBub3QgYSBzZWNyZXQ1/x", HIDDEN_KEY),
    ],
)
def test_a_settings_name_is_shown_only_if_it_can_be_one(key: str, text: str) -> None:
    """S6: a secret that stands where a name belongs is not repeated, and no name is longer than a line."""
    assert shown(key) == text


SECRETS = [
    "sk-canary-4711",
    "Bearer canary4711",
    "simulated,sk-canary-4711",
    "absent/sk-canary-4711",
    "sk_canary/model",
    "/AIzacanary4711",
    "canary4711/dGhpcyBpcyBub3QgYSBzZWNyZXQ1",
    "%canary0123456789abcdef0123456789abcdef",
]


@pytest.mark.parametrize(
    "form", ["default_model: '{}'", "models: {{m: '{}'}}", "models: {{m: {{chain: ['{}']}}}}"]
)
@pytest.mark.parametrize("spec", SECRETS)
def test_a_secret_that_stands_for_a_spec_is_not_repeated(tmp_path: Path, form: str, spec: str) -> None:
    """S6: a key pasted where a model belongs is told as such, at its place, and not shown."""
    file = tmp_path / "paceline.yaml"
    file.write_text(f"{form.format(spec)}\n{SIMULATED}")
    with pytest.raises(ConfigurationError) as caught:
        load_checked(file, {})
    assert "canary" not in f"{caught.value}{caught.value!r}{caught.value.problems}"


def test_a_spec_that_is_none_is_still_repeated(tmp_path: Path) -> None:
    """S5: who misspells a name sees what was written."""
    file = tmp_path / "paceline.yaml"
    file.write_text(f"default_model: 'simulatd/!'\nmodels: {{m: '!claude-sonnet-4-20250514'}}\n{SIMULATED}")
    with pytest.raises(ConfigurationError, match="'!claude-sonnet-4-20250514' has no valid name"):
        load_checked(file, {})
