"""The date. Durations come from the reactor's clock; only logs, and what others have dated, need to know the day."""

from __future__ import annotations

import time

# Seconds since 1970. datetime.now(UTC) costs six times as much, and the access log asks for every line.
wall_clock = time.time  # noqa: TID251  # the one place where the date is read
