"""A Twisted reactor on libuv: Twisted's protocols over uvloop's transports. It knows nothing of the gateway.

`twistd --reactor=uv ...` runs any application on it; `gwproxy.uv.reactor.install()` does the same in a program of one's
own, before anything imports `twisted.internet.reactor`. Needs uvloop.
"""
