"""The options of the filter type `jwt`, and which of them fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

from gwproxy.calls import secure_url
from gwproxy.config.lists import some_of
from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import boolean, duration, file, integer, plain, positive_duration, size, text
from gwproxy.filters.claim_fields import ClaimToField, claims_to_headers
from gwproxy.filters.decision import Mode, mode_option
from gwproxy.filters.field_names import field_name
from gwproxy.filters.realm import realm
from gwproxy.tokens.keys import ALGORITHMS, HMAC_ALGORITHMS

_SOURCES: Final = ("secret", "secret_file", "public_key_file", "jwks_file", "jwks_url", "discover")
FETCHED: Final = ("jwks_url", "discover")

# Clocks that are further apart than this are wrong, and a token that ended long ago is no token.
_MAX_LEEWAY: Final = 3600.0


def _parse_algorithm(given: str) -> str:
    if given in ALGORITHMS:
        return given
    if given.lower() == "none":
        raise BadValue("is no signature: anybody can write such a token")
    raise BadValue(f"must be one of {', '.join(ALGORITHMS)}")


@attrs.frozen
class Options:
    """`[filter:NAME] type = jwt`."""

    algorithms: tuple[str, ...] = option(
        some_of(plain("algorithm", _parse_algorithm)),
        doc=f"The algorithms that tokens may be signed with: {', '.join(ALGORITHMS)}. Either those with a shared "
        "secret (HS...) or those with public keys, not both.",
    )
    secret: str = option(
        text,
        default="",
        secret=True,
        doc="The shared secret of HS256, HS384, HS512: at least 32, 48, 64 bytes. One of secret, secret_file, "
        "public_key_file, jwks_file, jwks_url and discover must be given.",
    )
    secret_file: Path | None = option(
        file,
        default=None,
        doc="A file with the shared secret, without the newline at its end. Read again when it changes.",
    )
    public_key_file: Path | None = option(
        file, default=None, doc="A PEM file with one public key or several. Read again when it changes."
    )
    jwks_file: Path | None = option(file, default=None, doc="A JSON Web Key Set. Read again when it changes.")
    jwks_url: str = option(
        secure_url,
        default="",
        doc="Where the issuer publishes its keys, a JSON Web Key Set. https, or a loopback address.",
    )
    discover: bool = option(
        boolean,
        default=False,
        doc="Find the keys by OpenID Connect discovery: issuer/.well-known/openid-configuration.",
    )
    jwks_refresh: float = option(positive_duration, default=300.0, doc="How often keys are fetched again, at least.")
    jwks_timeout: float = option(positive_duration, default=5.0, doc="How long one fetch of keys may take.")
    jwks_ca_file: Path | None = option(
        file, default=None, doc="Certificates to trust instead of the system's when keys are fetched."
    )
    issuer: tuple[str, ...] = option(
        some_of(text),
        default=(),
        doc="The issuers (iss) that are accepted. Default: any, for keys that only one issuer signs with.",
    )
    audience: tuple[str, ...] = option(
        some_of(text),
        default=(),
        doc="A token must be for one of these (aud). Default: any, also tokens that were made for other services.",
    )
    leeway: float = option(
        duration, default=30.0, doc="How far clocks may be apart when exp, nbf and iat are compared."
    )
    required_claims: tuple[str, ...] = option(
        some_of(text),
        default=("exp",),
        doc="Claims that every token must have. Without exp among them, a token may be good for ever.",
    )
    typ: str = option(
        text, default="", doc="The only type (typ) that is accepted, as in at+jwt. Default: JWT, at+jwt, or none."
    )
    max_token_size: int = option(size(256), default=16 << 10, doc="Larger tokens are refused.")
    header: bytes = option(
        field_name,
        default=b"Authorization",
        doc="The header with the token. In another than Authorization it may stand without `Bearer`.",
    )
    realm: str = option(realm, default="api", doc="What the challenge of a 401 calls the protected space.")
    optional: bool = option(
        boolean, default=False, doc="Let requests without a token pass, as nobody. A bad token is refused all the same."
    )
    claims_to_headers: tuple[ClaimToField, ...] = option(
        claims_to_headers,
        default=(),
        doc="Claims that go upstream as headers: sub: X-User-Id, realm_access.roles: X-Roles. What a client sends "
        "under these names is always removed.",
    )
    cache_size: int = option(
        integer(0, 1_000_000),
        default=10_000,
        doc="How many verified tokens are remembered, by their hash, until they end.",
    )
    mode: Mode = mode_option()

    @property
    def source(self) -> str:
        """The option that says where keys come from."""
        return next(name for name in _SOURCES if getattr(self, name))

    def check_options(self) -> None:
        """Raises ConfigMistake."""
        given = [name for name in _SOURCES if getattr(self, name)]
        if len(given) != 1:
            wrong = f"{' and '.join(given)} stand together: one of them" if given else "no keys: one of them is needed"
            raise ConfigMistake(f"{wrong}: {', '.join(_SOURCES)}", given[1] if given else "")
        self._check_algorithms(given[0])
        if self.discover:
            self._check_issuer()
        if self.jwks_ca_file is not None and given[0] not in FETCHED:
            raise ConfigMistake("jwks_ca_file: no keys are fetched", "jwks_ca_file")
        if self.leeway > _MAX_LEEWAY:
            raise ConfigMistake("leeway: must be 1h or less", "leeway")
        names = {name.lower() for _, name in self.claims_to_headers}
        if self.header.lower() in names or b"authorization" in names:
            raise ConfigMistake("claims_to_headers: the token itself stands in that header", "claims_to_headers")

    def _check_algorithms(self, source: str) -> None:
        shared = [name for name in self.algorithms if name in HMAC_ALGORITHMS]
        if shared and len(shared) < len(self.algorithms):
            raise ConfigMistake(
                "algorithms: HS... take a shared secret and the others public keys; use one filter for each",
                "algorithms",
            )
        if shared and source not in ("secret", "secret_file", "jwks_file"):
            raise ConfigMistake(f"{source}: {shared[0]} takes a shared secret: secret or secret_file", source)
        if not shared and source in ("secret", "secret_file"):
            raise ConfigMistake(f"{source}: {self.algorithms[0]} takes a public key: public_key_file, say", source)

    def _check_issuer(self) -> None:
        if len(self.issuer) != 1:
            raise ConfigMistake("discover: needs issuer, and exactly one", "discover")
        try:
            secure_url(self.issuer[0])
        except BadValue as bad:
            raise ConfigMistake(f"issuer: for discovery it {bad.message}", "issuer") from None
