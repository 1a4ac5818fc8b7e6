"""A real Redis for each test, started at once: it takes some 20 ms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.redis_process import RedisProcess, require_redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """On a free port, empty."""
    require_redis()
    process = RedisProcess(tmp_path)
    process.start()
    yield process
    process.kill()
