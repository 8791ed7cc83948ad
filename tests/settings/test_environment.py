"""Settings by environment: providers by two variables, and a form for every setting (S5)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from paceline_server.settings.load import load
from paceline_server.settings.problem import ConfigurationError
from paceline_server.settings.providers import HttpSettings, OpenAISettings
from paceline_server.settings.schema import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one provider of each format."""
    path = tmp_path / "paceline.yaml"
    path.write_text(
        "log: {level: error}\n"
        "models:\n"
        "  My-Model.v1: {chain: [simulated/steady]}\n"
        "providers:\n"
        "  simulated: {format: simulated}\n"
        "  open-ai:\n"
        "    format: openai\n"
        "    base_url: https://one.example/v1\n"
        "    headers: {X-Team: blue}\n"
    )
    return path


def settings_of(path: Path | None, **environ: str) -> Settings:
    """The settings with such an environment."""
    return load(path, environ).settings


def problems_of(path: Path | None, **environ: str) -> list[str]:
    """What is said about such an environment."""
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ)
    return str(caught.value).splitlines()


def openai(settings: Settings, name: str) -> OpenAISettings:
    """A provider of that format."""
    provider = settings.providers[name]
    assert isinstance(provider, OpenAISettings)
    return provider


def test_a_provider_by_environment_alone() -> None:
    """PACELINE_PROVIDER_<NAME> and its _KEY make a provider, beside the simulated one if there is no file."""
    settings = settings_of(
        None, PACELINE_PROVIDER_MY_VLLM="openai+http://host:8000/v1", PACELINE_PROVIDER_MY_VLLM_KEY="sk-1"
    )
    provider = openai(settings, "my_vllm")
    assert provider.base_url == "http://host:8000/v1"
    assert provider.key is not None
    assert provider.key.reveal() == "sk-1"
    assert sorted(settings.providers) == ["my_vllm", "simulated"]


@pytest.mark.parametrize("wire_format", ["openai", "anthropic", "gemini"])
def test_a_provider_of_any_format_by_environment(wire_format: str) -> None:
    """S5: the three wire formats are written alike, with what precedes their own paths."""
    settings = settings_of(
        None, PACELINE_PROVIDER_X=f"{wire_format}+http://host:1/base", PACELINE_PROVIDER_X_KEY="k"
    )
    provider = settings.providers["x"]
    assert isinstance(provider, HttpSettings)
    assert (provider.format, provider.base_url, provider.vendor) == (wire_format, "http://host:1/base", None)


def test_a_provider_key_by_file(tmp_path: Path) -> None:
    """_KEY_FILE names the file that holds the key, as secrets are mounted."""
    (tmp_path / "key").write_text("sk-2\n")
    settings = settings_of(
        None,
        PACELINE_PROVIDER_X="openai+https://host/v1",
        PACELINE_PROVIDER_X_KEY_FILE=str(tmp_path / "key"),
    )
    key = openai(settings, "x").key
    assert key is not None
    assert key.reveal() == "sk-2"


def test_a_provider_of_the_file_is_changed_not_replaced(file: Path) -> None:
    """Later sources win setting by setting; '-' is written '_' in a variable."""
    settings = settings_of(
        file,
        PACELINE_PROVIDER_OPEN_AI="openai+https://two.example/v1",
        PACELINE_PROVIDER_OPEN_AI_KEY="sk-3",
    )
    provider = openai(settings, "open-ai")
    assert provider.base_url == "https://two.example/v1"
    assert provider.headers["X-Team"].reveal() == "blue"
    assert provider.key is not None


def test_every_setting_has_a_variable(file: Path) -> None:
    """PACELINE__A__B wins over the file; its value is YAML; map keys are found by their name."""
    settings = settings_of(
        file,
        PACELINE__LISTEN="0.0.0.0:1",
        PACELINE__LOG__LEVEL="debug",
        PACELINE__HEALTH__RAMP_SHARES="[0.1, 0.5]",
        PACELINE__DRAIN__DELAY="5",
        PACELINE__MODELS__MY_MODEL_V1__CHAIN="[simulated/slow, simulated/steady]",
        PACELINE__MODELS__FAST="simulated/steady",
        PACELINE__PROVIDERS__OPEN_AI__MAX_OUTPUT_FIELD="max_tokens",
        PACELINE__PROVIDERS__SIMULATED__TARGETS__QUICK__TOKEN_INTERVAL="1ms",
    )
    assert settings.listen == "0.0.0.0:1"
    assert settings.log.level == "debug"
    assert settings.health.ramp_shares == (0.1, 0.5)
    assert settings.drain.delay == timedelta(seconds=5)
    assert settings.models["My-Model.v1"].specs == ("simulated/slow", "simulated/steady")
    assert settings.models["fast"].specs == ("simulated/steady",)
    assert openai(settings, "open-ai").max_output_field == "max_tokens"


def test_the_deeper_variable_wins() -> None:
    """The order of the environment decides nothing."""
    both = {"PACELINE__LOG": "{level: error, format: text}", "PACELINE__LOG__LEVEL": "debug"}
    for environ in (both, dict(reversed(both.items()))):
        log = load(None, environ).settings.log
        assert (log.level, log.format) == ("debug", "text")


