"""What is made once of the settings, for all exchanges."""

from __future__ import annotations

from typing import Any

from gwproxy.http.trusted import TrustedProxies
from gwproxy.proxy.settings import ProxySettings
from gwproxy.runtime.generation import Generation


def test_via_is_ready_to_send() -> None:
    unused: Any = None
    settings = ProxySettings(
        seconds=lambda: 0.0,
        observer=unused,
        generation=Generation(),
        trusted=TrustedProxies(),
        via=b"edge-1",
        own_server=False,
        error_page=unused,
    )
    assert settings.via_lines == (b"Via: 1.0 edge-1\r\n", b"Via: 1.1 edge-1\r\n")
    assert settings.via_line(0, b"1.1 a") == b"Via: 1.1 a, 1.0 edge-1\r\n"
    assert settings.getrandbits(128) != settings.getrandbits(128)
