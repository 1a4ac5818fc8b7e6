"""The access log: one line for each exchange that is over, whoever ended it and however malformed the request was.

Rules: the fields of the JSON line, their names and their order are relied on from outside (docs/logs.md). A line is
one line and parses, whatever bytes a client sent (they are read as latin-1). What a client can make long is cut. No
value of a secret query parameter is in it. This runs for every request: the line is built in one go.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quote

from gwproxy.observe.dates import Stamp, combined_date
from gwproxy.observe.finished import FinishedExchange, logged_reason
from gwproxy.observe.masking import mask_target
from gwproxy.observe.sink import LogSink
from gwproxy.runtime.wall import wall_clock

FIELDS = (
    "ts",
    "id",
    "client",
    "method",
    "host",
    "path",
    "protocol",
    "route",
    "upstream",
    "server",
    "status",
    "by",
    "reason",
    "filter",
    "ms",
    "upstream_ms",
    "bytes_in",
    "bytes_out",
    "tries",
    "user",
    "tls",
    "ua",
    "trace",
)

# How much of what a client wrote is kept. A path is as long as max_target allows by default.
_MAX_PATH = 8192
_MAX_TEXT = 1024
_MAX_WORD = 256

# How many quoted texts are kept. Then all are forgotten: nothing that clients send may fill the memory.
_MAX_QUOTED = 1024

_PROTOCOLS = {b"1.1": '"HTTP/1.1"', b"1.0": '"HTTP/1.0"', b"2": '"HTTP/2"', b"2.0": '"HTTP/2"'}


# Route, upstream, server, status, whether it is the upstream's, reason, filter.
_Outcome = tuple[str | None, str | None, str | None, int, bool, str | None, str | None]


class _Outcomes(dict[_Outcome, str]):
    """How an exchange may have ended, as the middle of a line: few ways, all named by the configuration."""

    def __missing__(self, outcome: _Outcome) -> str:
        if len(self) >= _MAX_QUOTED:
            self.clear()
        route, upstream, server, status, from_upstream, reason, filter_name = outcome
        text = self[outcome] = (
            f',"route":{_name(route)},"upstream":{_name(upstream)},"server":{_name(server)},"status":{status}'
            f',"by":"{"upstream" if from_upstream else "gateway"}","reason":{_name(reason)}'
            f',"filter":{_name(filter_name)}'
        )
        return text


def _name(name: str | None) -> str:
    return quote(name[:_MAX_WORD]) if name else "null"


class _Words(dict[bytes | None, str]):
    """What clients send again and again (methods, hosts, agents), cut and quoted; null for none."""

    def __missing__(self, word: bytes | None) -> str:
        if word is None:
            self[None] = "null"
            return "null"
        if len(word) > _MAX_TEXT:
            return quote(word[:_MAX_TEXT].decode("latin-1"))
        if len(self) >= _MAX_QUOTED:
            self.clear()
        quoted = self[word] = quote(word.decode("latin-1"))
        return quoted


class AccessLog:
    """Writes finished exchanges to a sink, as JSON or in the combined format."""

    def __init__(self, sink: LogSink, form: str = "json", wall: Callable[[], float] = wall_clock) -> None:
        """`form`: json or combined. `wall`: seconds since 1970."""
        self.sink = sink
        self._write = sink.write
        self._wall = wall
        self._stamp = Stamp()
        self._outcomes = _Outcomes()
        self._words = _Words()
        self._line = {"json": self._json, "combined": self._combined}[form]

    def log(self, exchange: FinishedExchange, began: float | None = None) -> None:
        """Log one exchange, which `began` then (in seconds since 1970), or has ended right now. Never waits."""
        if began is None:
            began = self._wall() - (exchange.ended - exchange.started)
        self._write(self._line(exchange, began))

    def _json(self, exchange: FinishedExchange, began: float) -> bytes:
        words = self._words
        took = exchange.ended - exchange.started
        upstream_took = exchange.upstream_seconds
        route = exchange.route
        reason = exchange.reason
        principal = exchange.principal
        outcome = self._outcomes[
            None if route is None else route.name,
            exchange.upstream_name,
            exchange.server_label,
            exchange.status,
            exchange.from_upstream,
            None if reason is None else logged_reason(reason, exchange.detail),
            exchange.filter_name,
        ]
        return (
            f'{{"ts":"{self._stamp(began)}"'
            f',"id":{quote(exchange.request_id[:_MAX_WORD])}'
            f',"client":{quote(exchange.client_ip[:_MAX_WORD]) if exchange.client_ip else "null"}'
            f',"method":{words[exchange.method]}'
            f',"host":{words[exchange.host]}'
            f',"path":{quote(mask_target(exchange.target[:_MAX_PATH].decode("latin-1")))}'
            f',"protocol":{_PROTOCOLS.get(exchange.version) or _protocol(exchange.version)}'
            f"{outcome}"
            f',"ms":{took * 1000:.3f}'
            f',"upstream_ms":{"null" if upstream_took is None else f"{upstream_took * 1000:.3f}"}'
            f',"bytes_in":{exchange.bytes_in}'
            f',"bytes_out":{exchange.bytes_out}'
            f',"tries":{exchange.tries}'
            f',"user":{"null" if principal is None else quote(principal.subject[:_MAX_WORD])}'
            # Which TLS version and certificate: comes with TLS.
            ',"tls":null'
            f',"ua":{words[exchange.header(b"user-agent")]}'
            f',"trace":{quote(exchange.trace_id[:_MAX_WORD]) if exchange.trace_id else "null"}}}\n'
        ).encode("ascii")

    def _combined(self, exchange: FinishedExchange, began: float) -> bytes:
        """What web servers call combined: client, -, user, date, request line, status, bytes, referer, agent."""
        principal = exchange.principal
        user = b"-" if principal is None else _bare(principal.subject[:_MAX_WORD].encode("utf-8", "replace"))
        referer = exchange.header(b"referer")
        return b'%b - %b [%b] "%b %b HTTP/%b" %d %d "%b" "%b"\n' % (
            _bare(exchange.client_ip[:_MAX_WORD].encode("latin-1", "replace")) or b"-",
            user or b"-",
            combined_date(began).encode(),
            _bare(exchange.method[:_MAX_WORD]),
            _bare(_masked(exchange.target[:_MAX_PATH])),
            _bare(exchange.version[:_MAX_WORD]),
            exchange.status,
            exchange.bytes_out,
            b"-" if referer is None else _escaped(_masked(referer[:_MAX_TEXT])),
            _escaped((exchange.header(b"user-agent") or b"-")[:_MAX_TEXT]),
        )


# Everything but printable ASCII, the quotation mark and the backslash, as nginx writes it: \x22.
_ESCAPES = [bytes((code,)) if 32 <= code < 127 and code not in b'"\\' else b"\\x%02X" % code for code in range(256)]


def _masked(target: bytes) -> bytes:
    return mask_target(target.decode("latin-1")).encode("latin-1")


def _protocol(version: bytes) -> str:
    return quote("HTTP/" + version[:_MAX_WORD].decode("latin-1"))


def _escaped(value: bytes) -> bytes:
    if value.isascii() and b'"' not in value and b"\\" not in value and value.decode("ascii").isprintable():
        return value
    return b"".join([_ESCAPES[code] for code in value])


def _bare(value: bytes) -> bytes:
    """Escaped, and without blanks: a field of its own, not inside quotation marks."""
    return _escaped(value).replace(b" ", b"\\x20")