def test_the_general_form_wins_over_the_short_one() -> None:
    """The most exact source comes last."""
    settings = settings_of(
        None,
        PACELINE_PROVIDER_X="openai+https://one.example",
        PACELINE__PROVIDERS__X__BASE_URL="https://two.example",
    )
    assert openai(settings, "x").base_url == "https://two.example"


def test_an_empty_variable_is_not_given(file: Path) -> None:
    """Deployment templates leave empty variables, which must not undo the file."""
    settings = settings_of(
        file,
        PACELINE__LOG__LEVEL="",
        PACELINE_PROVIDER_X=" ",
        PACELINE_PROVIDER_OPEN_AI_KEY="",
        PACELINE__TLS="",
    )
    assert settings.log.level == "error"
    assert "x" not in settings.providers


def test_other_variables_are_left_alone() -> None:
    """Only the two documented forms are read."""
    assert settings_of(None, PACELINE_CONFIG="x", PACELINE_LISTEN="x", HOME="/") == settings_of(None)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"PACELINE__LOGG__LEVEL": "debug"},
            "PACELINE__LOGG__LEVEL: logg: there is no such setting. Remedy: did you mean log?",
        ),
        ({"PACELINE__LISTEN": "[a"}, "PACELINE__LISTEN: listen: expected ',' or ']'"),
        ({"PACELINE__LISTEN": "!x y"}, "PACELINE__LISTEN: listen: a YAML tag is not supported here"),
        ({"PACELINE__LISTEN": "{a: 1, a: 2}"}, "PACELINE__LISTEN: listen.a: it is given twice"),
        ({"PACELINE__": "1"}, "PACELINE__: a part of the setting's name is empty"),
        ({"PACELINE__LOG____LEVEL": "1"}, "PACELINE__LOG____LEVEL: a part of the setting's name is empty"),
        (
            {"PACELINE__TLS__CERTIFICATE_FILE": "/absent"},
            "PACELINE__TLS__CERTIFICATE_FILE: tls.certificate_file: the file",
        ),
        ({"PACELINE_PROVIDER_X": "https://host"}, "PACELINE_PROVIDER_X: this names no format and URL"),
        (
            {"PACELINE_PROVIDER_X": "openai+host"},
            "PACELINE_PROVIDER_X: providers.x.base_url: this is not a usable URL",
        ),
        (
            {"PACELINE_PROVIDER_X": "anthropic+host"},
            "PACELINE_PROVIDER_X: providers.x.base_url: this is not a usable URL",
        ),
        (
            {"PACELINE_PROVIDER_X": "opanai+https://host"},
            "PACELINE_PROVIDER_X: providers.x.format: there is no such",
        ),
        ({"PACELINE_PROVIDER_": "openai+https://host"}, "PACELINE_PROVIDER_: the provider has no name"),
        ({"PACELINE_PROVIDER_X_KEY": "sk"}, "PACELINE_PROVIDER_X_KEY: there is no provider for this key"),
        (
            {
                "PACELINE_PROVIDER_X": "openai+https://host",
                "PACELINE_PROVIDER_X_KEY": "sk",
                "PACELINE_PROVIDER_X_KEY_FILE": "/x",
            },
            "PACELINE_PROVIDER_X_KEY: the key is also given by PACELINE_PROVIDER_X_KEY_FILE. Remedy: set one",
        ),
        (
            {"PACELINE_PROVIDER_X": "openai+https://host", "PACELINE__PROVIDERS__X__KEY": "sk-canary"},
            "PACELINE__PROVIDERS__X__KEY: providers.x.key: a secret must not stand in the",
        ),
    ],
)
def test_a_bad_variable_is_named(environ: dict[str, str], said: str) -> None:
    """A problem of the environment names the variable and the setting."""
    first = problems_of(None, **environ)[0]
    assert first.startswith(said)
    assert "canary" not in first


def test_a_name_of_too_many_parts_is_refused_by_its_beginning() -> None:
    """S5: no setting lies so deep, and each part would cost what all before it cost."""
    deep, deepest = ("PACELINE__" + "__".join("A" * count) for count in (3000, 16))
    (said,) = problems_of(None, **{deep: "1"})
    assert said.startswith(f"{deep[:64]}: the setting's name has more than 16 parts. Remedy: ")
    (said,) = problems_of(None, **{deepest: "1"})
    assert said.startswith(f"{deepest}: a: there is no such setting. Remedy: ")


@pytest.mark.parametrize("form", ["PACELINE__MODELS__M{}", "PACELINE_PROVIDER_P{}"])
def test_too_many_variables_are_refused_as_a_whole(form: str) -> None:
    """S5: none of them is looked at, and they are one problem."""
    variables = {form.format(number): "simulated/steady" for number in range(1001)}
    assert problems_of(None, **variables) == [
        "environment: there are more than 1000 variables with settings. Remedy: write them into a file."
    ]
