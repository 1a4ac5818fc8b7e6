"""Names of request fields that filters read, set and take away: what may stand in such an option."""

from __future__ import annotations

from typing import Final

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, plain
from gwproxy.http.headers import REQUEST_KINDS, TOKEN, Kind


def parse_field_name(text: str) -> bytes:
    """The name of a field that travels end to end, its case kept. Raises BadValue."""
    name = text.strip().encode()
    if not TOKEN.fullmatch(name):
        raise BadValue("must be a header name: letters, digits and -, without spaces", text.strip())
    if REQUEST_KINDS[name] not in (Kind.PLAIN, Kind.UNDERSCORE):
        raise BadValue("ends at this hop, frames the message, or is written by the gateway itself", text.strip())
    return name


# Its equality is with case: where a list must not name one twice, compare in lower case.
field_name: Final[Value[bytes]] = plain("header name", parse_field_name, bytes.decode)
lower_field_name: Final[Value[bytes]] = plain("header name", lambda text: parse_field_name(text).lower(), bytes.decode)
