"""The README's example runs as it stands."""

import re
from pathlib import Path
from typing import Any

from moica_simulator import Simulator, pytest_plugin

README = Path(__file__).parent.parent / "README.md"


class ClientUnderTest:
    """What the example leaves to its reader: a client that pushes."""

    def __init__(self, system: Any) -> None:
        self._system = system
        self.pushed: list[str] = []

    async def push(self, url: str, id_number: str) -> None:
        self._system.url = url
        _, ticket_id = await self._system.push(id_num=id_number)
        self.pushed.append(ticket_id)


async def test_the_example_confirms_a_push(system: Any) -> None:
    """It starts a simulator, pushes, and confirms."""
    code, _ = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S)
    names: dict[str, Any] = {"AES_KEY_BASE64": system.key_base64}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own README
    client = ClientUnderTest(system)
    await names["test_a_push_is_confirmed"](client)
    assert len(client.pushed) == 1


def test_the_plugins_example_is_a_test_of_the_vendors_suite() -> None:
    """Which test_pytest_plugin.py runs; word for word, and of at most ten lines."""
    _, code = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S)
    suite = README.parent / "examples" / "vendor_tests" / "test_client.py"
    assert code in suite.read_text("utf-8")
    assert len(code.splitlines()) <= 10


def test_every_fixture_and_marker_of_the_plugin_is_named() -> None:
    """As the plugin has them."""
    text = README.read_text("utf-8")
    fixtures = [name for name in pytest_plugin.__all__ if name.startswith("moica_")]
    markers = [line.split("(")[0] for line in pytest_plugin._MARKERS]
    assert len(fixtures + markers) == 8
    for name in fixtures + markers:
        assert name in text
    arguments = pytest_plugin._MarkedPerson._fields
    described = re.findall(r"\w+", text.split("moica_person(")[1].split(")")[0])
    assert described == list(arguments)


def test_every_member_named_exists() -> None:
    """The table of the in-process API names what there is."""
    rows = re.findall(r"^\| `(?:await )?sim\.(\w+)", README.read_text("utf-8"), re.M)
    assert len(rows) > 10
    missing = [
        name for name in rows if not hasattr(Simulator, name) and name not in ("clock", "url")
    ]
    assert missing == []
