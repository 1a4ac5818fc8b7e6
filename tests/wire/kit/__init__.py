"""What the wire tests are made of: a client and an upstream of raw bytes, and the gateway as a process between them.

`reader` and `messages` read a socket strictly; `client` has RawClient and `request()`; `upstream` has ScriptedUpstream
and ready-made handlers; `dead_ports` has servers that cannot be reached; `gateway` runs twistd; `refusal` holds what is
true of every refusal. Nothing here uses code of the gateway but `gwproxy.errors.Reason`. Fixtures are in conftest.py.
"""
