"""Calls over TLS: whom they trust, and that a server that hangs is cut all the same."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from gwproxy.calls import Answer, CallFailed, Calls, ca_file
from gwproxy.config.mistakes import BadValue
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@attrs.define
class Authority:
    """A certificate authority of our own, and the file with its certificate."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    file: Path

    @classmethod
    def make(cls, folder: Path, name: str) -> Authority:
        made = cls(ec.generate_private_key(ec.SECP256R1()), _name(name), folder / f"{name}.pem")
        certificate = made._sign(made.name, made.key, x509.BasicConstraints(ca=True, path_length=None), NOW + DAY)
        made.file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return made

    def context(self, folder: Path, *names: str, until: datetime.datetime = NOW + DAY) -> ssl.SSLContext:
        """For a server that has a certificate of ours for `names`, hosts or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        found = [
            x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
        ]
        certificate = self._sign(_name(names[0]), key, x509.SubjectAlternativeName(found), until)
        file = folder / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        until: datetime.datetime,
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(until)
            .add_extension(extension, critical=True)
            .sign(self.key, hashes.SHA256())
        )


def _alternative(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


Handler = Callable[[ssl.SSLSocket], None]


def answering(answer: bytes) -> Handler:
    return lambda connection: connection.sendall(answer)


class TlsServer:
    """Takes one connection after another; a handler is called for each request, once its head is there."""

    def __init__(self, context: ssl.SSLContext, handler: Handler | None = None) -> None:
        self.requests: list[int] = []  # the connections that had one, by number
        self.failures: list[BaseException] = []
        self._context = context
        self._handler = handler or answering(OK)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Ends it; raises what the handler raised."""
        for each in (self._listener, *self._open):
            with suppress(OSError):  # ended by the other side meanwhile
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a handler hangs"
        self._listener.close()
        assert not self.failures, self.failures

    def _accept(self) -> None:
        for number in itertools.count():
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return  # close() has been called
            plain.settimeout(10)
            self._threads.append(threading.Thread(target=self._serve, args=(plain, number), daemon=True))
            self._threads[-1].start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as connection:
                self._open.append(connection)
                self._serve_one(connection, number)
        except OSError:
            plain.close()  # no handshake, or the end of the connection
        except BaseException as failure:
            self.failures.append(failure)

    def _serve_one(self, connection: ssl.SSLSocket, number: int) -> None:
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
            if b"\r\n\r\n" in received:
                self.requests.append(number)
                received = b""
                self._handler(connection)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path, "ours")


@pytest.fixture
def calls() -> Iterator[Calls]:
    from twisted.internet import reactor

    made = Calls(reactor)
    yield made
    pytest_twisted.blockon(deferLater(reactor, 0, made.stop))


async def why(asked: Deferred[Answer]) -> str:
    with pytest.raises(CallFailed) as caught:
        await asked
    return caught.value.why


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest_twisted.ensureDeferred
async def test_a_server_whose_certificate_we_trust(
    calls: Calls, authority: Authority, tmp_path: Path, host: str
) -> None:
    server = TlsServer(authority.context(tmp_path, "localhost", "127.0.0.1"))
    try:
        for _ in range(2):
            answer = await calls.request("GET", f"https://{host}:{server.port}/", ca_file=authority.file)
            assert answer.body == b"ok"
        assert server.requests == [0, 0]
    finally:
        await deferToThread(server.close)


