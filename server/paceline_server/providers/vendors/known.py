"""The vendors by name. Facts are in the modules beside this one."""

from __future__ import annotations

from collections.abc import Mapping

from paceline_server.providers.vendors.companies import COMPANIES
from paceline_server.providers.vendors.hosts import HOSTS
from paceline_server.providers.vendors.labs import LABS
from paceline_server.providers.vendors.local import LOCAL
from paceline_server.providers.vendors.record import Vendor

VENDORS: Mapping[str, Vendor] = {vendor.name: vendor for vendor in (*COMPANIES, *LABS, *HOSTS, *LOCAL)}

COMPANY_OF_FORMAT: Mapping[str, str] = {vendor.wire_format: vendor.name for vendor in COMPANIES}
"""Whose format it is: the vendor of a provider that names neither a vendor nor a URL."""

VENDOR_AT: Mapping[tuple[str, str], str] = {
    (vendor.wire_format, vendor.base_url): vendor.name
    for vendor in VENDORS.values()
    # What listens on a port of one's own machine may be anything.
    if vendor.base_url and vendor.key_variable
}
"""By format and base URL: the vendor of a provider that names its URL and no vendor."""
