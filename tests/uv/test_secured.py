"""TLS over streams: begun in the middle, from the beginning, by endpoint strings, with a slow peer."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import endpoints, ssl
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport

from tests.uv.net import PIECE, PLENTY, Probe, Probes, Told, global_reactor, listening, served, turns, until

# Twisted's own use of pyOpenSSL
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

LIMIT = 65536


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server_options(pem: Path) -> Any:
    return ssl.PrivateCertificate.loadPEM(pem.read_bytes()).options()


@pytest.fixture
def client_options(pem: Path) -> Any:
    """Trusts that certificate, and no other."""
    return ssl.optionsForClientTLS("127.0.0.1", ssl.Certificate.loadPEM(pem.read_bytes()))


async def ended(*probes: Any) -> None:
    await until(lambda: all(probe.lost for probe in probes), "a connection does not end")
    assert not global_reactor().streams


def connected_pair(port: Any) -> Probe:
    client = Probe()
    global_reactor().connectTCP("127.0.0.1", port.getHost().port, Probes(client))
    return client


class Numbers:
    """A push producer of numbered lines, `count` of them, and then the end."""

    def __init__(self, transport: Any, count: int) -> None:
        self.transport = transport
        self.left = iter(range(count))
        self.paused = False
        self.pauses = 0
        self.most = 0

    def start(self) -> None:
        self.transport.registerProducer(self, True)
        self.go()

    def go(self) -> None:
        while not self.paused:
            number = next(self.left, None)
            if number is None:
                self.transport.unregisterProducer()
                self.transport.loseConnection()
                return
            self.transport.write(b"%015d\n" % number * (PIECE // 16))
            self.most = max(self.most, self.transport._uv.get_write_buffer_size())

    def pauseProducing(self) -> None:
        self.paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        self.paused = False
        self.go()

    def stopProducing(self) -> None:
        self.paused = True


def numbers(count: int) -> bytes:
    return b"".join(b"%015d\n" % number * (PIECE // 16) for number in range(count))


@pytest.mark.parametrize("client_starts", [False, True], ids=["server first", "client first"])
@pytest.mark.parametrize("normal", [True, False])
@pytest_twisted.ensureDeferred
async def test_begun_in_the_middle(server_options: Any, client_options: Any, normal: bool, client_starts: bool) -> None:
    """In the clear, then TLS; `normal` False: the end that was called is TLS's client."""
    server = Probe()
    async with listening(Probes(server)) as port:
        client = connected_pair(port)
        await until(lambda: server.made and client.made)
        client.transport.write(b"STARTTLS\n")
        await until(lambda: server.received == b"STARTTLS\n")
        of_server, of_client = (server_options, client_options) if normal else (client_options, server_options)
        starts: list[Callable[[], object]] = [
            lambda: server.transport.startTLS(of_server, normal),
            lambda: client.transport.startTLS(of_client, normal),
        ]
        for start in reversed(starts) if client_starts else starts:
            start()
        for probe in (server, client):
            assert probe.transport.TLS and ISSLTransport.providedBy(probe.transport)
        client.transport.write(b"secret ")
        client.transport.writeSequence([b"ques", b"tion"])
        server.transport.write(b"secret answer")
        await until(lambda: server.received.endswith(b"question") and client.received == b"secret answer")
        certified = client if normal else server
        certificate = certified.transport.getPeerCertificate().to_cryptography()
        assert certificate.subject.rfc4514_string() == "CN=127.0.0.1"
        client.transport.loseConnection()
        await ended(server, client)
    assert server.received == b"STARTTLS\nsecret question"
    assert server.lost_by(ConnectionDone) and client.lost_by(ConnectionDone)


