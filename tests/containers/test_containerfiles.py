"""What can be checked of the container files where no container can be built.

Their sources are there, their own pip command installs in a fresh environment what it should, the
programs start as told, and their health checks see it. The base image, its packages and the step
that fetches the locked requirements are not tried.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import re
import shlex
import shutil
import site
import socket
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from attrs import frozen

from tests.stage import on_stage

ROOT = Path(__file__).parents[2]
FILES = {"gateway": ROOT / "Containerfile", "simulator": ROOT / "simulator" / "Containerfile"}
KNOWN = {
    *("ARG", "CMD", "COPY", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "RUN", "STOPSIGNAL"),
    *("USER", "VOLUME", "WORKDIR"),
}


@frozen
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    rest: str


def instructions(name: str) -> list[Instruction]:
    """Reads a container file."""
    lines = FILES[name].read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n", " ", text)
    parts = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [Instruction(first, rest) for first, rest in parts]


def of(name: str, instruction: str) -> list[str]:
    return [each.rest for each in instructions(name) if each.name == instruction]


def environment(name: str) -> dict[str, str]:
    """What ENV sets."""
    return dict(part.split("=", 1) for part in shlex.split(" ".join(of(name, "ENV"))))


def copied(name: str) -> list[tuple[list[str], str]]:
    """Sources and destination of every COPY from the build context."""
    found = [shlex.split(rest) for rest in of(name, "COPY")]
    return [(each[:-1], each[-1]) for each in found if not each[0].startswith("--from")]


def health_command(name: str) -> list[str]:
    (check,) = of(name, "HEALTHCHECK")
    command: list[str] = json.loads(check.split(" CMD ", 1)[1])
    return command


def let_in(path: str) -> bool:
    """Whether .dockerignore leaves a path in the build context: the last rule that fits says."""
    inside = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").split():
        pattern = line.lstrip("!").removeprefix("**/")
        parts = [path, *(str(each) for each in Path(path).parents), Path(path).name]
        if any(fnmatch.fnmatchcase(part, pattern) for part in parts):
            inside = line.startswith("!")
    return inside


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_one_that_can_be_read(name: str) -> None:
    """Known instructions only, exec forms that are JSON, and the base is given once."""
    assert {each.name for each in instructions(name)} <= KNOWN
    assert all(isinstance(json.loads(rest), list) for rest in of(name, "CMD") + of(name, "VOLUME"))
    assert of(name, "FROM") == ["${PYTHON} AS build", "${PYTHON}"]
    (base,) = of(name, "ARG")
    assert base.startswith("PYTHON=python:3.")
    assert base.endswith("-slim")


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_is_there_and_in_the_build_context(name: str) -> None:
    """And no more is in the context than has to be."""
    for sources, _ in copied(name):
        for source in sources:
            assert (ROOT / source).exists(), source
            assert let_in(source), source
    for kept_out in (".git", ".venv", ".demo", "tests", "simulator/tests", "docs", "data"):
        assert not let_in(kept_out), kept_out


@pytest.mark.parametrize("name", FILES)
def test_it_runs_as_nobody_special_and_keeps_its_state_in_a_volume(name: str) -> None:
    """A number, so that `runAsNonRoot` can be checked; the folder is made before, for it."""
    env = environment(name)
    (user,) = of(name, "USER")
    (volume,) = json.loads(of(name, "VOLUME")[0])
    assert int(user) >= 1000
    assert volume in (env.get("SIMULATOR_STATE"), env.get("MOICA_GATEWAY_DATA_DIR"))
    made = " ".join(of(name, "RUN"))
    assert f"--uid {user}" in made
    assert f"install -d -m 700 -o moica -g moica {volume}" in made
    names = [each.name for each in instructions(name)]
    assert names.index("USER") > len(names) - 1 - names[::-1].index("RUN")
    port = env.get("SIMULATOR_PORT") or env["MOICA_GATEWAY_PORT"]
    assert of(name, "EXPOSE") == [port]


@pytest.mark.parametrize("name", FILES)
def test_what_it_needs_is_locked_by_hash(name: str) -> None:
    """Every requirement of the package stands in the lock that is installed, and the builder."""
    locked = (ROOT / "requirements" / "demo.txt").read_text("utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+)==", locked, re.M))
    assert len(re.findall("--hash=sha256:", locked)) >= len(pinned)
    project = tomllib.loads((FILES[name].parent / "pyproject.toml").read_text("utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"].get("optional-dependencies", {}).get("server", []),
        *project["build-system"]["requires"],
    ]
    assert {re.split(r"[<>=\[;]", each)[0].strip() for each in wanted} <= pinned
    assert any("--require-hashes -r requirements/demo.txt" in rest for rest in of(name, "RUN"))


def build_context(name: str, folder: Path) -> Path:
    """Copies what the file copies, and nothing else."""
    context = folder / "build"
    for sources, destination in copied(name):
        target = context / destination
        for source in sources:
            if (ROOT / source).is_dir():
                leave = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, target, ignore=leave)
            else:
                into = target / Path(source).name if destination.endswith("/") else target
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / source, into)
    return context


def fresh_environment(folder: Path) -> tuple[Path, Path]:
    """Makes an environment that has what the lock would bring from where this test has it, and
    nothing that is installed in place here; returns its programs' folder and its packages'."""
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "of_the_lock.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin", packages


def run(*command: str, cwd: Path) -> None:
    """Runs a command that must succeed, without what this test was started with."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-4000:]


