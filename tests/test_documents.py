"""The pages define every rule that is named, show the arrows as they are, and link to what is there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
NAMING_RULES = ("server", "clients", "tests", "bench", "examples", "docs")
PACKAGE = "paceline_server"
BASES = (ROOT, ROOT / "server" / PACKAGE)

CODE = r"[ACHRPLKS]\d{1,2}"
DEFINED = re.compile(rf"^- \*\*({CODE})\*\* ", re.MULTILINE)
NAMED = re.compile(
    rf"""
      \brules?\s({CODE})\b
    | (?: ^ | ["(\[] | \band\s | \bto\s | [,;]\s ) ({CODE})
      (?= [:,;)\]] | \sto\s{CODE}\b | \sand\s{CODE}\b | \.(?:\s|$) | $ )
    """,
    re.VERBOSE | re.MULTILINE,
)
"""A code after "rule", or where it stands alone, in a list or in brackets: (A1), C1 to C5, "K4: ..."."""

FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MODULE = re.compile(r"`((?:\w+/)+\w+(?:\.py)?|\w+\.py)`")


def named_rules(text: str) -> set[str]:
    """The codes of rules that a text names."""
    return {match[1] or match[2] for match in NAMED.finditer(text)}


def defined_rules() -> list[str]:
    """The codes of the page, in its order."""
    return DEFINED.findall((DOCS / "semantics.md").read_text("utf-8"))


def texts() -> Iterator[Path]:
    """Every text that may name a rule."""
    for folder in NAMING_RULES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".md"} and path != Path(__file__):
                yield path


def prose(page: Path) -> str:
    """A page without its examples of code."""
    return FENCED.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """What a link to the page may name after its #."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_rule_that_is_named_is_defined() -> None:
    """A code leads whoever meets it to the page that says what it means."""
    defined = set(defined_rules())
    unknown = {
        str(path.relative_to(ROOT)): strange
        for path in texts()
        if (strange := named_rules(path.read_text("utf-8")) - defined)
    }
    assert unknown == {}, "docs/semantics.md does not define them"


def test_rules_are_numbered_without_gaps() -> None:
    """A code is defined once, in its group, and none was left out."""
    for group, codes in groupby(defined_rules(), key=lambda code: code[0]):
        numbers = [int(code[1:]) for code in codes]
        assert numbers == list(range(1, len(numbers) + 1)), group


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('"""A8: a misfit costs nobody anything."""', {"A8"}),
        ('"""K4, A6: billed as told."""', {"K4", "A6"}),
        ('"""S2, mTLS: only clients with a certificate come in."""', {"S2"}),
        ("in whole numbers (K4, stream rule 5).", {"K4"}),
        ("tried head to tail (rules C1 to C5).", {"C1", "C5"}),
        ("The rules are H1 to H3.", {"H3"}),
        ("Enforces rule A1 above the adapters, and A2: an answer", {"A1", "A2"}),
        ("send one request once ([A7](semantics.md))", {"A7"}),
        ("kept in S3 storage, on an A100 or an L40 beside the H100", set()),
        ("(data:,Gr%C3%BC%C3%9Fe) # noqa: S314, N802", set()),
        ('re.compile(r"[A-Z_][A-Z0-9_]{0,99}")', set()),
        ("P50 float64; the P99, in seconds", set()),
    ],
)
def test_what_counts_as_naming_a_rule(text: str, codes: set[str]) -> None:
    """Codes are found where rules are named, and other words of a letter and a number are left alone."""
    assert named_rules(text) == codes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to another file of the project, or to a heading, has it there."""
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith(("https:", "http:", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize(
    "name", ["semantics.md", "architecture.md", "configuration.md", "faults.md", "races.md"]
)
def test_every_page_is_found_from_the_first(name: str) -> None:
    """The README leads to each page."""
    assert f"docs/{name}" in LINK.findall(prose(ROOT / "README.md"))


def test_arrows_are_documented_as_they_are_enforced() -> None:
    """The table of who may import whom is that of the import contracts, row by row."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract for contract in contracts if contract["id"] == "layers")
    enforced: dict[str, set[str]] = {}
    for arrow in layers["ignore_imports"]:
        source, target = (end.removeprefix(f"{PACKAGE}.").removesuffix(".**") for end in arrow.split(" -> "))
        enforced.setdefault(source, set()).add(target)
    _, _, section = prose(DOCS / "architecture.md").partition("## Who may import whom")
    rows = [line.split("|") for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    documented = {row[1].strip(" `"): set(re.findall(r"`([^`]+)`", row[2])) for row in rows}
    assert documented == enforced


def test_modules_of_the_architecture_exist() -> None:
    """A page that leads to a module which has moved is worse than none."""
    named = MODULE.findall(prose(DOCS / "architecture.md"))
    assert len(named) > 20, "the pattern finds no modules"
    assert [path for path in named if not any((base / path).exists() for base in BASES)] == []
