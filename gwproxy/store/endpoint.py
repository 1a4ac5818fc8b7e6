"""How a Redis is reached: TCP, TLS with its certificate verified, a UNIX socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from gwproxy.config.stores import StoreOptions


def endpoint_of(options: StoreOptions, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    """Where to connect; `timeout` seconds for each address. Raises OSError for a file that has gone since the load."""
    address = options.url
    if address.path:
        return UNIXClientEndpoint(reactor, address.path, timeout=timeout)
    plain = HostnameEndpoint(reactor, address.host, address.port, timeout=timeout)
    if not address.tls:
        return plain
    trust = None
    if options.tls_ca is not None:
        trust = trustRootFromCertificates([Certificate.loadPEM(each) for each in _certificates(options.tls_ca)])
    own = {} if options.tls_certificate is None else _own_certificate(options.tls_certificate)
    creator = optionsForClientTLS(address.host, trustRoot=trust, extraCertificateOptions=own)
    endpoint: IStreamClientEndpoint = wrapClientTLS(creator, plain)
    return endpoint


def _own_certificate(file: Path) -> dict[str, Any]:
    certificate, *chain = load_pem_x509_certificates(file.read_bytes())
    key = load_pem_private_key(file.read_bytes(), None)
    return {"certificate": certificate, "privateKey": key, "extraCertChain": chain}


def _certificates(file: Path) -> list[bytes]:
    end = b"-----END CERTIFICATE-----"
    return [part + end for part in file.read_bytes().split(end)[:-1]]
