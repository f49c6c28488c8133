"""One Chromium and one stage for all walks; a new clerk with a document of their own for each.

``MOICA_SCREENSHOTS=folder`` keeps the pictures that the walks take. ``REQUIRE_BROWSER=1`` makes a
missing browser a failure instead of a skip: where the walks have to be walked.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from .camera import FakeCamera
from .stage import Stage, open_stage

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]
SCREENSHOTS = "MOICA_SCREENSHOTS"
REQUIRED = bool(os.environ.get("REQUIRE_BROWSER"))
_TIMEOUT = 15_000
_PAST_EVERY_TICKET = 90.0

if REQUIRED:
    importlib.import_module("playwright.async_api")


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> FakeCamera:
    """Of every phone; a walk that uses it says what it looks at."""
    return FakeCamera(tmp_path_factory.mktemp("camera") / "film.y4m")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(camera: FakeCamera) -> AsyncIterator[Any]:
    """Debian's Chromium, or a skip that says what is missing."""
    playwright = pytest.importorskip(
        "playwright.async_api", reason="the flows are NOT WALKED: playwright is not installed"
    )
    program = shutil.which("chromium")
    if program is None:
        missing = "the flows are NOT WALKED: no program `chromium` in PATH"
        pytest.fail(missing) if REQUIRED else pytest.skip(missing)
    playwright.expect.set_options(timeout=_TIMEOUT)
    async with playwright.async_playwright() as started:
        launched = await started.chromium.launch(
            executable_path=program, chromium_sandbox=False, args=FLAGS + camera.flags
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> AsyncIterator[Stage]:
    """All three programs; made only where there is a browser to walk with."""
    async with open_stage(tmp_path_factory.mktemp("stage")) as opened:
        yield opened


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Where pictures go: a folder of the environment's choice, for a person to look at."""
    folder = Path(os.environ.get(SCREENSHOTS) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def clerk(
    chromium: Any, stage: Stage, album: Path
) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Makes clerks with a session; at the end no page of theirs has complained."""
    from .desk import Clerk

    made: list[Clerk] = []

    async def make(
        *,
        registered: bool = True,
        width: int = 1280,
        height: int = 800,
        context: dict[str, Any] | None = None,
        **who: Any,
    ) -> Clerk:
        person = await stage.person(**who)
        if registered:
            await stage.register(person)
        size = {"viewport": {"width": width, "height": height}}
        opened = await chromium.new_context(locale="zh-TW", **size, **(context or {}))
        opened.set_default_timeout(_TIMEOUT)
        complaints: list[str] = []
        opened.on("weberror", lambda e: complaints.append(f"error: {e.error}"))
        opened.on(
            "console",
            lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None,
        )
        one = Clerk(
            stage=stage,
            person=person,
            context=opened,
            page=await opened.new_page(),
            album=album,
            complaints=complaints,
        )
        made.append(one)
        await one.come_signed_in()
        return one

    try:
        yield make
        for one in made:
            # A stream that is left when the page is left.
            known = [*one.forgiven, "ERR_INCOMPLETE_CHUNKED_ENCODING"]
            assert [c for c in one.complaints if not any(re.search(k, c) for k in known)] == []
    finally:
        stage.simulator.faults.clear()
        for one in made:
            await one.context.close()
        stage.advance(_PAST_EVERY_TICKET)  # nothing of this walk is asked about during the next
