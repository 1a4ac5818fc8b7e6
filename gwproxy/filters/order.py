"""What is probably a mistake in the order of a route's filters: warnings at load, made of the filters' Traits.

Nothing here forbids anything; a chain that is meant as it stands stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from gwproxy.filters.api import Traits

# Methods that change nothing (RFC 9110 section 9.2.1): a request that another site made with them does no harm.
_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})


@attrs.frozen
class Step:
    """One filter of a route. `known`: its type says what it means; of one that does not, anything may be true."""

    name: str
    type: str
    traits: Traits = attrs.field(factory=Traits)
    known: bool = True

    def __str__(self) -> str:
        return f"{self.name} ({self.type})"


@attrs.frozen
class Chain:
    """The filters of one route, in order; the servers behind it, by label (none: the gateway answers itself); its
    methods (none: any)."""

    route: str
    steps: tuple[Step, ...]
    servers: frozenset[str] = frozenset()
    methods: frozenset[bytes] = frozenset()


def warnings(chains: Iterable[Chain]) -> Iterator[tuple[str, str]]:
    """Pairs of a route's name and what to say of it, in the order of the routes."""
    chains = tuple(chains)
    for chain in chains:
        for _, words in order_warnings(chain.steps, chain.methods):
            yield chain.route, words
        for words in _unguarded(chain, chains):
            yield chain.route, words


def order_warnings(steps: Sequence[Step], methods: frozenset[bytes] = frozenset()) -> Iterator[tuple[str, str]]:
    """Pairs of the name of a filter that stands in a harmful place, and what to say of that."""
    for place, step in enumerate(steps):
        before, behind = steps[:place], steps[place + 1 :]
        said = (
            _late_guard(step, before),
            _nobody_known(step, before, behind),
            _known_twice(step, before),
            _cookie_unchecked(step, steps, methods),
            _late_check(step, before),
        )
        yield from ((step.name, words) for words in said if words)


def _late_guard(step: Step, before: Sequence[Step]) -> str:
    if step.traits.cors:
        # A preflight has no credentials (Fetch standard): who asks for some refuses it.
        asking = _first(each for each in before if each.traits.identifies or each.traits.needs_principal)
        if asking:
            return f"{step} stands behind {asking}, which refuses the browsers' preflights: they carry no credentials"
    if step.traits.cors or step.traits.cheap_guard:
        costly = _first(each for each in before if each.traits.costly)
        if costly:
            return f"{step} keeps much out for little and stands behind {costly}, which costs more: put it before that"
    return ""


def _nobody_known(step: Step, before: Sequence[Step], behind: Sequence[Step]) -> str:
    if not step.traits.needs_principal or any(each.traits.identifies or not each.known for each in before):
        return ""
    later = _first(each for each in behind if each.traits.identifies)
    if later:
        return f"{step} stands before {later}, which finds out who it is: for {step.name} nobody is logged in"
    if any(not each.known for each in behind):
        return ""
    return f"{step} asks who it is, and no filter of this route finds out: nobody is ever logged in"


def _known_twice(step: Step, before: Sequence[Step]) -> str:
    first = _first(each for each in before if each.traits.identifies)
    if not first or not step.traits.identifies:
        return ""
    return f"{step} overwrites what {first} found out about who it is"


def _cookie_unchecked(step: Step, steps: Sequence[Step], methods: frozenset[bytes]) -> str:
    if not step.traits.credentials_from_cookie or any(each.traits.checks_origin for each in steps):
        return ""
    if methods and methods <= _SAFE:
        return ""
    return (
        f"{step} takes credentials from a cookie, which browsers send with what other sites make them do: "
        "a filter of type csrf before it refuses that"
    )


def _late_check(step: Step, before: Sequence[Step]) -> str:
    taking = _first(each for each in before if each.traits.credentials_from_cookie)
    if not taking or not step.traits.checks_origin:
        return ""
    return f"{step} stands behind {taking}, which takes the cookie away that it looks for: put it before that"


def _unguarded(chain: Chain, chains: Sequence[Chain]) -> Iterator[str]:
    """Fields that servers believe on another route's account, and that a client may send them through this one."""
    guarded = {_folded(name) for step in chain.steps for name in (*step.traits.vouches_for, *step.traits.removes)}
    said: set[tuple[bytes, str]] = set()
    for other in chains:
        if other is chain or other.servers.isdisjoint(chain.servers):
            continue
        for step in other.steps:
            for name in step.traits.vouches_for:
                if _folded(name) in guarded or (_folded(name), step.name) in said:
                    continue
                said.add((_folded(name), step.name))
                yield (
                    f"clients can send {name.decode()} to the same servers through this route, and there {step} of "
                    f"[route:{other.route}] vouches for it: use that filter here too, or take the field away with "
                    f"type = headers, request_remove = {name.decode()}"
                )


def _folded(name: bytes) -> bytes:
    """As `VouchedFields` compares them."""
    return re.sub(rb"[^0-9a-z]", b"-", name.lower())


def _first(steps: Iterable[Step]) -> Step | None:
    return next(iter(steps), None)
