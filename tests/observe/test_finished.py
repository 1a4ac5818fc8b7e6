from __future__ import annotations

import subprocess
import sys

import pytest

from gwproxy.errors import Reason
from gwproxy.observe.finished import CLIENT_FAULTS, CLIENT_LEFT, logged_reason


def test_a_client_that_left_was_not_at_fault() -> None:
    assert CLIENT_LEFT.isdisjoint(CLIENT_FAULTS)


def test_what_is_the_clients_fault_follows_the_errors() -> None:
    refused = {Reason.BAD_REQUEST, Reason.BAD_FRAMING, Reason.BAD_HOST, Reason.BAD_TARGET, Reason.BAD_CHUNK}
    slow = {Reason.HEADER_TIMEOUT, Reason.BODY_TIMEOUT}
    large = {Reason.TARGET_TOO_LONG, Reason.HEAD_TOO_LARGE, Reason.BODY_TOO_LARGE}
    assert refused | slow | large <= CLIENT_FAULTS
    assert CLIENT_FAULTS.isdisjoint(
        {Reason.NO_ROUTE, Reason.CONNECT_FAILED, Reason.OVERLOAD, Reason.FILTER, Reason.RESPOND, Reason.INTERNAL}
    )


def test_only_a_filters_detail_is_a_reason() -> None:
    assert logged_reason(Reason.FILTER, "token_expired") == "token_expired"
    assert logged_reason(Reason.FILTER, "") == "filter"
    assert logged_reason(Reason.CONNECT_FAILED, "10.0.0.7: connection refused") == "connect_failed"
    assert logged_reason(None, "") is None


@pytest.mark.parametrize("first", ["gwproxy.proxy.exchange", "gwproxy.observe.finished", "gwproxy.service"])
def test_what_a_filter_refuses_is_no_fault_in_writing_whatever_is_imported_first(first: str) -> None:
    script = (
        f"import {first}, gwproxy.proxy.exchange\n"
        "from gwproxy.observe.finished import CLIENT_FAULTS\n"
        "print('filter' in CLIENT_FAULTS, 'bad_host' in CLIENT_FAULTS)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
