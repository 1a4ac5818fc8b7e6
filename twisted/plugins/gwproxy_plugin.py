"""Makes `twistd gwproxy` known. No __init__.py may stand beside or above this file: Twisted has the one."""

from twisted.application.service import ServiceMaker

gwproxy = ServiceMaker("gwproxy", "gwproxy.tap", "An API gateway", "gwproxy")
