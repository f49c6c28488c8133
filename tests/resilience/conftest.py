"""One stage for all plays of a module; they do not see one another."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.resilience.stage import Stage

pytest.register_assert_rewrite("tests.resilience.plays")

_CITIZENS = 6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    """Platform, phones, receiver and a folder of registered citizens."""
    # Not tmp_path: a Unix socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="moica-") as folder:
        async with Stage.open(Path(folder), _CITIZENS) as opened:
            yield opened
