"""The benchmark: gwproxy beside its peers, in one run. Standard library only; `python -m bench` is the way in.

`processes` starts, pins, reads and ends programs; `gateways` says which, and configured how (`peers/`, `gw.ini`);
`request` is the one request that all of them serve; `sockets` is the plain HTTP client; a file of `measures` takes one
measurement and returns samples; `report` turns samples into figures, a table and JSON.
"""
