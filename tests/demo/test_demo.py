"""The demonstration's own rules; the tour itself is run as a whole by `make demo AUTO=1`."""

from __future__ import annotations

import ast
import socket
import sys
from pathlib import Path

import pytest

from moica_demo.errors import DemoError
from moica_demo.pages import _Parser
from moica_demo.programs import PEOPLE
from moica_demo.settings import read_settings
from moica_gateway.domain.values import IdNumber

ROOT = Path(__file__).parents[2]


def test_it_needs_only_the_standard_library() -> None:
    """So that it runs before anything is installed."""
    for file in (ROOT / "moica_demo").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names or top == "moica_demo", f"{file}: {name}"


def test_a_busy_port_is_named_with_its_setting(tmp_path: Path) -> None:
    """And nothing starts."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(DemoError) as raised:
            read_settings({"GATEWAY_PORT": str(port), "DEMO_DIR": str(tmp_path)})
    assert str(port) in str(raised.value)
    assert "GATEWAY_PORT" in str(raised.value)


def test_the_sample_id_numbers_are_valid() -> None:
    """One a person."""
    numbers = {IdNumber.parse(id_number) for _, _, id_number in PEOPLE}
    assert len(numbers) == len(PEOPLE)


def test_a_form_is_read_as_a_browser_without_scripts_would() -> None:
    """Hidden fields, chosen radios and options; not what is disabled or unchecked."""
    parser = _Parser()
    parser.feed(
        '<form action="/x"><input type="hidden" name="t" value="1"><input type="radio" name="r" '
        'value="a"><input type="radio" name="r" value="b" checked><select name="s"><option '
        'value="1"><option value="2" selected></select><button>送出</button></form>'
    )
    assert parser.forms[0].fields == {"t": "1", "r": "b", "s": "2"}
    assert parser.forms[0].buttons == ["送出"]


def test_the_locks_have_hashes_and_no_index() -> None:
    """Requirements files that any installer takes."""
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "index" not in text
        assert "://" not in text
