"""Makes ``.venv`` from the locked requirements, once for each state of the locks."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from moica_demo.errors import DemoError

__all__ = ["ROOT", "ensure_installed", "program"]

ROOT = Path(__file__).resolve().parent.parent
_VENV = ROOT / ".venv"
_PACKAGES = (ROOT, ROOT / "simulator", ROOT / "integrations" / "document_system")


def program(name: str) -> str:
    """The path of an installed command."""
    return str(_VENV / "bin" / name)


def ensure_installed(requirements: str = "demo") -> None:
    """Install what ``requirements/<name>.txt`` locks, and the three packages of this repository.

    Raises:
        DemoError: saying what is missing on this machine, and how to get it.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - this is what tells an older Python
        found = ".".join(map(str, sys.version_info[:3]))
        raise DemoError(f"Python 3.11 or newer is needed, this is {found}")
    if shutil.which("openssl") is None:
        raise DemoError("`openssl` is missing; on Debian and Ubuntu: apt install openssl")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise DemoError(
            "Python's `venv` is missing; on Debian and Ubuntu: apt install python3-venv"
        )
    lock = ROOT / "requirements" / f"{requirements}.txt"
    stamp = _VENV / f".installed-{requirements}"
    state = _digest(lock, *(package / "pyproject.toml" for package in _PACKAGES))
    if stamp.exists() and stamp.read_text() == state:
        return
    print(f"installing into {_VENV.relative_to(ROOT)} (once) ...", flush=True)
    if not (_VENV / "bin" / "python").exists():
        _run([sys.executable, "-m", "venv", str(_VENV)])
    pip = [str(_VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q"]
    _run([*pip, "install", "--require-hashes", "-r", str(lock)])
    for package in _PACKAGES:
        _run([*pip, "install", "--no-deps", "--no-build-isolation", "-e", str(package)])
    stamp.write_text(state)


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise DemoError(f"`{' '.join(command[:6])} ...` failed; its output is above")
