"""What `twistd gwproxy` runs: its options, and the service made from them. Imports no reactor before twistd has one."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger
from twisted.python import usage

from gwproxy.config import ConfigErrors, load
from gwproxy.filters.registry import filter_types
from gwproxy.service import GatewayService

_log = Logger(namespace="gwproxy")


class Options(usage.Options):
    """Command line of `twistd gwproxy`."""

    optParameters: ClassVar[list[list[Any]]] = [["config", "c", "gw.ini", "The configuration file."]]


def makeService(options: Options) -> IService:
    """The service that twistd starts. A configuration with mistakes ends the process: all of them, and no traceback."""
    from twisted.internet import reactor

    types = {name: filter_type.options_class for name, filter_type in filter_types().items()}
    try:
        config = load(options["config"], environ=os.environ, filter_types=types)
        if config.gateway.reactor == "epoll" and not isinstance(reactor, EPollReactor):
            _log.warn("reactor = epoll, but twistd was told another: {reactor}", reactor=type(reactor).__name__)
        return GatewayService(config, reactor)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        raise SystemExit(1) from None
