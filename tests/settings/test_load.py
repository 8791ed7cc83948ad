"""The configuration is checked whole: every problem is listed, with its place and a remedy (S5)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline_server.settings.load import MAXIMUM_FILE_BYTES, Names, load
from paceline_server.settings.problem import ConfigurationError, Finding
from paceline_server.settings.reference import rows

SIMULATED = "providers: {simulated: {format: simulated}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes its configuration."""
    return tmp_path / "paceline.yaml"


def refusal(file: Path, text: str, **environ: str) -> str:
    """All that is said about a file, without its folder."""
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ)
    return str(caught.value).replace(f"{file.parent}/", "")


def test_without_a_file_there_is_something_to_try() -> None:
    """The defaults are a simulated provider and a model of it."""
    loaded = load(None, {})
    assert list(loaded.settings.providers) == ["simulated"]
    assert loaded.settings.models["demo"].specs == ("simulated/tiring", "simulated/steady")
    assert loaded.settings.default_model == "demo"
    assert loaded.document.locate(("models", "demo")) == "defaults"


def test_a_file_brings_its_own_providers(file: Path) -> None:
    """Nobody runs on simulated answers by mistake: with a file they are there only if it says so."""
    assert refusal(file, "log: {level: debug}\n") == (
        "paceline.yaml: providers: there is no provider. Remedy: add one below providers, "
        "or write simulated: {format: simulated} there to try without one."
    )
    file.write_text(SIMULATED)
    settings = load(file, {}).settings
    assert (list(settings.providers), dict(settings.models), settings.default_model) == (
        ["simulated"],
        {},
        None,
    )


def test_blank_settings_have_their_defaults(file: Path) -> None:
    """A section whose lines are all commented out counts as not given."""
    file.write_text(SIMULATED + "tls:\nlog:\nmodels:\ncall: {maximum_deadline: }\n")
    settings = load(file, {}).settings
    assert settings.tls is None
    assert settings.log.level == "info"
    assert settings.call.maximum_deadline.total_seconds() == 300


def test_paths_start_from_the_folder_of_the_file(file: Path) -> None:
    """A configuration works from wherever the server is started."""
    for name in ("c.pem", "k.pem", "key"):
        (file.parent / name).write_text("x")
    file.write_text(SIMULATED + "tls: {certificate_file: c.pem, private_key_file: k.pem}\n")
    tls = load(file, {}).settings.tls
    assert tls is not None
    assert tls.certificate_file == file.parent / "c.pem"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: \xff", "paceline.yaml:2:4: this is not UTF-8 text. Remedy: save the file as UTF-8."),
        (
            b"#" * (10 * MAXIMUM_FILE_BYTES),
            "paceline.yaml: the file is larger than 1048576 bytes. Remedy: name the right file.",
        ),
    ],
)
def test_a_file_that_is_no_configuration(file: Path, content: bytes, said: str) -> None:
    """Bytes that are no text, and files that no one wrote by hand, are refused before they are parsed."""
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    assert str(caught.value) == f"{file.parent}/{said}"


def test_a_byte_order_mark_is_no_setting(file: Path) -> None:
    """Some editors write one."""
    file.write_bytes(b"\xef\xbb\xbf" + SIMULATED.encode())
    assert list(load(file, {}).settings.providers) == ["simulated"]


