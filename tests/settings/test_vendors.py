"""A vendor brings the settings of its provider, and everything that is written wins over them (S5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from paceline_server.providers.profile import MediaLimits, Profile
from paceline_server.providers.vendors.known import VENDORS
from paceline_server.providers.vendors.record import Vendor
from paceline_server.settings.load import load
from paceline_server.settings.problem import ConfigurationError
from paceline_server.settings.providers import HttpSettings, OpenAISettings
from paceline_server.settings.schema import redacted

KEYS = {vendor.key_variable: "sk-1" for vendor in VENDORS.values() if vendor.key_variable}


def provider(folder: Path, text: str, **environ: str) -> OpenAISettings:
    """The provider `p` of these settings."""
    path = folder / "paceline.yaml"
    path.write_text(f"providers: {{p: {{{text}}}}}\n")
    found = load(path, environ).settings.providers["p"]
    assert isinstance(found, OpenAISettings)
    return found


@pytest.mark.parametrize("name", sorted(VENDORS))
def test_a_vendor_alone_is_a_whole_provider(tmp_path: Path, name: str) -> None:
    """vendor: its settings are settings of its format; only a customer's own URL is asked for."""
    vendor = VENDORS[name]
    own = "" if vendor.base_url else ", base_url: 'https://mine.example/openai/v1'"
    path = tmp_path / "paceline.yaml"
    path.write_text(f"providers: {{p: {{vendor: {name}{own}}}}}\n")
    found = load(path, KEYS).settings.providers["p"]
    assert isinstance(found, HttpSettings)
    assert found.format == vendor.wire_format
    assert found.base_url == (vendor.base_url or "https://mine.example/openai/v1")
    assert (found.key is not None) is bool(vendor.key_variable)
    assert found.known_vendor is vendor


def test_what_is_written_wins_over_the_vendor(tmp_path: Path) -> None:
    """S5: the vendor only stands in for what is not written."""
    text = "vendor: mistral, base_url: 'http://proxy/v1', key: {env: MINE}, seed_field: seed, omit: [stop]"
    found = provider(tmp_path, text, MINE="sk-2")
    assert (found.base_url, found.seed_field, found.omit) == ("http://proxy/v1", "seed", ("stop",))
    assert found.key is not None
    assert found.key.reveal() == "sk-2"
    assert (found.max_output_field, found.prefill) == ("max_tokens", "prefix")


@pytest.mark.parametrize("written", ["", "key:", "headers: {X-Team: blue}"])
def test_the_vendors_key_is_needed_unless_another_is_written(tmp_path: Path, written: str) -> None:
    """key: the vendor's variable is read where no key is written, and missed where it is not set."""
    text = f"vendor: groq, {written}"
    assert provider(tmp_path, text, GROQ_API_KEY="gsk").key is not None
    with pytest.raises(ConfigurationError, match="the environment variable GROQ_API_KEY is not set"):
        provider(tmp_path, text)


@pytest.mark.parametrize("header", ["Authorization", "api-key"])
def test_headers_can_take_the_place_of_the_key(tmp_path: Path, header: str) -> None:
    """headers: a token of another scheme needs no key beside it."""
    text = f"vendor: azure, base_url: 'https://a.example/v1', headers: {{{header}: {{env: TOKEN}}}}"
    assert provider(tmp_path, text, TOKEN="t").key is None


def test_a_format_alone_is_its_own_company(tmp_path: Path) -> None:
    """vendor: who names neither a vendor nor a URL means the company whose format it is."""
    found = provider(tmp_path, "format: openai", OPENAI_API_KEY="sk")
    assert (found.vendor, found.base_url) == ("openai", "https://api.openai.com/v1")


def test_a_url_without_a_vendor_is_a_server_of_which_nothing_is_known(tmp_path: Path) -> None:
    """vendor: nothing is assumed of a server for its format's sake, and no key is asked for."""
    found = provider(tmp_path, "format: openai, base_url: 'http://127.0.0.1:8000/v1'")
    assert (found.vendor, found.key, found.known_vendor) == (None, None, None)
    assert found.profile("o3") == Profile()


OWN_URLS = [vendor for vendor in VENDORS.values() if vendor.base_url and vendor.key_variable]


