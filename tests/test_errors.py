"""What each failure is to a client, to the log and to who may try again. The contract of dashboards and alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from gwproxy.errors import ClientError, GatewayError, InternalError, Reason, Source, UpstreamError


def failures(of: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    """All that can go wrong, without the families."""
    for each in of.__subclasses__():
        if each not in (ClientError, UpstreamError):
            yield each
        yield from failures(each)


@pytest.mark.parametrize("failure", list(failures()), ids=lambda failure: failure.__name__)
def test_it_is_somebodys_fault_and_its_status_says_whose(failure: type[GatewayError]) -> None:
    if failure.source is Source.UPSTREAM:
        assert failure.status in (502, 504) and issubclass(failure, UpstreamError)
    elif failure.source is Source.CLIENT:
        # What the gateway does not implement is the client's to change, and yet a 5xx (RFC 9110 section 15.6).
        assert failure.status // 100 == 4 or failure.status in (501, 505, 508)
        assert issubclass(failure, ClientError)
    else:
        assert failure.status in (500, 503, 504)
    assert failure.status in [*map(int, HTTPStatus), 499]
    assert failure.__doc__


def test_each_has_a_reason_of_its_own() -> None:
    reasons = Counter(failure.reason for failure in failures())
    assert [reason for reason, count in reasons.items() if count > 1] == []


def test_reasons_are_labels() -> None:
    """In metrics and logs: lower case, words joined by `_`, and as they are named here."""
    for reason in Reason:
        assert reason.value == reason.name.lower()
        assert str(reason) == reason.value and reason.value.replace("_", "").isalpha()


def test_only_what_reached_no_server_may_be_sent_again() -> None:
    assert {failure.__name__ for failure in failures() if failure.retryable} == {"ConnectFailed", "ConnectTimeout"}


def test_the_detail_is_for_the_error_log() -> None:
    error = InternalError("what happened")
    assert (str(error), error.detail, InternalError().detail) == ("what happened", "what happened", "")
    assert repr(error) == "<InternalError 500 internal 'what happened'>"
