"""Sets of networks, looked up by address in no more time for thousands of them than for two.

IPv4 and IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) are the same addresses here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

from gwproxy.config.mistakes import BadValue, wrong_lines
from gwproxy.config.values import Network, network

_MAPPED: Final = bytes(10) + b"\xff\xff"
_FIRST_MAPPED: Final = int.from_bytes(_MAPPED, "big") << 32
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Networks:
    """`ip in networks` for an address as text. Immutable."""

    __slots__ = ("_ipv4", "_ipv6")

    def __init__(self, networks: Iterable[Network] = (), more: Iterable[tuple[bool, int, int]] = ()) -> None:
        """`more` has ranges: whether of IPv6, the first address, and the one behind the last."""
        ipv4: list[tuple[int, int]] = []
        ipv6: list[tuple[int, int]] = []
        for is_ipv6, begin, end in (*map(_range, networks), *more):
            if not is_ipv6:
                ipv4.append((begin, end))
            elif _FIRST_MAPPED <= begin < end <= _FIRST_MAPPED + (1 << 32):
                ipv4.append((begin - _FIRST_MAPPED, end - _FIRST_MAPPED))
            else:
                ipv6.append((begin, end))
        self._ipv4 = _bounds(ipv4)
        self._ipv6 = _bounds(ipv6)

    def __bool__(self) -> bool:
        return bool(self._ipv4 or self._ipv6)

    def __repr__(self) -> str:
        return f"<Networks {(len(self._ipv4) + len(self._ipv6)) // 2} ranges>"

    def __contains__(self, ip: str) -> bool:
        """False for what is no address."""
        try:
            if ":" not in ip:
                bounds, packed = self._ipv4, inet_pton(AF_INET, ip)
            else:
                bounds, packed = self._ipv6, inet_pton(AF_INET6, ip)
                if packed.startswith(_MAPPED):
                    bounds, packed = self._ipv4, packed[12:]
        except (OSError, ValueError):
            return False
        # Behind an odd number of bounds: a range has begun and not ended.
        return bisect_right(bounds, int.from_bytes(packed, "big")) & 1 == 1


def _range(given: Network) -> tuple[bool, int, int]:
    begin = int(given.network_address)
    return given.version == 6, begin, begin + (1 << (given.max_prefixlen - given.prefixlen))


def _bounds(ranges: list[tuple[int, int]]) -> list[int]:
    """Where ranges of addresses begin and where they have ended, in turn and ascending; none touches the next."""
    bounds: list[int] = []
    for begin, end in sorted(ranges):
        if bounds and begin <= bounds[-1]:
            bounds[-1] = max(bounds[-1], end)
        else:
            bounds += (begin, end)
    return bounds


def parse_networks(data: bytes) -> Networks:
    """The content of a file: a network or an address a line, `#` begins a comment. Raises ValueError, with lines."""
    try:
        lines = data.removeprefix(_BYTE_ORDER_MARK).decode().splitlines()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    ranges = []
    told: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        written = line.partition("#")[0].strip()
        if written:
            try:
                ranges.append(_usual(written) or _range(network(written)))
            except BadValue as bad:
                told.append((number, f"{written[:60]!r} {bad.message}"))
    if told:
        raise wrong_lines(told)
    return Networks((), ranges)


def _usual(text: str) -> tuple[bool, int, int] | None:
    """A network as nearly everybody writes it, ten times as fast as `ipaddress`; None: let that one judge."""
    address, slash, length = text.partition("/")
    is_ipv6 = ":" in address
    try:
        packed = inet_pton(AF_INET6 if is_ipv6 else AF_INET, address)
    except (OSError, ValueError):
        return None
    bits = len(packed) * 8
    begin = int.from_bytes(packed, "big")
    if not slash:
        return is_ipv6, begin, begin + 1
    if not (length.isascii() and length.isdecimal() and len(length) < 4 and int(length) <= bits):
        return None
    size = 1 << (bits - int(length))
    return None if begin % size else (is_ipv6, begin, begin + size)