@pytest.mark.parametrize("vendor", OWN_URLS, ids=[vendor.name for vendor in OWN_URLS])
def test_a_vendors_own_url_is_that_vendor(vendor: Vendor) -> None:
    """vendor: by environment alone, the URL that a vendor is known by brings all that is known of it."""
    environ = {"PACELINE_PROVIDER_P": f"{vendor.wire_format}+{vendor.base_url}/", vendor.key_variable: "sk-1"}
    found = load(None, environ).settings.providers["p"]
    assert isinstance(found, HttpSettings)
    assert (found.known_vendor, found.base_url) == (vendor, vendor.base_url)


def test_what_is_written_wins_over_the_vendor_of_a_url(tmp_path: Path) -> None:
    """S5: a vendor that only its URL names stands in for no more than what is not written."""
    text = "format: openai, base_url: 'https://api.mistral.ai/v1', key: {env: MINE}, seed_field: seed"
    found = provider(tmp_path, text, MINE="sk-2")
    assert found.key is not None
    assert found.key.reveal() == "sk-2"
    assert (found.vendor, found.seed_field, found.max_output_field) == ("mistral", "seed", "max_tokens")
    other = provider(tmp_path, text.replace("format", "vendor: vllm, format"), MINE="sk-2")
    assert (other.vendor, other.prefill) == ("vllm", "continue_final_message")


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://api.groq.com/v1"])
def test_a_url_of_another_format_or_path_is_nobodys(tmp_path: Path, url: str) -> None:
    """vendor: only the format and the whole URL together say who it is."""
    path = tmp_path / "paceline.yaml"
    path.write_text(f"providers: {{p: {{format: gemini, base_url: '{url}'}}}}\n")
    found = load(path, KEYS).settings.providers["p"]
    assert isinstance(found, HttpSettings)
    assert found.vendor is None


def test_a_key_by_environment_is_the_key_of_a_vendor(tmp_path: Path) -> None:
    """S5: PACELINE_PROVIDER_<NAME>_KEY takes the place of the vendor's variable."""
    found = provider(tmp_path, "vendor: groq", PACELINE_PROVIDER_P_KEY="sk-3")
    assert found.key is not None
    assert found.key.reveal() == "sk-3"


def test_a_vendor_by_environment_alone() -> None:
    """S5: one variable is enough for a provider that a vendor describes."""
    settings = load(None, {"PACELINE__PROVIDERS__GROQ__VENDOR": "groq", "GROQ_API_KEY": "gsk"}).settings
    found = settings.providers["groq"]
    assert isinstance(found, OpenAISettings)
    assert found.base_url == "https://api.groq.com/openai/v1"


def test_what_a_vendor_brings_is_shown(tmp_path: Path) -> None:
    """What `config check --json` prints are the settings that hold, the vendor's included."""
    path = tmp_path / "paceline.yaml"
    path.write_text("providers: {p: {vendor: groq}}\n")
    shown = redacted(load(path, {"GROQ_API_KEY": "gsk_canary"}).settings)["providers"]["p"]
    assert (shown["vendor"], shown["format"], shown["key"]) == ("groq", "openai", "***")


def test_facts_that_are_written_win_over_those_that_are_known(tmp_path: Path) -> None:
    """targets: each fact of a model stands alone; the others are still the vendor's."""
    text = (
        "vendor: vllm, targets: {m: {accepts_prefill: false, gives_logprobs: true, context_token_count: 4096,"
        " max_output_token_count: 99, media: {types: [image/png], takes_uris: false, max_image_size: 1MiB,"
        " max_image_edge: 512, max_document_size: 2MiB}}}"
    )
    found = provider(tmp_path, text)
    known = Profile(accepts_prefill=True, bills_after_cancel=True)
    assert found.profile("other", known) == known
    assert found.profile("m", known) == Profile(
        context_token_count=4096,
        max_output_token_count=99,
        media=MediaLimits(frozenset({"image/png"}), False, 2**20, 512, 2**21),  # noqa: FBT003 - as it is told
        accepts_prefill=False,
        bills_after_cancel=True,
        gives_logprobs=True,
    )


@pytest.mark.parametrize("text", ["1.1", "-0.1", ".nan", "good"])
@pytest.mark.parametrize("form", ["vendor: groq", "format: simulated"])
def test_a_quality_that_is_no_share_is_refused(tmp_path: Path, form: str, text: str) -> None:
    """targets, quality: from 0 to 1, whatever the format."""
    path = tmp_path / "paceline.yaml"
    path.write_text(f"providers: {{p: {{{form}, targets: {{m: {{quality: {text}}}}}}}}}\n")
    with pytest.raises(ConfigurationError, match=r"p\.targets\.m\.quality"):
        load(path, KEYS)