@pytest.mark.parametrize("paused", [False, True])
@pytest_twisted.ensureDeferred
async def test_begun_while_a_producer_is_registered(server_options: Any, client_options: Any, paused: bool) -> None:
    """It goes on through TLS. `paused`: what it wrote in the clear waits."""
    server = Probe()
    async with listening(Probes(server)) as port:
        client = connected_pair(port)
        await until(lambda: server.made and client.made)
        clear = PLENTY if paused else b"clear"

        def start_tls(probe: Any, data: bytes) -> None:
            if len(probe.received) >= len(clear):
                del probe.does["dataReceived"]
                assert probe.received == clear
                probe.transport.startTLS(client_options)

        client.does["dataReceived"] = start_tls
        producer = Numbers(server.transport, 64)
        server.transport.registerProducer(producer, True)
        server.transport.write(clear)
        assert producer.paused == paused
        server.transport.startTLS(server_options)
        if not producer.paused:
            producer.go()
        await ended(server, client)
        assert client.received == clear + numbers(64)
    assert client.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_a_large_transfer_to_a_slow_reader(server_options: Any, client_options: Any) -> None:
    server, client = Probe(), Probe()
    reactor = global_reactor()
    port = reactor.listenSSL(0, Probes(server), server_options, interface="127.0.0.1")
    reactor.connectSSL("127.0.0.1", port.getHost().port, Probes(client), client_options)
    await until(lambda: server.made and client.made)
    client.does["dataReceived"] = lambda probe, data: probe.transport.pauseProducing()
    client.transport.write(b"begin")
    await until(lambda: server.received)
    producer = Numbers(server.transport, 512)
    producer.start()
    await turns(50)
    assert producer.paused, "nobody reads, and it is not paused"
    while not client.lost:
        client.transport.resumeProducing()
        await turns(1)
    await ended(server, client)
    assert client.received == numbers(512)
    assert producer.most <= 4 * LIMIT and producer.pauses > 10
    await maybeDeferred(port.stopListening)


@pytest_twisted.ensureDeferred
async def test_by_endpoint_strings(pem: Path, client_options: Any) -> None:
    server, client = Probe(), Probe()
    reactor = global_reactor()
    listener = endpoints.serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}")
    port = await listener.listen(Probes(server))
    roots = pem.parent
    caller = endpoints.clientFromString(reactor, f"tls:127.0.0.1:{port.getHost().port}:trustRoots={roots}")
    connected = await caller.connect(Probes(client))
    assert connected is client or connected.wrappedProtocol is client
    client.transport.write(b"question")
    await until(lambda: server.received == b"question")
    server.transport.write(b"answer")
    server.transport.loseConnection()
    await ended(server, client)
    assert client.received == b"answer"
    await maybeDeferred(port.stopListening)


@pytest_twisted.ensureDeferred
async def test_aborted(server_options: Any, client_options: Any) -> None:
    server = Probe()
    async with listening(Probes(server)) as port:
        client = connected_pair(port)
        await until(lambda: server.made and client.made)
        server.transport.startTLS(server_options)
        client.transport.startTLS(client_options)
        producer = Told()
        server.transport.registerProducer(producer, True)
        server.transport.write(PLENTY)
        await turns(20)
        server.transport.abortConnection()
        await ended(server, client)
    # Twisted's TLS calls it so at this end too
    assert server.lost_by(ConnectionLost) and client.lost_by(ConnectionLost)
    assert producer.told[-1] == "stop"
    for name in ("write", "writeSequence"):
        getattr(server.transport, name)(b"late" if name == "write" else [b"late"])
    server.transport.loseConnection()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half a ClientHello"])
@pytest_twisted.ensureDeferred
async def test_reset_during_the_handshake(server_options: Any, said: bytes) -> None:
    probe = Probe(connectionMade=lambda probe: probe.transport.startTLS(server_options))
    async with served(probe) as peer:
        if said:
            peer.send(said)
            await turns()
        assert not probe.lost
        peer.reset()
        await ended(probe)
    assert probe.lost_by(ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_who_does_not_speak_tls(server_options: Any) -> None:
    probe = Probe(connectionMade=lambda probe: probe.transport.startTLS(server_options))
    async with served(probe) as peer:
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
        await peer.ending()
        await ended(probe)
    assert not probe.received
