"""gwproxy: an API gateway on Twisted."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """`gwproxy.__version__`, read from the installed metadata when first asked for and kept."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # here: importing it takes longer than all of the gateway's own modules

    found = globals()["__version__"] = version("gwproxy")
    return found
