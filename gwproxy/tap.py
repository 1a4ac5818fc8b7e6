"""What `twistd gwproxy` runs: its options, the reactor that the configuration asks for, and the service.

Installs a reactor only if twistd was told none, and imports none before.
"""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar, Final

from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python import usage

from gwproxy.build import with_filters
from gwproxy.config import ConfigErrors, gateway_options, load
from gwproxy.filters.registry import filter_types
from gwproxy.service import GatewayService

_log = Logger(namespace="gwproxy")

# The classes that [gateway] reactor asks for by name.
_REACTORS: Final = {"uv": "UvReactor", "epoll": "EPollReactor"}


class Options(usage.Options):
    """Command line of `twistd gwproxy`."""

    optParameters: ClassVar[list[list[Any]]] = [["config", "c", "gw.ini", "The configuration file."]]

    def postOptions(self) -> None:
        """twistd has read its own options by now, and takes the default reactor soon if there is none."""
        if "twisted.internet.reactor" not in sys.modules:
            install_reactor(gateway_options(self["config"], environ=os.environ).reactor)


def install_reactor(choice: str) -> None:
    """Makes the reactor that `choice`, a value of [gateway] reactor, stands for the process's. Ends the process if it
    asks for one that is not there."""
    if choice == "epoll":
        from twisted.internet.epollreactor import install
    else:
        try:
            import uvloop  # noqa: F401 # whether it is there
        except ImportError:
            if choice == "auto":
                return
            print("reactor = uv needs uvloop, which is not installed: pip install uvloop", file=sys.stderr)
            raise SystemExit(1) from None
        from gwproxy.uv.reactor import install
    install()


def makeService(options: Options) -> IService:
    """The service that twistd starts. A configuration with mistakes ends the process: all of them, and no traceback."""
    from twisted.internet import reactor

    types = filter_types()
    options_classes = {name: filter_type.options_class for name, filter_type in types.items()}
    try:
        config = load(options["config"], environ=os.environ, filter_types=options_classes)
        wanted, found = config.gateway.reactor, type(reactor).__name__
        if _REACTORS.get(wanted, found) != found:
            _log.warn("reactor = {wanted}, but twistd was told another: {found}", wanted=wanted, found=found)
        return GatewayService(config, reactor)
    except ConfigErrors as errors:
        print(with_filters(errors, types), file=sys.stderr)
        raise SystemExit(1) from None
