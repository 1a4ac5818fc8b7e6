"""The one call that the proxy makes when an exchange is over."""

from __future__ import annotations

from twisted.logger import Logger

from gwproxy.observe.access import AccessLog
from gwproxy.observe.finished import FinishedExchange
from gwproxy.observe.metrics import Metrics
from gwproxy.observe.security import SecurityLog

_log = Logger()


class Observer:
    """Passes finished exchanges on to the metrics and the logs."""

    def __init__(self, access: AccessLog, metrics: Metrics, security: SecurityLog) -> None:
        """An access log whose sink is off is not even written into."""
        self.metrics = metrics
        self.security = security
        self._count = metrics.observe
        self._log = None if access.sink.off else access.log

    def exchange_finished(self, exchange: FinishedExchange) -> None:
        """Count and log the exchange. To be called exactly once, for refused and malformed requests too. Never raises:
        what is wrong with a log must not become wrong with an answer."""
        try:
            self._count(exchange)
            if self._log is not None:
                self._log(exchange)
            if exchange.reason is not None:
                self.security.exchange_finished(exchange)
        except Exception:
            _log.failure("an exchange could not be logged", request_id=exchange.request_id)
