"""The filter type `ip`: lets in, or keeps out, by the client's address.

Rules:

* The address is `exchange.client_ip`: the client as `trusted_proxies` defines it, not what it says of itself.
* `deny` wins. With `allow`, what is not on it is denied; a client without an address (one that came over a unix socket,
  of which no trusted proxy says more) is then denied as well.
* Lists in files count like those in the configuration. A file is looked at every second; one that cannot be read or
  has a mistake changes nothing.
* However many networks there are, an address that was seen lately costs one look into a table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
from zope.interface import implementer

from gwproxy.config.lists import some_of
from gwproxy.config.mistakes import ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import Network, file, network
from gwproxy.filters.api import Exchange, FilterContext, IRequestFilter, Reply, Traits
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.filters.networks import Networks, parse_networks
from gwproxy.runtime.watched import WatchedFile

# Addresses whose verdict is remembered; then all are forgotten.
MOST_KNOWN: Final = 8192


@attrs.frozen
class Options:
    """`[filter:NAME] type = ip`."""

    allow: tuple[Network, ...] = option(
        some_of(network), default=(), doc="Networks or addresses that may pass. Given: no others may."
    )
    deny: tuple[Network, ...] = option(
        some_of(network), default=(), doc="Networks or addresses that may not, even where they are in allow."
    )
    allow_file: Path | None = option(
        file, default=None, doc="A file with more of allow: a network a line, # begins a comment. Read when it changes."
    )
    deny_file: Path | None = option(file, default=None, doc="A file with more of deny, written the same way.")
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """Without a list everybody would pass."""
        if not (self.allow or self.deny or self.allow_file or self.deny_file):
            raise ConfigMistake("needs at least one of allow, deny, allow_file, deny_file")
        both = next((each for each in self.allow if each in self.deny), None)
        if both is not None:
            raise ConfigMistake(f"{both} is in allow as well, and deny wins", "deny")


class Lists:
    """One list: what stands in the configuration, and what stands in a file now."""

    __slots__ = ("_file", "_fixed")

    def __init__(self, fixed: Networks, watched: WatchedFile[Networks] | None) -> None:
        self._fixed = fixed
        self._file = watched

    @property
    def given(self) -> bool:
        """Whether there is such a list, be it empty."""
        return bool(self._fixed) or self._file is not None

    @property
    def changes(self) -> int:
        """How often the file changed."""
        return 0 if self._file is None else self._file.changes

    def __contains__(self, ip: str) -> bool:
        return ip in self._fixed or (self._file is not None and ip in self._file.value)


@implementer(IRequestFilter)
class IpFilter:
    """Decides once for an address, until a file changes."""

    __slots__ = ("_allow", "_changes", "_decisions", "_deny", "_known", "_watches")

    def __init__(self, allow: Lists, deny: Lists, decisions: Decisions, watches: bool) -> None:
        self._allow = allow
        self._deny = deny
        self._decisions = decisions
        self._watches = watches
        self._changes = allow.changes + deny.changes
        self._known: dict[str, bool] = {}

    def on_request(self, exchange: Exchange) -> Reply | None:
        """403 for who may not."""
        if self._watches:
            changes = self._allow.changes + self._deny.changes
            if changes != self._changes:
                self._changes = changes
                self._known.clear()
        passes = self._known.get(exchange.client_ip)
        if passes is None:
            passes = self._look_up(exchange.client_ip)
        if passes:
            self._decisions.allowed.value += 1
            return None
        return self._decisions.deny(exchange, Denial.IP_DENIED, 403)

    def _look_up(self, ip: str) -> bool:
        passes = ip not in self._deny and (not self._allow.given or ip in self._allow)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[ip] = passes
        return passes


def traits(options: Options) -> Traits:
    """Belongs ahead of all that costs more."""
    return Traits(cheap_guard=True)


def factory(options: Options, context: FilterContext) -> IpFilter:
    """Raises ConfigMistake for a file that cannot be read or has a mistake, with its line."""
    allow = Lists(Networks(options.allow), _watched(options.allow_file, "allow_file", context))
    deny = Lists(Networks(options.deny), _watched(options.deny_file, "deny_file", context))
    watches = options.allow_file is not None or options.deny_file is not None
    return IpFilter(allow, deny, Decisions(context, options.mode, Event.IP_DENIED), watches)


def _watched(path: Path | None, key: str, context: FilterContext) -> WatchedFile[Networks] | None:
    return None if path is None else context.watched_file(path, parse_networks, key)
