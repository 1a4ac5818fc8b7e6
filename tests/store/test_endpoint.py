"""TLS to a real Redis: its certificate is verified by name, and ours is shown when it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from gwproxy.config.stores import StoreOptions, redis_url
from gwproxy.runtime.meters import Meters
from gwproxy.store.endpoint import endpoint_of
from gwproxy.store.redis import Store
from tests.store.certificates import Authority
from tests.store.redis_process import RedisProcess, free_port, require_redis


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path)


@pytest.fixture
def serve(tmp_path: Path, authority: Authority) -> Iterator[Callable[..., int]]:
    """`serve(certificate)`: a Redis with TLS; gives its port."""
    require_redis()
    started: list[RedisProcess] = []

    def start(certificate: Path, clients: str = "no") -> int:
        port = free_port()
        tls = {
            "tls-port": str(port),
            "tls-cert-file": str(certificate),
            "tls-key-file": str(certificate),
            "tls-ca-cert-file": str(tmp_path / "ca.pem"),
            "tls-auth-clients": clients,
        }
        redis = RedisProcess(tmp_path, *[word for key, value in tls.items() for word in (f"--{key}", value)])
        redis.start()
        started.append(redis)
        return port

    yield start
    for redis in started:
        redis.kill()


def connects(port: int, host: str = "127.0.0.1", **options: Any) -> Deferred[bool]:
    """Whether a store becomes available, or logs that it cannot."""
    from twisted.internet import reactor

    url = redis_url(f"rediss://{host}:{port}/0")
    store = Store(StoreOptions(name="s", url=url, timeout=1.0, connections=1, **options), reactor, Meters())
    told: Deferred[bool] = Deferred()

    @provider(ILogObserver)
    def listen(event: LogEvent) -> None:
        if "[store:" in event.get("log_format", "") and not told.called:
            told.callback(store.available)

    def stop(available: bool) -> bool:
        globalLogPublisher.removeObserver(listen)
        store.stop()
        return available

    globalLogPublisher.addObserver(listen)
    store.start()
    return told.addCallback(stop)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_the_certificate_is_verified_by_name(authority: Authority, serve: Callable[..., int], name: str) -> None:
    port = serve(authority.issue(name))
    ca = authority.folder / "ca.pem"
    other = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}[name]
    assert await connects(port, name, tls_ca=ca)
    assert not await connects(port, other, tls_ca=ca)


@pytest_twisted.ensureDeferred
async def test_one_that_the_system_does_not_trust_is_refused(authority: Authority, serve: Callable[..., int]) -> None:
    assert not await connects(serve(authority.issue("127.0.0.1")))


@pytest_twisted.ensureDeferred
async def test_our_own_is_shown(authority: Authority, serve: Callable[..., int]) -> None:
    port = serve(authority.issue("127.0.0.1"), clients="yes")
    ca = authority.folder / "ca.pem"
    assert not await connects(port, tls_ca=ca)
    assert await connects(port, tls_ca=ca, tls_certificate=authority.issue("gateway"))


def test_without_tls() -> None:
    from twisted.internet import reactor

    plain = endpoint_of(StoreOptions(url=redis_url("redis://redis.test:7000/1")), reactor, 1.0)
    assert isinstance(plain, HostnameEndpoint)
    assert "redis.test:7000" in repr(plain)
    local = endpoint_of(StoreOptions(url=redis_url("unix:///run/redis.sock")), reactor, 1.0)
    assert isinstance(local, UNIXClientEndpoint)


def test_a_file_that_has_gone_since_the_load(tmp_path: Path) -> None:
    from twisted.internet import reactor

    options = StoreOptions(url=redis_url("rediss://redis.test"), tls_ca=tmp_path / "gone.pem")
    with pytest.raises(FileNotFoundError):
        endpoint_of(options, reactor, 1.0)