@pytest.mark.parametrize("name", ["absent.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """A path that leads nowhere is a problem like any other."""
    with pytest.raises(ConfigurationError, match="the file cannot be read: "):
        load(tmp_path / name, {})


@pytest.mark.parametrize(
    "text",
    [
        None,
        SIMULATED + "tls: {certificate_file: pipe, private_key_file: pipe}\n",
        "providers: {p: {format: openai, base_url: 'http://h', key: {file: pipe}}}\n",
    ],
    ids=["the file", "a file of it", "a secret"],
)
def test_a_pipe_is_not_waited_for(file: Path, text: str | None) -> None:
    """S5: only regular files are read; a pipe would wait for whoever writes into it."""
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match="cannot be read: Not a regular file"):
        load(pipe if text is None else file, {})


def test_a_check_of_names_adds_its_findings_with_their_lines(file: Path) -> None:
    """Names are judged together with the rest, also where other settings are wrong."""
    seen: list[Names] = []

    def check(names: Names) -> Iterable[Finding]:
        seen.append(names)
        return [Finding(("models", "m", "chain", 1), "there is no such provider", "add it")]

    file.write_text(
        "default_model: m\nmodels:\n  m: {chain: [simulated/x,\n    other/y]}\nlog: 3\n" + SIMULATED
    )
    with pytest.raises(ConfigurationError) as caught:
        load(file, {}, check=check)
    assert str(caught.value.problems[0]) == (
        f"{file}:4:5: models.m.chain[1]: there is no such provider. Remedy: add it."
    )
    assert [problem.path for problem in caught.value.problems] == [("models", "m", "chain", 1), ("log",)]
    assert (seen[0].providers, seen[0].default_model) == (frozenset({"simulated"}), "m")


def test_a_name_that_is_defined_wrongly_hides_no_other_mistake(file: Path) -> None:
    """S5: every error is listed; a wrong name is known all the same, and not told to be unknown too."""
    seen: list[Names] = []

    def check(names: Names) -> Iterable[Finding]:
        seen.append(names)
        return [Finding(("models", "b"), "there is no such provider", "add it")]

    file.write_text("models: {a: {chain: []}, b: a}\n" + SIMULATED)
    with pytest.raises(ConfigurationError) as caught:
        load(file, {}, check=check)
    assert {problem.path for problem in caught.value.problems} == {("models", "a", "chain"), ("models", "b")}
    assert seen[0].models["a"].specs == ()


def test_a_document_tells_where_each_setting_is_written(file: Path) -> None:
    """Later problems, as of a port in use, can name the place."""
    file.write_text(SIMULATED + "log:\n  level: info\n")
    document = load(file, {"PACELINE__LOG__FORMAT": "text"}).document
    assert document.locate(("log", "level")) == f"{file}:3:10"
    assert document.locate(("log", "format")) == "PACELINE__LOG__FORMAT"
    assert document.locate(("call", "maximum_deadline")) == str(file)


YAML_LIKE = st.text(alphabet="abklmopenig:-[]{}!&*?|>'\"%@`# \n\t0159.,~\\/x", max_size=60)
WORDS = st.sampled_from(
    [row.name.rpartition(".")[2].removesuffix("[]") for row in rows()]
    + ["p", "openai", "simulated", "models", "tls"]
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | YAML_LIKE.map(str.encode)
)
def test_any_bytes_are_loaded_or_refused(file: Path, content: bytes) -> None:
    """No file ends the start with anything but a list of problems."""
    _loaded_or_refused(file, content, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(WORDS, TREES, max_size=4))
def test_any_tree_of_settings_is_loaded_or_refused(file: Path, tree: dict[str, object]) -> None:
    """Whatever is written below a known key is a setting or a problem with a place."""
    _loaded_or_refused(file, json.dumps(tree).encode(), {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.lists(WORDS | st.text(max_size=3), max_size=5).map(
            lambda words: "PACELINE__" + "__".join(words).upper()
        )
        | st.text(max_size=6).map("PACELINE_PROVIDER_".__add__),
        YAML_LIKE | st.text() | TREES.map(json.dumps) | st.just("openai+http://h"),
        max_size=4,
    )
)
def test_any_environment_is_loaded_or_refused(file: Path, environ: dict[str, str]) -> None:
    """No variable ends the start with anything but a list of problems."""
    _loaded_or_refused(file, SIMULATED.encode(), environ)


def _loaded_or_refused(file: Path, content: bytes, environ: dict[str, str]) -> None:
    file.write_bytes(content)
    said = refusal_of(file, environ)
    assert said is None or len(str(said).splitlines()) == len(said.problems) > 0


def refusal_of(file: Path, environ: dict[str, str]) -> ConfigurationError | None:
    """What loading ends with, if it is no configuration."""
    try:
        load(file, environ)
    except ConfigurationError as error:
        return error
    return None


def test_an_option_of_the_command_line_outranks_all_and_is_judged_alike() -> None:
    """S5: what is given last wins, and is checked with a remedy like every other setting."""
    loaded = load(None, {"PACELINE__LISTEN": "127.0.0.1:1"}, options={"listen": "127.0.0.1:2"})
    assert loaded.settings.listen == "127.0.0.1:2"

    with pytest.raises(ConfigurationError, match=r"^--listen: listen: .* Remedy: "):
        load(None, {}, options={"listen": "nonsense"})
