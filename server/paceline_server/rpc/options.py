"""How a listener listens, as it is told from outside; nothing is opened or judged here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

ListenerKind = Literal["grpcio", "native"]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The server's identity as PEM; `client_ca` set means that clients must show a certificate of it."""

    certificate_chain: bytes
    private_key: bytes
    client_ca: bytes | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return f"TlsFiles(client_ca={self.client_ca is not None})"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the listener listens; durations in seconds, sizes in bytes."""

    address: str
    maximum_deadline: float
    maximum_message_size: int
    drain_delay: float
    drain_timeout: float
    reflection: bool = True
    tls: TlsFiles | None = None
    listener: ListenerKind = "grpcio"

    @property
    def on_this_machine_only(self) -> bool:
        """Whether nobody on a network reaches the address: a socket file, or loopback."""
        host, _, _ = self.address.rpartition(":")
        if host.startswith("unix") or host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            return False  # a name, which may lead anywhere


ADDRESS_REFUSED = (
    "it is in use or not this machine's; stop who listens there, or name another with `listen:` or --listen"
)
"""Why an address cannot be listened on as a rule, and what to do."""


class ListenError(OSError):
    """The address cannot be listened on."""


class ListenerNotInstalledError(ListenError):
    """The listener that is configured needs a package that is not there."""