@pytest.mark.parametrize("wrong", ["name", "expired", "authority", "system"])
@pytest_twisted.ensureDeferred
async def test_a_server_that_may_be_another_is_told_nothing(
    calls: Calls, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    name = "elsewhere.example.com" if wrong == "name" else "localhost"
    until = NOW - DAY if wrong == "expired" else NOW + DAY
    server = TlsServer(authority.context(tmp_path, name, until=until))
    trusted = {"authority": Authority.make(tmp_path, "another").file, "system": None}.get(wrong, authority.file)
    try:
        asked = calls.request("POST", f"https://localhost:{server.port}/", body=b"secret", ca_file=trusted)
        assert await why(asked) == "connect"
    finally:
        await deferToThread(server.close)
    assert server.requests == []


@pytest_twisted.ensureDeferred
async def test_a_connection_is_for_those_who_trust_it(calls: Calls, authority: Authority, tmp_path: Path) -> None:
    """One that is kept is not taken by a call that would not have made it."""
    server = TlsServer(authority.context(tmp_path, "localhost"))
    url = f"https://localhost:{server.port}/"
    try:
        assert (await calls.request("GET", url, ca_file=authority.file)).body == b"ok"
        assert await why(calls.request("GET", url)) == "connect"
        assert await why(calls.request("GET", url, ca_file=Authority.make(tmp_path, "b").file)) == "connect"
    finally:
        await deferToThread(server.close)


@pytest_twisted.ensureDeferred
async def test_certificates_that_are_replaced_are_read_again(
    calls: Calls, authority: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "trusted.pem"
    file.write_bytes(Authority.make(tmp_path, "old").file.read_bytes())
    server = TlsServer(authority.context(tmp_path, "localhost"))
    url = f"https://localhost:{server.port}/"
    try:
        assert await why(calls.request("GET", url, ca_file=file)) == "connect"
        replacement = tmp_path / "replacement.pem"
        replacement.write_bytes(authority.file.read_bytes())
        os.replace(replacement, file)
        assert (await calls.request("GET", url, ca_file=file)).body == b"ok"
        file.unlink()
        assert await why(calls.request("GET", url, ca_file=file)) == "connect"
    finally:
        await deferToThread(server.close)


@pytest_twisted.ensureDeferred
async def test_who_hangs_in_the_middle_of_a_body_is_cut(calls: Calls, authority: Authority, tmp_path: Path) -> None:
    """Merely closing would wait for the other side's goodbye, which does not come."""
    cut: list[bool] = []

    def hang(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        poll = select.poll()
        poll.register(connection, 0)  # errors and the end of both directions are always told
        cut.append(bool(poll.poll(5000)))
        looked.set()

    looked = threading.Event()
    server = TlsServer(authority.context(tmp_path, "localhost"), hang)
    asked = calls.request("GET", f"https://localhost:{server.port}/", ca_file=authority.file, timeout=0.5)
    assert await why(asked) == "timeout"
    await deferToThread(looked.wait, 10)
    await deferToThread(server.close)
    assert cut == [True]


@pytest_twisted.ensureDeferred
async def test_who_does_not_speak_tls_cannot_be_asked(calls: Calls, authority: Authority) -> None:
    server = ScriptedUpstream()
    server.handler = _answer_anything
    try:
        asked = calls.request("GET", f"https://127.0.0.1:{server.port}/", ca_file=authority.file)
        assert await why(asked) == "connect"
    finally:
        await deferToThread(server.close)


def _answer_anything(connection: UpstreamConnection) -> None:
    connection.read_some()
    connection.send(OK)
    connection.close()


@pytest_twisted.ensureDeferred
async def test_a_redirect_does_not_lead_out_of_tls(calls: Calls, authority: Authority, tmp_path: Path) -> None:
    plain = ScriptedUpstream()
    moved = b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % plain.port
    server = TlsServer(authority.context(tmp_path, "localhost"), answering(moved))
    try:
        answer = await calls.request("GET", f"https://localhost:{server.port}/", ca_file=authority.file)
        assert answer.status == 307
        assert plain.requests == []
    finally:
        await deferToThread(server.close)
        plain.close()


# The option


def test_a_file_of_certificates(authority: Authority, tmp_path: Path) -> None:
    two = tmp_path / "two.pem"
    two.write_bytes(authority.file.read_bytes() + Authority.make(tmp_path, "another").file.read_bytes())
    for file in (authority.file, two):
        assert ca_file(str(file)) == file


@pytest.mark.parametrize(
    "content",
    [b"", b"ours", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"-----BEGIN CERTIFICATE-----\n"],
)
def test_a_file_that_has_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(BadValue):
        ca_file(str(file))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadValue):
        ca_file(str(tmp_path / "none.pem"))
