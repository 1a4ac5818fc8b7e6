"""What `twistd gwproxy` runs: its options, and the service made from them. Imports no reactor."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.application.service import IService, MultiService
from twisted.python import usage


class Options(usage.Options):
    """Command line of `twistd gwproxy`."""

    optParameters: ClassVar[list[list[Any]]] = [["config", "c", "gw.ini", "The configuration file."]]


def makeService(options: Options) -> IService:
    """The service that twistd starts."""
    return MultiService()
