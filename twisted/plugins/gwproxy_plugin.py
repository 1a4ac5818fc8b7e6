"""Makes `twistd gwproxy` and `twistd --reactor=uv` known.

No __init__.py may stand beside or above this file: Twisted has the one.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

gwproxy = ServiceMaker("gwproxy", "gwproxy.tap", "An API gateway", "gwproxy")
uv = Reactor("uv", "gwproxy.uv.reactor", "libuv's streams under Twisted's protocols (needs uvloop)")
