"""Lines that the access log must have, found by their path: for exchanges whose client got no answer, and so no id.

Like refusal.AccessLedger they are looked for when a module ends, since the log is written once a second.
"""

from __future__ import annotations

from typing import Any

from tests.wire.kit.gateway import GatewayProcess


class Lines:
    """Each path is used by one request."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._expected: dict[str, dict[str, Any]] = {}

    def expect(self, path: bytes, **fields: Any) -> None:
        """There will be one line for `path`, with these fields."""
        name = path.decode()
        assert name not in self._expected, f"{name} is used twice"
        self._expected[name] = fields

    def check(self) -> None:
        """AssertionError for the first that is missing, twice there or other than expected."""
        for path, fields in self._expected.items():
            self._check(path, fields)

    def _check(self, path: str, fields: dict[str, Any]) -> None:
        record = self._gateway.wait_for_log(lambda record: record["path"] == path)
        got = {name: record[name] for name in fields}
        assert got == fields, f"{path}: the access log has {got} instead of {fields}"
        count = sum(record["path"] == path for record in self._gateway.log_records())
        assert count == 1, f"{path}: {count} lines in the access log"
