"""The documentation has every setting as the schema does, and the example is a configuration that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.configuration import load_checked
from paceline_server.settings.reference import rows, vendor_rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
HTTP_FORMATS = ("openai", "anthropic", "gemini")
EXAMPLE = ROOT / "examples" / "paceline.yaml"
_, _, MODELS = EXAMPLE.read_text("utf-8").partition("\nmodels:\n")
COMMENT = re.compile(r"^  # (?=( *)[\w-]+:)", re.MULTILINE)
COMMENTED = "models:\n" + COMMENT.sub("  ", MODELS.partition("\nproviders:")[0])


def test_every_setting_is_documented_as_it_is() -> None:
    """The tables of the page are the schema's, row by row; a failure shows the rows to paste."""
    _, _, settings = PAGE.partition("## All settings")
    documented = [line for line in settings.splitlines() if line.startswith("| `")]
    # What all formats over HTTP share stands in one table.
    of_format = {name: [str(row) for row in rows() if row.group == name] for name in HTTP_FORMATS}
    shared = set.intersection(*map(set, of_format.values()))
    own = [line for lines in of_format.values() for line in lines if line not in shared]
    others = [str(row) for row in rows() if row.group not in of_format]
    assert sorted(documented) == sorted([*shared, *own, *others])


def test_every_setting_says_what_it_means() -> None:
    """A setting without a meaning, a kind or a place is not documented."""
    assert [row for row in rows() if not row.meaning or not row.kind] == []


def test_every_vendor_is_documented_as_it_is() -> None:
    """The table of vendors is made of what is known of them; a failure shows the rows to paste."""
    _, _, vendors = PAGE.partition("## Vendors")
    documented = [line for line in vendors.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert documented == [str(row) for row in vendor_rows()]


def test_every_failure_class_is_documented() -> None:
    """What a classify rule may say is on the page."""
    assert [member.name for member in FailureClass if f"`{member.name}`" not in PAGE] == []


def test_the_example_is_a_whole_configuration() -> None:
    """The example passes every check, the names of its models included (S5)."""
    keys = {f"{company}_API_KEY": "one" for company in ("OPENAI", "ANTHROPIC", "GEMINI")}
    settings = load_checked(EXAMPLE, keys).settings
    assert sorted(settings.providers) == ["anthropic", "gemini", "mine", "openai", "simulated"]
    assert settings.models["cheap"].specs == (
        "mine/qwen3-8b",
        "gemini/gemini-2.5-flash-lite",
        "openai/gpt-4o-mini",
    )


@pytest.mark.parametrize(
    "section",
    ["server", "tls", "call", "drain", "attempts", "health", "retry_budget", "hedge_budget", "log", "models"],
)
def test_the_example_shows_every_section(section: str) -> None:
    """Who starts from the example finds each section in it."""
    assert f"\n{section}:" in EXAMPLE.read_text("utf-8").replace("# ", "")


@pytest.mark.parametrize("text", [*re.findall(r"```yaml\n(models:\n.*?)```", PAGE, re.DOTALL), COMMENTED])
def test_the_models_of_the_page_and_those_in_comments_are_accepted(tmp_path: Path, text: str) -> None:
    """Who copies an example, or takes the comment away, gets a configuration that works (S5)."""
    file = tmp_path / "paceline.yaml"
    vendors = ("groq", "openai", "anthropic", "gemini", "mine")
    file.write_text(text + "providers:\n" + "".join(f"  {name}: {{format: simulated}}\n" for name in vendors))
    settings = load_checked(file, {}).settings
    assert len([model for model in settings.models.values() if model.race]) >= 2
