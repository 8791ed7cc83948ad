"""What a named vendor adds to the settings of a provider: defaults, over which all that is written wins.

The vendors themselves are data of the providers. What is added is written as the configuration would
write it, and checked like it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paceline_server.providers.vendors.known import COMPANY_OF_FORMAT, VENDOR_AT, VENDORS
from paceline_server.providers.vendors.record import Vendor
from paceline_server.settings.explain import did_you_mean
from paceline_server.settings.secret import refusal


def with_vendor(given: object) -> object:
    """The settings of a provider with those that its vendor brings.

    A provider that names its format alone, without a URL, is the format's own company; one whose URL is
    exactly a vendor's own is that vendor.

    Raises:
        PydanticCustomError: There is no such vendor, or it does not fit what else is written.
    """
    if not isinstance(given, dict):
        return given
    written = {name: value for name, value in given.items() if value is not None}
    vendor = _vendor(written)
    if vendor is None:
        return given
    if written.get("format", vendor.wire_format) != vendor.wire_format:
        raise refusal(
            f"{vendor.name} speaks another format here", f"write {vendor.wire_format}", below=("format",)
        )
    if not vendor.base_url and "base_url" not in written:
        raise refusal(
            "it is missing",
            f"add it: {vendor.title} has one for each customer, as in {vendor.base_url_example}",
            below=("base_url",),
        )
    return {**_defaults(vendor, written), **written}


def _vendor(written: Mapping[str, Any]) -> Vendor | None:
    name = written.get("vendor")
    if name is None:
        name = _unnamed(written.get("format"), written.get("base_url", ""))
        return None if name is None else VENDORS[name]
    if not isinstance(name, str) or name not in VENDORS:
        raise refusal("there is no such vendor", did_you_mean(_meant(str(name)), VENDORS), below=("vendor",))
    return VENDORS[name]


def _meant(name: str) -> str:
    """The vendor that goes by this name elsewhere, as Google does; else the name itself."""
    word = name.lower()
    titled = [known for known, vendor in sorted(VENDORS.items()) if word in vendor.title.lower().split()]
    return word if word in VENDORS else next(iter(titled), name)


def _unnamed(wire_format: object, base_url: object) -> str | None:
    """The name of the vendor of a provider that names none."""
    if not isinstance(wire_format, str) or not isinstance(base_url, str):
        return None
    if not base_url:
        return COMPANY_OF_FORMAT.get(wire_format)
    return VENDOR_AT.get((wire_format, base_url.rstrip("/")))


def _defaults(vendor: Vendor, written: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "vendor": vendor.name,
        "format": vendor.wire_format,
        "base_url": vendor.base_url,
        **vendor.settings,
    }
    if vendor.key_variable and not authorises_itself(written.get("headers")):
        defaults["key"] = {"env": vendor.key_variable}
    return defaults


def authorises_itself(headers: object) -> bool:
    """Whether the configured headers take the place of the key, as tokens of other schemes do."""
    return isinstance(headers, dict) and any(str(name).lower() in _KEY_HEADERS for name in headers)


_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})
