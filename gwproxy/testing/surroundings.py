"""What a filter has around it, played: clock and date, state that outlives reloads, calls, stores, logs, metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from gwproxy.calls import Answer, CallFailed, Calls
from gwproxy.config.options import declared_options
from gwproxy.filters.api import FilterContext
from gwproxy.filters.registry import filter_types
from gwproxy.runtime.keep import Keeper
from gwproxy.runtime.meters import Meters


@attrs.define
class Asked:
    """A call that a filter made. Answer it with `answered.callback(Answer(...))`, or `errback(CallFailed(...))`."""

    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    body: bytes | None
    answered: Deferred[Answer]
    cancelled: bool = False


class FakeCalls(Calls):
    """Takes down what is asked; the test answers, at once (`answers`: by URL, in turn) or when it likes."""

    def __init__(self, answers: Mapping[str, list[Answer | CallFailed]] | None = None) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self._answers = {url: list(each) for url, each in (answers or {}).items()}

    def request(self, method: str, url: str, **options: Any) -> Deferred[Answer]:
        """As Calls.request()."""
        asked = Asked(method, url, list(options.get("headers", ())), options.get("body"), Deferred())
        asked.answered = Deferred(lambda _: setattr(asked, "cancelled", True))
        self.asked.append(asked)
        ready = self._answers.get(url)
        if ready:
            answer = ready.pop(0)
            if isinstance(answer, CallFailed):
                asked.answered.errback(answer)
            else:
                asked.answered.callback(answer)
        return asked.answered


@attrs.define
class Surroundings:
    """One process, played. Hand the same to the filter that takes another's place after a reload.

    `wall` is the date: the clock's seconds since `epoch`. Threads run at once. `events` is the security log: a dict an
    event, with `event`, `filter`, `reason`, `mode` and `client`.
    """

    clock: Clock = attrs.field(factory=Clock)
    epoch: float = 1_700_000_000.0
    calls: Calls = attrs.field(factory=FakeCalls)
    stores: dict[str, Any] = attrs.field(factory=dict)
    state_dir: Path | None = None
    keeper: Keeper = attrs.field(factory=Keeper)
    meters: Meters = attrs.field(factory=Meters)
    events: list[dict[str, str]] = attrs.field(factory=list)

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.epoch + self.clock.seconds()

    def context(self, name: str = "test", keep: Callable[..., Any] | None = None) -> FilterContext:
        """For a filter's factory."""
        return FilterContext(
            name=name,
            reactor=self.clock,
            keep=keep or self.keeper.keep,
            meters=self.meters,
            report=self._report,
            wall=self.wall,
            calls=self.calls,
            stores=self.stores,
            state_dir=self.state_dir,
            in_thread=execute,
        )

    def decisions(self, name: str = "test") -> dict[tuple[str, str], float]:
        """What filter `name` decided how often, by decision and mode; without those at 0."""
        for family in self.meters.families():
            if family.name == "filter_decisions":
                counts = {labels: read() for labels, read in family.series.items()}
                return {
                    (labels[1], labels[2]): count for labels, count in counts.items() if labels[0] == name and count
                }
        return {}

    def _report(self, exchange: Any, event: str, *, filter: str, reason: str, mode: str) -> None:
        self.events.append(
            {"event": event, "filter": filter, "reason": reason, "mode": mode, "client": exchange.client_ip}
        )


def parse_options(options_class: type, texts: Mapping[str, str]) -> Any:
    """An options object from texts as they stand in a file, by key.

    Raises BadValue for a text that is no value, KeyError for a key that is no option, ConfigMistake for options that do
    not fit together.
    """
    declared = declared_options(options_class)
    values = {declared[key].attribute: declared[key].value(text) for key, text in texts.items()}
    options = options_class(**values)
    check = getattr(options, "check_options", None)
    if check is not None:
        check()
    return options


def build_filter(
    filter_type: Any,
    options: Mapping[str, str] | None = None,
    *,
    name: str = "test",
    clock: Clock | None = None,
    kept: dict[tuple[object, ...], Any] | None = None,
    around: Surroundings | None = None,
) -> Any:
    """The filter that `[filter:NAME]` with these options, texts by key as in a file, would build.

    `filter_type` is the name of an installed type, or what an entry point names: a module with `Options` and `factory`.
    Raises as parse_options does, what the factory raises, and KeyError when no such type is installed.
    Give the harness the same `clock` when the filter measures time or waits. What the filter keeps over a reload is in
    `kept`: hand the same dict to the filter that takes its place. `around` has all that and more, instead of `clock`.
    """
    surroundings = around or Surroundings(clock=Clock() if clock is None else clock)
    keep = None if kept is None else lambda key, make: kept[key] if key in kept else kept.setdefault(key, make())
    context = surroundings.context(name, keep)
    if isinstance(filter_type, str):
        installed = filter_types()[filter_type]
        return installed.factory(parse_options(installed.options_class, options or {}), context)
    return filter_type.factory(parse_options(filter_type.Options, options or {}), context)
