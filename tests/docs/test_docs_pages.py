"""The documentation as pages, and what is made for it from the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.errors_page import PAGE, actions, page
from moica_gateway.errors import CATALOGUE

DOCS = Path(__file__).parents[2] / "docs"


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    """A broken link, a page that nobody reaches or an unknown name of the SDK is an error."""
    made = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, "")
    for built in tmp_path.rglob("*.html"):
        text = built.read_text(encoding="utf-8")
        # A link may lead out; nothing is fetched from there to show the page.
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//", text), built.name
        assert not re.findall(r"<link[^>]+href=\"(?:https?:)?//", text), built.name


def test_every_error_says_what_to_do() -> None:
    """Each code of the catalogue has an action, and no action is for a code that went."""
    assert set(actions()) == set(CATALOGUE)
    assert len(set(actions().values())) > len(CATALOGUE) * 0.9
    for code, action in actions().items():
        assert len(action) > 20, code
        assert action.endswith("."), code


def test_the_page_of_errors_is_what_the_catalogue_says() -> None:
    """`python docs/errors_page.py` was not forgotten."""
    assert PAGE.read_text(encoding="utf-8") == page()


def blocks() -> list[tuple[str, str]]:
    """Every Python block of the how-tos: page and number, code."""
    return [
        (f"{path.stem}-{number}", code)
        for path in sorted((DOCS / "howto").glob("*.md"))
        for number, code in enumerate(
            re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S), 1
        )
    ]


@pytest.mark.parametrize("code", [code for _, code in blocks()], ids=[name for name, _ in blocks()])
def test_the_code_of_the_how_tos_runs_as_it_stands(code: str, tmp_path: Path) -> None:
    """In a program of its own, with warnings as errors; its assertions hold."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
