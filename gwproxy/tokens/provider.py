"""Where an identity provider publishes its keys: at a URL that is configured, or that its discovery document names.

OpenID Connect Discovery 1.0, sections 4.1 to 4.3: the document stands below the issuer, names that same issuer to the
letter, and its `jwks_uri` is the only thing taken from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from twisted.internet.defer import Deferred

from gwproxy.calls import Answer, CallFailed, Calls, secure_url
from gwproxy.config.mistakes import BadValue
from gwproxy.http.headers import get_all, list_items

MAX_SIZE: Final = 256 << 10
# A provider may move its keys: it is asked again where they are after an hour, and when they are not there.
DISCOVERY_AGE: Final = 3600.0

_ACCEPT: Final = [(b"Accept", b"application/jwk-set+json, application/json")]
_MAX_AGE: Final = re.compile(rb'max-age="?([0-9]{1,9})"?').fullmatch


class FetchFailed(Exception):
    """There are no keys. `outcome` is what the metric calls it: see OUTCOMES."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome


# What came of a fetch. The first four are CallFailed's.
OUTCOMES: Final = ("timeout", "connect", "broken", "too_large", "status", "discovery", "document", "ok")


@attrs.frozen
class Fetched:
    """A JSON document that may be a JWKS, and how long it is fresh, in seconds; None: its server does not say."""

    document: Any
    max_age: float | None


class Provider:
    """One provider. Exactly one of `url` and `issuer` is given."""

    def __init__(
        self,
        calls: Calls,
        seconds: Callable[[], float],
        *,
        url: str = "",
        issuer: str = "",
        timeout: float,
        ca_file: Path | None = None,
    ) -> None:
        """`timeout`, in seconds, is for all that one fetch takes."""
        self._calls = calls
        self._seconds = seconds
        self._url = url
        self._issuer = issuer
        self._timeout = timeout
        self._ca_file = ca_file
        self._found = ""
        self._found_at = 0.0

    def fetch(self) -> Deferred[Fetched]:
        """Asks for the keys. Fails with FetchFailed."""
        return Deferred.fromCoroutine(self._fetch())

    async def _fetch(self) -> Fetched:
        deadline = self._seconds() + self._timeout
        url = self._url or await self._discover(deadline)
        try:
            answer = await self._get(url, deadline)
            return Fetched(_read_json(answer.body, "document"), _max_age(answer))
        except FetchFailed:
            self._found = ""
            raise

    async def _discover(self, deadline: float) -> str:
        if self._found and self._seconds() - self._found_at < DISCOVERY_AGE:
            return self._found
        # Section 4.1: a slash at the end goes first.
        where = self._issuer.removesuffix("/") + "/.well-known/openid-configuration"
        answer = await self._get(where, deadline)
        document = _read_json(answer.body, "discovery")
        if not isinstance(document, dict):
            raise FetchFailed("discovery", "the discovery document is no object")
        if document.get("issuer") != self._issuer:
            raise FetchFailed("discovery", "the discovery document is of another issuer")
        found = document.get("jwks_uri")
        try:
            self._found = secure_url(found if isinstance(found, str) else "")
        except BadValue as bad:
            raise FetchFailed("discovery", f"jwks_uri of the discovery document {bad.message}") from None
        if urlsplit(self._issuer).scheme == "https" != urlsplit(self._found).scheme:
            # What is elsewhere sends nobody to the services of this machine.
            self._found = ""
            raise FetchFailed("discovery", "jwks_uri of the discovery document must be https, as the issuer is")
        self._found_at = self._seconds()
        return self._found

    async def _get(self, url: str, deadline: float) -> Answer:
        left = deadline - self._seconds()
        if left <= 0:
            raise FetchFailed("timeout", "timeout")
        try:
            answer = await self._calls.request(
                "GET", url, headers=_ACCEPT, timeout=left, max_size=MAX_SIZE, ca_file=self._ca_file
            )
        except CallFailed as failed:
            raise FetchFailed(failed.why, str(failed)) from None
        if answer.status != 200:
            raise FetchFailed("status", f"the answer was a {answer.status}")
        return answer


def _read_json(body: bytes, outcome: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise FetchFailed(outcome, "the answer is no JSON") from None


def _max_age(answer: Answer) -> float | None:
    """RFC 9111 section 5.2.2. What may not be stored says nothing about how long its keys are good."""
    directives = [item for value in get_all(answer.headers, b"cache-control") for item in list_items(value)]
    if b"no-store" in directives or b"no-cache" in directives:
        return None
    ages = [float(match[1]) for match in map(_MAX_AGE, directives) if match]
    return min(ages) if ages and min(ages) > 0 else None
