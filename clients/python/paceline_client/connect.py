"""Opens channels to a gateway, with what every client of Paceline should have set.

Knows addresses, TLS, message sizes, keep-alive and gRPC's own retries; knows no method.
"""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import TypeAlias

import grpc
import grpc.aio

Channel: TypeAlias = grpc.aio.Channel

DEFAULT_ADDRESS = "127.0.0.1:50051"
MAXIMUM_MESSAGE_BYTES = 32 * 2**20
MAXIMUM_ATTEMPT_COUNT = 3
"""How often gRPC sends a call that was refused before its first message, the first time included."""

_SCHEME = re.compile(r"^(dns:(//[^/]*/)?|ipv[46]:)")
_KEEPALIVE_TIME_MS = 30_000
_KEEPALIVE_TIMEOUT_MS = 20_000


def connect(
    address: str = DEFAULT_ADDRESS,
    *,
    tls: bool = False,
    tls_roots: Path | None = None,
    retry: bool = True,
) -> Channel:
    """Open a channel; it connects with its first call. Close it, or use it as an async context.

    Args:
        address: As gRPC writes it: `host:port`, or a name with a scheme such as `unix:/path`.
        tls: Speak TLS, trusting gRPC's own roots.
        tls_roots: A PEM file of the roots to trust instead; implies `tls`.
        retry: Let gRPC send a refused call again, see `service_config`. A server may ask to wait for
            minutes before that, so give calls a deadline or switch it off.

    Raises:
        OSError: `tls_roots` cannot be read.
    """
    options = channel_options(address, retry=retry)
    if tls or tls_roots is not None:
        roots = None if tls_roots is None else tls_roots.read_bytes()
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(roots), options=options)
    return grpc.aio.insecure_channel(address, options=options)


def channel_options(address: str, *, retry: bool = True) -> list[tuple[str, str | int]]:
    """The options of a channel to `address`, for those who open it themselves."""
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAXIMUM_MESSAGE_BYTES),
        # A model may think for minutes without a byte on the wire; only pings tell that from a dead peer.
        # Paceline takes one every 20 s and hangs up on who sends more.
        ("grpc.keepalive_time_ms", _KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.enable_retries", int(retry)),
    ]
    if retry:
        options.append(("grpc.service_config", service_config()))
    if is_loopback(address):
        # An http_proxy of the environment cannot reach this machine's own loopback.
        options.append(("grpc.enable_http_proxy", 0))
    return options


def service_config() -> str:
    """What gRPC may send again by itself: a call that ended UNAVAILABLE before its first message.

    gRPC keeps to the server's `grpc-retry-pushback-ms`: it waits as long as that says, and does not
    try again where it is negative. The throttle ends retries where most calls are refused.
    """
    retry_policy = {
        "maxAttempts": MAXIMUM_ATTEMPT_COUNT,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps(
        {
            "methodConfig": [{"name": [{}], "retryPolicy": retry_policy}],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        }
    )


def is_loopback(address: str) -> bool:
    """Whether `address` names this machine by its loopback interface."""
    host = _SCHEME.sub("", address).rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
