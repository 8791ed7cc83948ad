"""The listener: TLS, certificates of clients, and addresses that cannot be listened on."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from paceline.v1 import chain_pb2_grpc
from paceline_server.rpc.options import ListenError, TlsFiles
from tests.rpc.gateway import Gate, ask, failure, gateway

pytestmark = pytest.mark.usefixtures("listener")


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM and as objects."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def issue(common_name: str, issuer: Issued | None = None) -> Issued:
    """A certificate for localhost, signed by `issuer`, or an authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    signer = key if issuer is None else issuer.key
    return Issued(builder.sign(signer, hashes.SHA256()), key)


@pytest.fixture(scope="module")
def authority() -> Issued:
    """The authority that both sides trust."""
    return issue("test authority")


@pytest.fixture(scope="module")
def stranger() -> Issued:
    """An authority that nobody trusts."""
    return issue("strange authority")


@asynccontextmanager
async def listening(authority: Issued, client_ca: Issued | None = None) -> AsyncIterator[Gate]:
    """A gateway that speaks TLS."""
    own = issue("localhost", authority)
    ca = None if client_ca is None else client_ca.certificate_pem
    async with gateway(tls=TlsFiles(own.certificate_pem, own.key_pem, ca)) as gate:
        yield gate


async def call(gate: Gate, root: Issued, client: Issued | None = None) -> str:
    """Call over TLS; gives the code."""
    shown = (None, None) if client is None else (client.key_pem, client.certificate_pem)
    credentials = grpc.ssl_channel_credentials(root.certificate_pem, *shown)
    override = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(gate.address, credentials, override) as channel:
        stub = chain_pb2_grpc.ChainServiceStub(channel)
        return (await stub_code(stub)).name


async def stub_code(stub: chain_pb2_grpc.ChainServiceAsyncStub) -> grpc.StatusCode:
    """The code of one call."""
    return await stub.Chain(ask(), timeout=20).code()


# The native listener has no TLS.
TLS_LISTENER = pytest.mark.parametrize("listener", ["grpcio"], indirect=True)


@TLS_LISTENER
async def test_a_listener_with_a_certificate_speaks_tls_only(authority: Issued, stranger: Issued) -> None:
    """S7: TLS to those who trust its authority; no others, and nobody in plain text."""
    async with listening(authority) as gate:
        assert await call(gate, authority) == "OK"
        assert await call(gate, stranger) == "UNAVAILABLE"
        assert (await failure(gate.chain.Chain(ask(), timeout=20))).code is grpc.StatusCode.UNAVAILABLE
        assert await call(gate, authority) == "OK"


@TLS_LISTENER
async def test_a_listener_with_an_authority_for_clients_asks_who_they_are(
    authority: Issued, stranger: Issued
) -> None:
    """S2, mTLS: only clients with a certificate of the authority come in."""
    async with listening(authority, client_ca=authority) as gate:
        assert await call(gate, authority, issue("a client", authority)) == "OK"
        assert await call(gate, authority) == "UNAVAILABLE"
        assert await call(gate, authority, issue("a stranger", stranger)) == "UNAVAILABLE"
        assert await call(gate, authority, issue("a client", authority)) == "OK"
        assert len(gate.calls) == 2


def test_the_key_is_not_printed(authority: Issued) -> None:
    """S6: never a secret in what is logged."""
    files = TlsFiles(authority.certificate_pem, authority.key_pem, None)
    assert "PRIVATE" not in repr(files)


async def test_a_port_in_use_is_an_error_that_says_so() -> None:
    """Options: so_reuseport is off, so two gateways never share a port unawares."""
    async with gateway() as gate:
        with pytest.raises(ListenError, match="in use"):
            async with gateway(address=gate.address):
                pass


@pytest.mark.parametrize("address", ["256.1.1.1:0", "no-such-host.invalid:0", "127.0.0.1:99999", "nonsense"])
async def test_an_address_that_cannot_be_listened_on_is_an_error(address: str) -> None:
    """Options: an address that is not this machine's is a ListenError, not a traceback."""
    with pytest.raises(ListenError, match="cannot listen"):
        async with gateway(address=address):
            pass


async def test_a_certificate_that_is_none_is_an_error() -> None:
    """Options: TLS files that cannot be used, or not by this listener, are a ListenError, not a traceback."""
    with pytest.raises(ListenError, match="cannot listen"):
        async with gateway(tls=TlsFiles(b"nonsense", b"nonsense")):
            pass


async def test_a_unix_socket_is_listened_on(tmp_path: Path) -> None:
    """Options: the address may be a Unix socket; it is told as it was given."""
    async with gateway(address=f"unix:{tmp_path}/socket") as gate:
        assert gate.address == f"unix:{tmp_path}/socket"
        await gate.chain.Chain(ask())
