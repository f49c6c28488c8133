"""Clients generated from the OpenAPI document: Java's signs a document, C#'s is looked at only.

The generator's own archive brings Jackson with its dates, which Debian packages in part only. C# is
not compiled: Debian has no .NET.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moica_gateway.web.api.openapi import openapi_document
from moica_simulator import Device
from tests.stage import Stage, on_stage

_PROGRAM = Path(__file__).parents[2] / "integrations" / "java"
_ANNOTATIONS = Path("/usr/share/java/jakarta-annotation-api.jar")
_DOCUMENT = openapi_document("1")
_CALLED = [
    operation
    for item in _DOCUMENT["paths"].values()
    for operation in item.values()
    if operation["tags"] != ["pages"]
]
_ID_NUMBER = "A123456789"
_QUICK = "-XX:TieredStopAtLevel=1"


def _missing(message: str) -> None:
    if os.environ.get("REQUIRE_STRANGERS") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def generator() -> Path:
    """The generator's archive; skipped, or failed where it must be there, without it."""
    if any(shutil.which(each) is None for each in ("java", "javac")) or not _ANNOTATIONS.exists():
        _missing("Debian: default-jdk-headless, libjakarta-annotation-api-java are not installed")
    found = importlib.util.find_spec("openapi_generator_cli")
    if found is None or found.origin is None:
        _missing("PyPI: openapi-generator-cli is not installed (requirements/dev.in)")
        raise AssertionError
    return Path(found.origin).with_name("openapi-generator.jar")


async def _run(
    *words: str, cwd: Path, seconds: float = 120, **environment: str
) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def _make(*words: str, cwd: Path) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def _generated(language: str, generator: Path, folder: Path) -> Path:
    (folder / "openapi.json").write_text(json.dumps(_DOCUMENT, ensure_ascii=False))
    script = str(_PROGRAM / "generate.sh")
    _make("bash", script, language, "openapi.json", language, str(generator), cwd=folder)
    return folder / language


@pytest.fixture(scope="session")
def program(generator: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """How the example is started, compiled with the client that was generated just now."""
    folder = tmp_path_factory.mktemp("generated")
    made = _generated("java", generator, folder)
    sources = [str(path) for path in sorted((made / "src" / "main").rglob("*.java"))]
    path = f"{generator}:{_ANNOTATIONS}"
    _make(
        *("javac", f"-J{_QUICK}", "-encoding", "UTF-8", "-nowarn", "-d", "classes", "-cp", path),
        *(*sources, str(_PROGRAM / "SignDocument.java")),
        cwd=folder,
    )
    return ("java", "-Xshare:auto", _QUICK, "-cp", f"{folder / 'classes'}:{path}", "SignDocument")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway before a simulated platform, with one person."""
    async with on_stage(tmp_path) as running:
        await running.simulator.add_person(_ID_NUMBER, "王小明")
        yield running


@pytest.fixture
async def phone(stage: Stage) -> Device:
    """Its phone."""
    device = await stage.simulator.bind_device(_ID_NUMBER, "我的手機")
    return await stage.simulator.set_behaviour(device.id, "confirm")


async def _sign(
    program: tuple[str, ...], stage: Stage, folder: Path, **environment: str
) -> tuple[int, str, str]:
    (folder / "document.pdf").write_bytes(b"%PDF-1.7 ...")
    return await _run(
        *(*program, "clerk01", "1153000165", "document.pdf", "document.p7s"),
        cwd=folder,
        **{"MOICA_URL": stage.url, "MOICA_API_KEY": stage.api_key, **environment},
    )


async def test_a_generated_java_client_registers_signs_and_fetches(
    program: tuple[str, ...], stage: Stage, phone: Device, tmp_path: Path
) -> None:
    """OpenSSL says that what it fetched is a signature of the file under the platform's roots."""
    status, out, err = await _sign(program, stage, tmp_path, MOICA_ID_NUMBER=_ID_NUMBER)
    assert (status, err) == (0, "")
    assert re.fullmatch(
        r"registration \d\d\nregistration completed\nsignature \d\d\nsignature completed\n", out
    )
    (tmp_path / "anchors.pem").write_text(stage.simulator.anchors_pem)
    status, _, err = await _run(
        *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "document.p7s"),
        *("-content", "document.pdf", "-CAfile", "anchors.pem", "-purpose", "any"),
        *("-out", "verified"),
        cwd=tmp_path,
    )
    assert status == 0, err
    assert (tmp_path / "verified").read_bytes() == (tmp_path / "document.pdf").read_bytes()


async def test_a_generated_java_client_reads_how_it_ended(
    program: tuple[str, ...], stage: Stage, phone: Device, tmp_path: Path
) -> None:
    """A refusal on the phone, with its code and the words for the user."""
    await stage.simulator.set_behaviour(phone.id, "refuse")
    status, out, err = await _sign(program, stage, tmp_path, MOICA_ID_NUMBER=_ID_NUMBER)
    assert (status, err) == (1, "")
    last = out.splitlines()[-1]
    assert re.fullmatch(r"registration rejected [a-z_]+ .*[一-鿿].*", last), last
    assert not (tmp_path / "document.p7s").exists()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "409 credential_missing "),
        ({"MOICA_API_KEY": "mgk_test_0"}, "401 unauthenticated "),
        ({"MOICA_ID_NUMBER": "A123456788"}, "422 id_number_invalid "),
    ],
)
async def test_a_generated_java_client_reads_refusals(
    program: tuple[str, ...],
    stage: Stage,
    tmp_path: Path,
    environment: dict[str, str],
    said: str,
) -> None:
    """As problem documents, with their code and the words for the user."""
    status, out, err = await _sign(program, stage, tmp_path, **environment)
    assert (status, out) == (3, "")
    assert err.startswith(said)
    assert re.search("[一-鿿]", err)


def test_a_generated_csharp_client_has_every_call_and_type(generator: Path, tmp_path: Path) -> None:
    """By name; whether it compiles is not tried."""
    made = _generated("csharp", generator, tmp_path)
    sources = {path.stem: path.read_text() for path in made.rglob("*.cs")}
    calls = "\n".join(text for name, text in sources.items() if name.endswith("Api"))
    for operation in _CALLED:
        name: str = operation["operationId"]
        assert re.search(rf" {name[0].upper()}{name[1:]}\(", calls), name
    # The form that the Ministry's site brings is of no called route.
    assert set(_DOCUMENT["components"]["schemas"]) - {"RedirectForm"} <= sources.keys()
    assert [name for name in sources if re.search(r"\d{3}Response$|Inline", name)] == []
    assert set(re.findall(r"public Object (\w+)\(", calls)) == {"Openapi"}
