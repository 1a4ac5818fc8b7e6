"""The options of [store:NAME]: state that several gateways share."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from gwproxy.config import values
from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import Value, plain


@attrs.frozen
class RedisAddress:
    """Where a Redis is and how to log in. Equality is that of all of it."""

    host: str = ""
    port: int = 6379
    path: str = ""  # of a UNIX socket, instead of host and port
    tls: bool = False
    database: int = 0
    user: str = ""
    password: str = attrs.field(default="", repr=False)

    @property
    def label(self) -> str:
        """For logs: without credentials."""
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"


def _parse_redis_url(text: str) -> RedisAddress:
    hint = BadValue("must be redis://HOST:PORT/DATABASE, rediss://... for TLS, or unix:///PATH?db=DATABASE")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise hint from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user and not password:
        raise BadValue("has a user and no password; a password alone is written :PASSWORD@")
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.hostname:
        database = parts.query.removeprefix("db=") or "0"
        if database.isdecimal() and len(database) < 5:
            return RedisAddress(path=parts.path, database=int(database), user=user, password=password)
    database = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or parts.query or parts.fragment or port == 0:
        raise hint
    if not database.isdecimal() or len(database) > 4:
        raise hint
    return RedisAddress(
        host=parts.hostname,
        port=port or 6379,
        tls=parts.scheme == "rediss",
        database=int(database),
        user=user,
        password=password,
    )


redis_url: Value[RedisAddress] = plain("redis URL", _parse_redis_url, lambda address: address.label)


def _read_certificates(text: str, base: Path) -> Path:
    file = values.file.read(text, base)
    try:
        load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        raise BadValue("must be a PEM file with certificates") from None
    return file


def _read_certificate_and_key(text: str, base: Path) -> Path:
    file = _read_certificates(text, base)
    try:
        load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        raise BadValue("must hold a private key beside the certificate, without a password") from None
    return file


@attrs.frozen
class StoreOptions:
    """A Redis that gateways share: limits and revocations hold for all of them. Filters name it: `store = NAME`."""

    name: str = ""
    url: RedisAddress = option(
        redis_url,
        secret=True,
        doc="redis://HOST:PORT/DATABASE, rediss:// for TLS, unix:///PATH?db=N; a password stands before an @.",
    )
    timeout: float = option(
        values.positive_duration, default=0.05, doc="How long one question may take; then the store counts as failed."
    )
    connections: int = option(values.integer(1, 64), default=2, doc="Connections kept open.")
    max_in_flight: int = option(
        values.integer(1), default=1000, doc="Questions that may wait for an answer; more count as a failed store."
    )
    prefix: str = option(
        values.text, default="gwproxy:", doc="What every key begins with. Gateways that share state have the same."
    )
    breaker_failures: int = option(
        values.integer(1), default=3, doc="After so many failures in a row the store is not asked for a while."
    )
    breaker_pause: float = option(
        values.positive_duration, default=1.0, doc="How long it is not asked; then one question finds out."
    )
    tls_ca: Path | None = option(
        Value("file", _read_certificates),
        default=None,
        doc="With rediss://: whose certificates to trust, a PEM file, instead of the system's.",
    )
    tls_certificate: Path | None = option(
        Value("file", _read_certificate_and_key),
        default=None,
        doc="With rediss://: the gateway's own certificate and its key, one PEM file, for a Redis that asks for one.",
    )

    def check_options(self) -> None:
        """TLS options need TLS."""
        if self.url.tls:
            return
        for key in ("tls_ca", "tls_certificate"):
            if getattr(self, key) is not None:
                raise ConfigMistake(f"{key} is for a url that begins with rediss://", key)