def pip_words(name: str) -> list[str]:
    """The file's last pip command, which installs the package itself."""
    (command,) = (rest for rest in of(name, "RUN") if "--no-deps" in rest)
    words = shlex.split(command)
    assert words[:2] == ["/opt/moica/bin/pip", "install"]
    return words[1:]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def ended(command: list[str], env: dict[str, str]) -> int:
    """Runs a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


async def test_the_simulator_is_installed_started_healthy_and_brings_its_plugin(
    tmp_path: Path,
) -> None:
    """By the file's own commands; the health check fails when it has stopped."""
    context = build_context("simulator", tmp_path)
    programs, _ = fresh_environment(tmp_path / "moica")
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
    more = ["--ignore-installed", "--no-index", "--no-compile", "--disable-pip-version-check"]
    await asyncio.to_thread(run, *pip, *pip_words("simulator"), *more, cwd=context)
    env = {
        **environment("simulator"),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SIMULATOR_HOST": "127.0.0.1",
        "SIMULATOR_PORT": str(free_port()),
        "SIMULATOR_STATE": str(tmp_path / "state"),
        "PYTHONUTF8": "1",
    }
    command = json.loads(of("simulator", "CMD")[0])
    process = await asyncio.create_subprocess_exec(
        str(programs / command[0]),
        *(*command[1:], "--fast"),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert b"ready" in line
        assert await ended(health_command("simulator"), env) == 0
    finally:
        process.terminate()
        assert await process.wait() == 0
    assert await ended(health_command("simulator"), env) != 0
    assert (tmp_path / "state" / "simulator.sqlite3").exists()
    # The vendor's example finds the plugin by itself: nothing names it.
    suite = [str(programs / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    vendor = shutil.copytree(ROOT / "simulator" / "examples" / "vendor_tests", tmp_path / "vendor")
    pytest_run = await asyncio.create_subprocess_exec(
        *(*suite, "-c", os.devnull, "--rootdir", str(vendor), "-o", "asyncio_mode=auto"),
        str(vendor),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await pytest_run.communicate()
    assert b"3 passed" in said, said.decode()


async def test_the_gateways_health_check_sees_it(tmp_path: Path) -> None:
    """Against a running one, and against none."""
    async with on_stage(tmp_path) as stage:
        port = stage.url.rsplit(":", 1)[1]
        env = {"PATH": os.environ["PATH"], "MOICA_GATEWAY_PORT": port}
        assert await ended(health_command("gateway"), env) == 0
    assert await ended(health_command("gateway"), env) != 0


def test_the_gateway_is_built_from_what_is_copied_and_takes_command_and_settings(
    tmp_path: Path,
) -> None:
    """`init` makes what the volume holds, by the file's own ENV; `serve` is a command of it."""
    context = build_context("gateway", tmp_path)
    assert pip_words("gateway")[-1] == "."
    programs, packages = fresh_environment(tmp_path / "moica")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    run(*build, cwd=context)
    (wheel,) = tmp_path.glob("moica_gateway-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(packages)
    config = tmp_path / "gateway.toml"
    config.write_text('environment = "simulator"\n[upstream]\nbase_url = "http://127.0.0.1:9"\n')
    env = {
        **environment("gateway"),
        "MOICA_GATEWAY_CONFIG": str(config),
        "MOICA_GATEWAY_DATA_DIR": str(tmp_path / "data"),
        "MOICA_GATEWAY_TRUST__ANCHORS": str(tmp_path / "anchors.pem"),
    }
    first, *command = json.loads(of("gateway", "CMD")[0])
    assert first == "moica-gateway"
    # As the program that pip writes does: init, and the command with --help, in one process.
    script = f"""
import sys
from click.testing import CliRunner
import moica_gateway
from moica_gateway.cli import main
assert moica_gateway.__file__.startswith({str(packages)!r}), moica_gateway.__file__
for words in (["init"], {[*command, "--help"]!r}):
    done = CliRunner().invoke(main, words)
    print(done.output)
    done.exit_code and sys.exit(str(done.exception or done.output))
"""
    done = subprocess.run(
        [str(programs / "python"), "-c", script], env=env, capture_output=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert (tmp_path / "data" / "master.key").exists()
