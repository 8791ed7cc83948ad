"""The settings become the engines' values, with the engines' defaults, and are shown without secrets."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.usage import Price
from paceline_server.health.budget import HEDGES, BudgetConfig
from paceline_server.health.machine import HealthConfig
from paceline_server.providers.profile import Profile
from paceline_server.providers.simulated_pace import DISTRIBUTION_KINDS, Uniform
from paceline_server.providers.simulated_script import STEP_KINDS, Fail, Slow
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.routing.spec import NAME
from paceline_server.settings.engines import (
    AttemptSettings,
    HealthSettings,
    HedgeBudgetSettings,
    RetryBudgetSettings,
)
from paceline_server.settings.load import load
from paceline_server.settings.problem import ConfigurationError
from paceline_server.settings.providers import OpenAISettings, SimulatedSettings
from paceline_server.settings.schema import Settings, redacted
from paceline_server.settings.simulated import PaceForms, SimulatedTargetSettings, StepForms
from paceline_server.settings.values import NAME_PATTERN
from paceline_server.strategies.call import AttemptConfig

CANARY = "sk-canary-4711"
NO_SETTINGS = {"shortest_share", "start"}
"""Of the attempts' and the budgets' configuration: no operator has a reason to change them."""


def settings_of(data: dict[str, Any]) -> Settings:
    """Settings without files or environment."""
    return Settings.model_validate(data)


def test_defaults_are_those_of_the_engines() -> None:
    """A default is written once."""
    assert AttemptSettings().to_attempt_config() == AttemptConfig()
    assert HealthSettings().to_health_config() == HealthConfig()
    assert RetryBudgetSettings().to_budget_config() == BudgetConfig()
    assert HedgeBudgetSettings().to_budget_config() == HEDGES


@pytest.mark.parametrize(
    ("section", "config"),
    [
        (AttemptSettings, AttemptConfig),
        (HealthSettings, HealthConfig),
        (RetryBudgetSettings, BudgetConfig),
        (HedgeBudgetSettings, BudgetConfig),
    ],
)
def test_every_number_of_the_engines_is_a_setting(section: Any, config: Any) -> None:
    """A new number of an engine cannot be forgotten here."""
    assert {field.name for field in fields(config)} - set(section.model_fields) <= NO_SETTINGS


def test_durations_become_seconds() -> None:
    """The engines count in seconds."""
    settings = settings_of(
        {"attempts": {"gap_timeout": "2m"}, "health": {"base": "250ms", "ramp_shares": [0.5]}}
    )
    assert settings.attempts.to_attempt_config().gap_timeout == 120.0
    assert settings.health.to_health_config() == HealthConfig(base=0.25, ramp_shares=(0.5,))


def test_prices_become_nano_usd() -> None:
    """A price per million tokens is exact, and an unknown one is None, not zero."""
    data = {
        "format": "openai",
        "base_url": "http://h",
        "quota_identity": "team",
        "targets": {
            "m": {
                "price": {"input_usd_per_million": 0.15, "output_usd_per_million": 0.6},
                "reasons_unseen": True,
            }
        },
    }
    provider = settings_of({"providers": {"p": data}}).providers["p"]
    assert isinstance(provider, OpenAISettings)
    price = Price(150_000_000, 600_000_000, version="configuration")
    assert provider.profile("m") == Profile(price=price, reasons_unseen=True, quota_identity="team")
    assert provider.profile("other") == Profile(quota_identity="team")


def test_a_name_stands_for_a_spec_or_a_chain() -> None:
    """A text alone is an alias; a chain keeps its order."""
    models = settings_of({"models": {"fast": "p/a,p/b", "cheap": {"chain": ["fast", "p/c"]}}}).models
    assert models["fast"].specs == ("p/a,p/b",)
    assert models["fast"].chain is None
    assert models["cheap"].specs == ("fast", "p/c")


def test_names_are_those_that_specs_can_use() -> None:
    """What may be configured can be called."""
    assert NAME_PATTERN.pattern == NAME.pattern


def test_the_simulated_provider_knows_every_setting_of_a_target() -> None:
    """Fields and defaults are those of the simulated model, so that it can be made of them."""
    defaults = SimulatedModel()
    target = SimulatedTargetSettings()
    assert set(SimulatedTargetSettings.model_fields) == {field.name for field in fields(SimulatedModel)}
    paces = {"first_content", "token_interval"}
    for name, value in target.plain(leave_out=paces | {"after_script"}).items():
        assert getattr(defaults, name) == value, name
    for name in paces:
        pace: PaceForms = getattr(target, name)
        assert DISTRIBUTION_KINDS[pace.kind](**pace.form.plain()) == getattr(defaults, name)
    assert target.after_script == defaults.after_script.value


def test_every_pace_and_step_can_be_ordered() -> None:
    """The forms are those of the simulated provider, and carry its arguments."""
    assert set(PaceForms.model_fields) == set(DISTRIBUTION_KINDS)
    assert set(StepForms.model_fields) == set(STEP_KINDS)
    script = [
        "ok",
        {"fail": {"failure_class": "RATE_LIMITED", "retry_after": "2s"}},
        {"cut": {"after_tokens": 3}},
        {"stall": {"before_headers": True}},
        {"slow": {"first_content": "1m"}},
        "malformed",
        {"filtered": {"after_tokens": 1}},
    ]
    data = {
        "format": "simulated",
        "targets": {"m": {"script": script, "first_content": {"uniform": {"minimum": 0, "maximum": 1}}}},
    }
    provider = settings_of({"providers": {"p": data}}).providers["p"]
    assert isinstance(provider, SimulatedSettings)
    assert provider.targets is not None
    target = provider.targets["m"]
    steps = [STEP_KINDS[step.kind](**step.form.plain()) for step in target.script]
    assert steps[1] == Fail(FailureClass.RATE_LIMITED, 2.0)
    assert steps[4] == Slow(60.0)
    pace = target.first_content
    assert DISTRIBUTION_KINDS[pace.kind](**pace.form.plain()) == Uniform(0.0, 1.0)


WITH_SECRETS = f"""
providers:
  p:
    format: openai
    base_url: https://host/v1
    key: {{env: KEY}}
    headers: {{X-Team: {CANARY}, X-Token: {{file: key}}}}
    classify: [{{status: 429, class: QUOTA}}]
  q: {{format: simulated, targets: {{m: {{first_content: 150ms, script: [ok]}}}}}}
