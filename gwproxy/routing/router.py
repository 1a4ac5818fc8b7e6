"""From host, path and method to a route: the most specific one wins, whatever the order in the file.

* Host first: an exact name, then wildcards from the longest to the shortest, then routes for any host.
  `*.example.com` takes one or more labels before `.example.com`, and not `example.com` itself. When the routes of a
  host do not take a request, those of the less specific hosts are asked.
* Then the path: `= /exact`; regexes, in the order written; prefixes and templates, compared segment by segment: a
  literal before a parameter, longer before shorter, an end before a prefix. The prefix `/api` takes `/api` and what is
  below, `/user/` only what is below. A template takes whole paths.
* Then the method: on one pattern, a route that names the method wins over one that takes any. A route that does not
  take the method leaves the request to less specific ones. GET implies HEAD.

Everything is compiled at load: a lookup by host, then a walk down a trie of segments.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from itertools import combinations

from gwproxy.config.routes import PatternKind
from gwproxy.routing.route import ANY_HOST, Route


class Router:
    """All routes of one generation. Immutable once made."""

    __slots__ = ("_any", "_exact", "_wildcards")

    def __init__(self, routes: Iterable[Route]) -> None:
        tables: dict[bytes, _Table] = {ANY_HOST: _Table()}
        for route in routes:
            for host in route.hosts:
                tables.setdefault(host, _Table()).add(route)
        for table in tables.values():
            table.seal()
        self._any = HostRoutes((tables[ANY_HOST],))
        self._exact: dict[bytes, HostRoutes] = {}
        # By what follows the star: `.example.com`.
        self._wildcards: dict[bytes, HostRoutes] = {}
        for host, table in tables.items():
            less_specific = [tables[b"*" + suffix] for suffix in _suffixes(host) if b"*" + suffix in tables]
            found = HostRoutes((table, *less_specific, tables[ANY_HOST]))
            if host.startswith(b"*."):
                self._wildcards[host[1:]] = found
            elif host != ANY_HOST:
                self._exact[host] = found

    def host(self, name: bytes) -> HostRoutes:
        """The routes of a host, its name as `parse_host` gives it."""
        found = self._exact.get(name)
        if found is not None:
            return found
        if self._wildcards:
            dot = name.find(b".")
            while dot >= 0:
                found = self._wildcards.get(name[dot:])
                if found is not None:
                    return found
                dot = name.find(b".", dot + 1)
        return self._any


def _suffixes(host: bytes) -> Iterable[bytes]:
    """`.b.c` and `.c` for `a.b.c`; for the wildcard `*.b.c` only `.c`."""
    labels = host.removeprefix(b"*.").split(b".")
    return [b"." + b".".join(labels[start:]) for start in range(1, len(labels))]


class HostRoutes:
    """The routes that a request for one host may take, in tables from the most specific host to any."""

    __slots__ = ("_tables",)

    def __init__(self, tables: tuple[_Table, ...]) -> None:
        self._tables = tables

    def match(self, path: bytes, method: bytes) -> Route | frozenset[bytes] | None:
        """The route for a `Target.path`; for a 405, the methods that there are routes for; None for a 404."""
        missed: set[bytes] = set()
        for table in self._tables:
            route = table.find(path, method, missed)
            if route is not None:
                return route
        return frozenset(missed) or None


class _Leaf:
    """The routes of one pattern, by method."""

    __slots__ = ("rest", "routes")

    def __init__(self) -> None:
        self.routes: dict[bytes, Route] = {}
        self.rest: Route | None = None  # takes any method

    def add(self, route: Route) -> None:
        # Of two routes that tie, the first written; a file with ties is refused before it gets here.
        if not route.methods:
            self.rest = self.rest or route
        for method in route.methods:
            self.routes.setdefault(method, route)

    def seal(self) -> None:
        if b"GET" in self.routes:
            self.routes.setdefault(b"HEAD", self.routes[b"GET"])

    def pick(self, method: bytes, missed: set[bytes]) -> Route | None:
        route = self.routes.get(method, self.rest)
        if route is None:
            missed.update(self.routes)
        return route

    def before(self, other: _Leaf) -> _Leaf:
        """One leaf that picks as this one does, and where it has no route as the other does."""
        both = _Leaf()
        both.routes = self.routes if self.rest else other.routes | self.routes
        both.rest = self.rest or other.rest
        return both


class _Table:
    """The routes of one host pattern."""

    __slots__ = ("_exact", "_regexes", "_root")

    def __init__(self) -> None:
        self._exact: dict[bytes, _Leaf] = {}
        self._regexes: dict[re.Pattern[bytes], _Leaf] = {}
        self._root = _Node()

    def add(self, route: Route) -> None:
        pattern = route.matcher
        if pattern.regex is not None:
            leaf = self._regexes.setdefault(pattern.regex, _Leaf())
        elif pattern.kind is PatternKind.EXACT:
            leaf = self._exact.setdefault(pattern.exact, _Leaf())
        else:
            leaf = self._root.leaf(pattern.segments, pattern.kind is PatternKind.PREFIX)
        leaf.add(route)

    def seal(self) -> None:
        for leaf in (*self._exact.values(), *self._regexes.values()):
            leaf.seal()
        self._root.seal()

    def find(self, path: bytes, method: bytes, missed: set[bytes]) -> Route | None:
        leaf = self._exact.get(path)
        if leaf is not None:
            route = leaf.pick(method, missed)
            if route is not None:
                return route
        for regex, leaf in self._regexes.items():
            if regex.fullmatch(path) is not None:
                route = leaf.pick(method, missed)
                if route is not None:
                    return route
        return self._root.find(path.split(b"/"), 1, method, missed)


class _Node:
    """A place in the trie: the segments so far are matched.

    A search visits a node at most once, so however a path is chosen the work is bounded by the number of routes.
    """

    __slots__ = ("_at_end", "_below", "_children", "_here", "_on_way", "_parameter", "_prefix")

    def __init__(self) -> None:
        self._children: dict[bytes, _Node] = {}
        self._parameter: _Node | None = None
        # As written: the template that ends here, the prefix `.../here`, the prefix `.../here/`
        self._here: _Leaf | None = None
        self._prefix: _Leaf | None = None
        self._below: _Leaf | None = None
        # As searched: what takes a path that ends here, what takes one that goes on
        self._at_end: _Leaf | None = None
        self._on_way: _Leaf | None = None

    def leaf(self, segments: tuple[bytes | None, ...], is_prefix: bool) -> _Leaf:
        """The place of a pattern, made when it is not there yet."""
        if is_prefix and segments == (b"",):
            self._below = self._below or _Leaf()
            return self._below
        if segments:
            return self._child(segments[0]).leaf(segments[1:], is_prefix)
        if is_prefix:
            self._prefix = self._prefix or _Leaf()
            return self._prefix
        self._here = self._here or _Leaf()
        return self._here

    def _child(self, segment: bytes | None) -> _Node:
        if segment is not None:
            return self._children.setdefault(segment, _Node())
        self._parameter = self._parameter or _Node()
        return self._parameter

    def seal(self) -> None:
        for leaf in filter(None, (self._here, self._prefix, self._below)):
            leaf.seal()
        self._at_end = _first(self._here, self._prefix)
        self._on_way = _first(self._below, self._prefix)
        for node in filter(None, (*self._children.values(), self._parameter)):
            node.seal()

    def find(self, segments: list[bytes], index: int, method: bytes, missed: set[bytes]) -> Route | None:
        if index == len(segments):
            leaf = self._at_end
        else:
            segment = segments[index]
            child = self._children.get(segment)
            if child is not None:
                route = child.find(segments, index + 1, method, missed)
                if route is not None:
                    return route
            if segment and self._parameter is not None:
                route = self._parameter.find(segments, index + 1, method, missed)
                if route is not None:
                    return route
            leaf = self._on_way
        return None if leaf is None else leaf.pick(method, missed)


def _first(leaf: _Leaf | None, other: _Leaf | None) -> _Leaf | None:
    if leaf is None or other is None:
        return leaf or other
    return leaf.before(other)


def find_ties(routes: Iterable[Route]) -> list[tuple[Route, Route]]:
    """Pairs of routes that may take one request with the same rank, each once, in the order written.

    Patterns of templates are alike whatever their parameters are called. Two regexes that are not the same may match
    one path: that is no tie, the first written is asked first.
    """
    alike: dict[Hashable, list[Route]] = {}
    for route in routes:
        for host in route.hosts:
            alike.setdefault((host, route.matcher.key), []).append(route)
    pairs = (pair for group in alike.values() for pair in combinations(group, 2))
    return list(dict.fromkeys((one, other) for one, other in pairs if _share_method(one, other)))


def _share_method(one: Route, other: Route) -> bool:
    if not one.methods or not other.methods:
        return one.methods == other.methods
    return not one.methods.isdisjoint(other.methods)
