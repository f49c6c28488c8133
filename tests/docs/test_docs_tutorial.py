"""The tutorial, done as it is written: its files, its commands, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from attrs import frozen

from tests.stage import Stage, on_stage

TEXT = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
FILES = re.findall(r"[Ss]ave as `first/app/([^`]+)`:\n\n```\w+\n(.*?)^```", TEXT, re.M | re.S)
SHELL = re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S)
WIDGET = re.compile(
    r'<moica-transaction base="/moica" transaction="(txn_\w+)" token="(btk_[^"]+)">'
)


def shell(word: str) -> str:
    """The block of commands that has this word."""
    (found,) = [block for block in SHELL if word in block]
    return found


async def run(script: str, cwd: Path, env: dict[str, str]) -> str:
    """What the commands print; they end well."""
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-euc",
        script,
        cwd=cwd,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
    return out.decode()


@frozen
class Reader:
    """Who follows the tutorial: the folder, the program's address, the phone."""

    folder: Path
    environment: dict[str, str]
    stage: Stage
    url: str
    phone: str


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    """Up to step 5: the program runs beside gateway and simulator."""
    app = tmp_path / "app"
    for name, content in FILES:
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(content, encoding="utf-8")
    (tmp_path / "gateway").mkdir()
    async with on_stage(tmp_path / "gateway") as stage:
        anchors = tmp_path / "anchors.pem"
        anchors.write_text(stage.simulator.anchors_pem)
        environment = {
            "GATEWAY_URL": stage.url,
            "API_KEY": stage.api_key,
            "SIMULATOR_URL": stage.simulator.url,
            "ANCHORS": str(anchors),
            "OUTPUT": str(app),
        }
        printed = await run(shell("/sim/v1/people"), tmp_path, environment)
        phone = json.loads(printed[printed.index("}") + 1 :])
        assert phone["page"] == f"/phone/{phone['id']}"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", "-m", "flask", "run", "--port", str(port)),
            cwd=app,
            env={**os.environ, **environment},
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            async with asyncio.timeout(30):
                while b"Running on" not in await process.stderr.readline():
                    assert process.returncode is None
            url = f"http://127.0.0.1:{port}"
            yield Reader(app, environment, stage, url, phone["id"])
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.communicate()


async def _confirmed(reader: Reader, browser: ClientSession, page: str) -> str:
    """What the window's script does, and what the holder does."""
    found = WIDGET.search(page)
    assert found is not None, page
    transaction, token = found.groups()
    view: dict[str, Any] = {}
    headers = {"Authorization": f"Bearer {token}"}
    request = await reader.stage.simulator.wait_for_request(reader.phone)
    await reader.stage.simulator.confirm(reader.phone, request.sp_ticket_id)
    async with asyncio.timeout(20):
        while view.get("status", "pending") == "pending":
            last = {"Last-Event-ID": str(view["version"])} if view else {}
            path = f"{reader.url}/moica/v1/transactions/{transaction}/events"
            async with browser.get(path, headers={**headers, **last}) as reply:
                data = re.search(r"^data: (.*)$", await reply.text(), re.M)
                view = json.loads(data[1]) if data else view
    assert view["status"] == "completed"
    async with browser.get(f"{reader.url}/done/{transaction}") as reply:
        assert reply.status == 200
        return await reply.text()


async def test_the_tutorial_leads_to_a_signature_that_openssl_believes(reader: Reader) -> None:
    """As written: register, sign, and the last command says that it is one."""
    assert len(FILES) == 6
    async with ClientSession() as browser:
        async with browser.get(f"{reader.url}/moica/widget/v1.js") as reply:
            assert reply.status == 200
        async with browser.post(f"{reader.url}/sign") as reply:
            assert reply.status == 409
            assert "憑證" in await reply.text()
        form = {"id_number": "F131104093"}
        async with browser.post(f"{reader.url}/register", data=form) as reply:
            page = await _confirmed(reader, browser, await reply.text())
        assert "內政部憑證管理中心" in page
        async with browser.post(f"{reader.url}/sign") as reply:
            page = await _confirmed(reader, browser, await reply.text())
        assert "簽章完成。" in page
    said = await run(shell("openssl cms"), reader.folder, reader.environment)
    assert "CAdES Verification successful" in said


async def test_the_tutorials_program_says_how_it_ended_in_the_users_words(reader: Reader) -> None:
    """A refusal on the phone is shown as one, and an ID number with a slip is told at once."""
    async with ClientSession() as browser:
        async with browser.post(
            f"{reader.url}/register", data={"id_number": "F131104094"}
        ) as reply:
            assert (reply.status, "身分證" in await reply.text()) == (409, True)
        async with browser.post(
            f"{reader.url}/register", data={"id_number": "F131104093"}
        ) as reply:
            found = WIDGET.search(await reply.text())
        assert found is not None
        request = await reader.stage.simulator.wait_for_request(reader.phone)
        await reader.stage.simulator.refuse(reader.phone, request.sp_ticket_id)
        async with browser.get(f"{reader.url}/done/{found[1]}") as reply:
            assert "取消" in await reply.text()
