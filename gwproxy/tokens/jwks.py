"""Keys of an identity provider, by HTTP: fetched at start, kept fresh, kept while the provider is down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gwproxy.calls import Calls
from gwproxy.runtime.meters import Meters
from gwproxy.tokens.keys import KeySet


class Around(Protocol):
    """What a source needs of the process: a FilterContext has it."""

    @property
    def name(self) -> str: ...
    @property
    def reactor(self) -> IReactorTime: ...
    @property
    def keep(self) -> Callable[[tuple[object, ...], Callable[[], Any]], Any]: ...
    @property
    def meters(self) -> Meters: ...
    @property
    def wall(self) -> Callable[[], float]: ...
    @property
    def calls(self) -> Calls: ...
    @property
    def state_dir(self) -> Path | None: ...
    @property
    def in_thread(self) -> Callable[..., Deferred[Any]]: ...


def jwks_source(
    around: Around,
    *,
    algorithms: Iterable[str],
    url: str = "",
    issuer: str = "",
    refresh: float = 300.0,
    min_interval: float = 1.0,
    timeout: float = 5.0,
    ca_file: Path | None = None,
) -> JwksSource:
    """The kept source of keys at `url` (a secure_url), or of the `issuer` (a secure_url) whose discovery document says
    where they are. One of the two. `refresh`: seconds after which they are fetched again at the latest;
    `min_interval`: seconds between two fetches however many requests ask; `timeout`: seconds for one fetch."""
    raise NotImplementedError


class JwksSource:
    """A KeySource (keys.py) and a Worker (runtime/keep.py)."""

    @property
    def current(self) -> KeySet | None:
        raise NotImplementedError

    def refetch(self) -> Deferred[KeySet | None] | None:
        raise NotImplementedError