"""


def test_a_secret_is_in_no_settings_that_are_shown(tmp_path: Path) -> None:
    """Neither repr nor dump of the settings holds a secret (S6)."""
    (tmp_path / "paceline.yaml").write_text(WITH_SECRETS)
    (tmp_path / "key").write_text(CANARY)
    loaded = load(tmp_path / "paceline.yaml", {"KEY": CANARY})
    settings = loaded.settings
    shown: list[object] = [
        repr(loaded),
        settings,
        str(settings),
        settings.model_dump(),
        settings.model_dump_json(),
    ]
    assert CANARY not in str([*shown, redacted(settings), json.dumps(redacted(settings))])
    assert redacted(settings)["providers"]["p"]["key"] == "***"
    provider = settings.providers["p"]
    assert isinstance(provider, OpenAISettings)
    assert provider.key is not None
    assert provider.key.reveal() == provider.headers["X-Team"].reveal() == CANARY


def test_redacted_settings_are_written_as_they_are_read(tmp_path: Path) -> None:
    """What `config check --json` prints is a configuration again, but for its secrets."""
    (tmp_path / "paceline.yaml").write_text(WITH_SECRETS)
    (tmp_path / "key").write_text(CANARY)
    settings = load(tmp_path / "paceline.yaml", {"KEY": CANARY}).settings
    data = redacted(settings)
    del data["providers"]["p"]["key"], data["providers"]["p"]["headers"]["X-Token"]
    again = redacted(Settings.model_validate(data))
    del again["providers"]["p"]["headers"], data["providers"]["p"]["headers"]
    assert again == data


@pytest.mark.parametrize("listener", ["native", "grpcio"])
def test_the_native_listener_is_refused_with_tls(listener: str, tmp_path: Path) -> None:
    """S7: a certificate that would not be used is an error of the configuration, with a remedy."""
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    file = tmp_path / "paceline.yaml"
    tls = "tls: {certificate_file: c.pem, private_key_file: k.pem}\nproviders: {s: {format: simulated}}\n"
    file.write_text(f"server: {{listener: {listener}}}\n{tls}", encoding="utf-8")
    if listener == "grpcio":
        assert load(file, {}).settings.server.listener == "grpcio"
        return
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    (problem,) = caught.value.problems
    assert problem.path == ("server",)
    assert "has no TLS" in problem.message
    assert "listener: grpcio" in problem.remedy
