"""Rules on the query of a target: parameters found as servers read them, edited byte for byte.

A parameter is what stands between two `&`, its name and value percent-decoded with `+` for a blank (WHATWG URL
section 5.1). Names are compared with case.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes


def parameter_values(query: bytes, name: bytes) -> list[bytes]:
    """All values of the parameter `name`, in order, decoded; one without `=` has the empty value."""
    if not _may_have(query, name):
        return []
    pairs = (piece.partition(b"=") for piece in query.split(b"&"))
    return [_decoded(value) for key, _, value in pairs if _decoded(key) == name]


def without_parameter(target: bytes, name: bytes) -> bytes:
    """`target`, a path and query or a URL, without any parameter `name`. The others stay as they are; a query with
    nothing left goes with its `?`."""
    path, _, query = target.partition(b"?")
    if not _may_have(query, name):
        return target
    pieces = query.split(b"&")
    left = [piece for piece in pieces if _decoded(piece.partition(b"=")[0]) != name]
    if len(left) == len(pieces):
        return target
    return path + b"?" + b"&".join(left) if left else path


def _may_have(query: bytes, name: bytes) -> bool:
    """A quick look."""
    return name in query or b"%" in query or b"+" in query


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
