"""`paceline config`: judges a configuration, and lists what can stand in one, without starting anything."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from paceline_server.cli.exits import OK, UNUSABLE, epilog
from paceline_server.cli.problems import print_problems
from paceline_server.cli.table import print_table
from paceline_server.configuration import load_checked
from paceline_server.settings.problem import ConfigurationError, Problem, written
from paceline_server.settings.reference import vendor_rows
from paceline_server.settings.schema import redacted
from paceline_server.settings.vendors import authorises_itself


@click.group()
def config() -> None:
    """Check a configuration, and see what can stand in one."""


@config.command(
    epilog=epilog(
        "paceline config check paceline.yaml",
        "paceline config check paceline.yaml --json | jq '.problems[].message'",
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path), envvar="PACELINE_CONFIG")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(file: Path | None, *, as_json: bool) -> int:
    """Check FILE together with the environment, as a start would.

    Without FILE it is the file that PACELINE_CONFIG names, else the defaults.
    Every problem is told, each with its place and what to write instead. Secrets
    are never shown.
    """
    try:
        settings = redacted(load_checked(file, os.environ).settings)
    except ConfigurationError as error:
        _show_problems(error.problems, as_json=as_json)
        return UNUSABLE
    if as_json:
        click.echo(json.dumps({"valid": True, "settings": settings}, ensure_ascii=False))
    else:
        for line in _summary(str(file or "the default configuration"), settings):
            click.echo(line)
    return OK


@config.command(epilog=epilog("paceline config vendors", "paceline config vendors --json | jq -r '.[].name'"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def vendors(*, as_json: bool) -> int:
    """List the vendors that a provider can name.

    KEY is the environment variable that holds the key by custom. A vendor that bills
    on goes on generating when a call is cancelled; one that takes a prefill
    continues an answer that was begun for it; one that gives log probabilities can
    be asked how sure its answers are.
    """
    known = vendor_rows()
    if as_json:
        click.echo(json.dumps([row._asdict() for row in known], ensure_ascii=False))
    else:
        print_table(("VENDOR", "WHO", "FORMAT", "BASE URL", "KEY", "BILLS ON", "PREFILL", "LOGPROBS"), known)
    return OK


def _show_problems(problems: tuple[Problem, ...], *, as_json: bool) -> None:
    if as_json:
        found = [_as_data(problem) for problem in problems]
        click.echo(json.dumps({"valid": False, "problems": found}, ensure_ascii=False))
        return
    print_problems(problems)


def _as_data(problem: Problem) -> dict[str, Any]:
    return {
        "source": problem.place.source,
        "line": problem.place.line or None,
        "column": problem.place.column or None,
        "setting": written(problem.path),
        "message": problem.message,
        "remedy": problem.remedy,
    }


def _summary(name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    yield f"{name} is valid"
    yield f"listens on {settings['listen']}{' with TLS' if settings.get('tls') else ''}"
    for provider, given in settings["providers"].items():
        yield f"provider {provider}: {', '.join(_about(given))}"
    for model, given in settings["models"].items():
        yield f"model {model}: {_made_of(given)}"
    if settings.get("default_model"):
        yield f"default model: {settings['default_model']}"


def _about(provider: Mapping[str, Any]) -> Iterator[str]:
    yield provider["format"]
    if provider.get("vendor"):
        # It asks for a key where it needs one.
        yield f"vendor {provider['vendor']}"
    elif "base_url" in provider and "key" not in provider and not authorises_itself(provider["headers"]):
        yield "no key"


def _made_of(model: Mapping[str, Any]) -> str:
    if "race" not in model:
        return str(model.get("alias") or " then ".join(model["chain"]))
    (strategy,) = model.get("strategy") or ("first",)
    return f"{strategy} of {', '.join(candidate['model'] for candidate in model['race'])}"
