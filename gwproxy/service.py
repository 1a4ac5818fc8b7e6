"""The daemon: listens, serves, drains."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

import gwproxy
from gwproxy.admin.site import admin_site
from gwproxy.build import Builder, Gateway, Surroundings
from gwproxy.calls import Calls
from gwproxy.config.mistakes import ConfigErrors
from gwproxy.config.model import Config
from gwproxy.edge.listener import Listener, listening_port
from gwproxy.observe.access import AccessLog
from gwproxy.observe.errors import ErrorLog, observe_application
from gwproxy.observe.lag import LagProbe
from gwproxy.observe.masking import also_mask
from gwproxy.observe.metrics import Metrics
from gwproxy.observe.observer import Observer
from gwproxy.observe.security import SecurityLog
from gwproxy.observe.sink import LogSink
from gwproxy.runtime.keep import Keeper
from gwproxy.signals import Signals
from gwproxy.upstream.builtin import BuiltinServices

_log = Logger(namespace="gwproxy")

# How many objects more than before make the garbage collector look.
YOUNG_OBJECTS = 20_000

# Connections that may wait to be accepted, as far as the system allows it (net.core.somaxconn).
BACKLOG = 4096


class GatewayService(Service):
    """One gateway in one process. Made of a configuration that has no mistakes."""

    name = "gwproxy"

    def __init__(self, config: Config, reactor: Any) -> None:
        """Builds everything and listens nowhere yet. Raises ConfigErrors."""
        self._config = config
        self._reactor = reactor
        self._sinks = [
            LogSink(reactor, "access", config.log.access),
            LogSink(reactor, "error", config.log.error),
            LogSink(reactor, "security", config.log.security),
        ]
        access, error, security = self._sinks
        self._error_log = ErrorLog(error, reactor)
        self._metrics = Metrics(gwproxy.__version__)
        security_log = SecurityLog(security)
        self._observer = Observer(AccessLog(access, str(config.log.format)), self._metrics, security_log, reactor)
        self._lag = LagProbe(reactor)
        self._builtins = BuiltinServices()
        self._keeper = Keeper()
        self._calls = Calls(reactor)
        surroundings = Surroundings(
            meters=self._metrics.meters,
            report=security_log.event,
            calls=self._calls,
            in_thread=self._in_thread,
        )
        builder = Builder(
            config, reactor, self._keeper, self._observer, self._builtins.ports, surroundings=surroundings
        )
        self.gateway: Gateway = builder.build()
        if builder.mistakes:
            raise ConfigErrors(builder.mistakes)
        self._warnings = builder.warnings
        also_mask(self.gateway.secret_parameters)
        self.listeners = [Listener(options, self.gateway.site, reactor) for options in config.listeners.values()]
        self._ports: list[IListeningPort] = []
        self._not_ready = ["starting"]
        terminate = self._terminate
        self._signals = Signals(
            reactor, {signal.SIGTERM: terminate, signal.SIGINT: terminate, signal.SIGUSR1: self._reopen_logs}
        )
        self._watch()

    def _watch(self) -> None:
        metrics = self._metrics
        metrics.watch_upstreams(lambda: self.gateway.upstreams)
        metrics.watch_listeners(lambda: self.listeners)
        metrics.watch_logs(lambda: self._sinks)
        metrics.watch_in_flight(lambda: self.gateway.generation.in_flight)
        metrics.watch_lag(lambda: self._lag.worst)

    def setServiceParent(self, parent: Any) -> None:
        """For twistd: our error log instead of its own."""
        observe_application(parent, self._error_log)
        super().setServiceParent(parent)

    # Start

    def privilegedStartService(self) -> None:
        """Listens, while the process may still bind low ports. What cannot be bound ends the start."""
        super().privilegedStartService()
        self._builtins.listen(self.gateway.builtins, self._reactor)
        for listener in self.listeners:
            self._listen(listener.options.endpoint, listener, f"listen:{listener.name}", listener)
        if self._config.admin.endpoint:
            site = admin_site(
                self._reactor,
                self._exposition,
                not_ready=lambda: self._not_ready,
                upstreams=lambda: self.gateway.upstreams,
                routes=lambda: self.gateway.routes,
            )
            self._listen(self._config.admin.endpoint, site, "admin", None)

    def _exposition(self, accept: str) -> tuple[bytes, str]:
        self._observer.flush()
        return self._metrics.exposition(accept)

    def _listen(self, description: str, factory: Any, what: str, listener: Listener | None) -> None:
        failures: list[Failure] = []

        def bound(port: IListeningPort) -> None:
            self._ports.append(port)
            host = port.getHost()
            if listener is not None:
                listener.port = listening_port(host)
            _log.info("[{what}] listens on {where}", what=what, where=shown(host))

        serverFromString(self._reactor, with_backlog(description)).listen(factory).addCallbacks(bound, failures.append)
        if failures:
            raise CannotListen(f"[{what}] {description}: {failures[0].getErrorMessage()}")

    def startService(self) -> None:
        """Serves."""
        super().startService()
        for sink in self._sinks:
            sink.start()
        self._lag.start()
        self._reactor.callWhenRunning(self._keeper.start)
        self._reactor.callWhenRunning(self._running)
        self._not_ready = []
        for warning in self._warnings:
            _log.warn("{warning}", warning=str(warning))
        _log.info(
            "gwproxy {version} serves {routes} routes of {path}; try: {curl}",
            version=gwproxy.__version__,
            routes=len(self.gateway.routes),
            path=self._config.path,
            curl=self._curl_line(),
        )

    def _running(self) -> None:
        """The first thing that the reactor does."""
        self._signals.install()
        # What is here now stays: the collector need not look at it again. And what is forwarded leaves no cycles
        # behind, so looking at the young ones every 700 objects, as Python does, finds nothing and costs a fiftieth of
        # the time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, 20, 20)

    def _curl_line(self) -> str:
        port = next((listener.port for listener in self.listeners if listener.port), None)
        prefixes = [route.options.path.value for route in self.gateway.routes if route.options.path.kind == "prefix"]
        path = next((prefix for prefix in prefixes if prefix != "/"), "/")
        return f"curl -i http://127.0.0.1:{port}{path}" if port else "gwproxy explain"

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *arguments)

    def _reopen_logs(self) -> None:
        self._observer.flush()
        for sink in self._sinks:
            sink.reopen()

    def _terminate(self) -> None:
        """The first time drains; the second cuts."""
        if self.running:
            self._reactor.stop()
        else:
            self._cut()

    # Stop

    def stopService(self) -> Deferred[None]:
        """Stops accepting, waits at most `drain` for what is in flight, cuts what is left."""
        super().stopService()
        self._not_ready = ["draining"]
        _log.info("draining {count} exchanges", count=self.gateway.generation.in_flight)
        drained: Deferred[None] = Deferred()
        for port in self._ports:
            maybeDeferred(port.stopListening)
        for listener in self.listeners:
            listener.drain()
        deadline = self._reactor.callLater(self._config.gateway.drain, self._cut)

        def flushed() -> None:
            if deadline.active():
                deadline.cancel()
            drained.callback(None)

        self.gateway.generation.when_empty(lambda: self._flush(flushed))
        return drained.addCallback(lambda _: self._end())

    def _cut(self) -> None:
        _log.warn("the drain is over: {count} exchanges are cut", count=self.gateway.generation.in_flight)
        for listener in self.listeners:
            listener.abort_all()

    def _flush(self, done: Callable[[], None], looks: int = 100) -> None:
        """Lets the last responses leave their buffers: connections that are being closed in order have two seconds."""
        if looks and any(listener.connections for listener in self.listeners):
            # A request whose head was still coming when the others were done has the rest of the drain, as they had.
            left = looks if self.gateway.generation.in_flight else looks - 1
            self._reactor.callLater(0.02, self._flush, done, left)
            return
        for listener in self.listeners:
            listener.abort_all()
        done()

    def _end(self) -> None:
        self.gateway.close()
        self._keeper.stop()
        self._calls.stop()
        self._builtins.stop()
        self._lag.stop()
        self._observer.close()
        for sink in self._sinks:
            sink.close()


class CannotListen(Exception):
    """An address cannot be bound."""


def with_backlog(endpoint: str) -> str:
    """An endpoint whose kernel queue takes a burst: Twisted asks for 50, and who comes next waits a second for it."""
    if endpoint.partition(":")[0] not in ("tcp", "tcp6", "unix") or ":backlog=" in endpoint:
        return endpoint
    return f"{endpoint}:backlog={BACKLOG}"


def shown(host: Any) -> str:
    """An address as people write it."""
    name = getattr(host, "name", None)
    if name is not None:
        return f"unix:{name.decode() if isinstance(name, bytes) else name}"
    address = f"[{host.host}]" if ":" in host.host else host.host
    return f"{address}:{host.port}"
