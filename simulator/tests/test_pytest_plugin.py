"""The pytest plugin, in test-suites of its own: three of them, each run by another pytest."""

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from moica_simulator import pytest_plugin

SIMULATOR = Path(__file__).parents[1]
VENDOR = SIMULATOR / "examples" / "vendor_tests"
PLUGIN = "moica_simulator.pytest_plugin"

Outcomes = dict[str, str]


def run_suite(
    folder: Path, files: Mapping[str, str], *arguments: str, plugins: tuple[str, ...] = ()
) -> tuple[Outcomes, str]:
    """Runs a test-suite with these plugins only, warnings being errors.

    Returns:
        What became of each test, by file and name, and all that was said.
    """
    for name, source in files.items():
        (folder / name).write_text(textwrap.dedent(source), "utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--strict-markers", "-W", "error"]
    command += ["-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider"]
    command += [each for plugin in (PLUGIN, *plugins) for each in ("-p", plugin)]
    done = subprocess.run(
        [*command, *arguments, str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    found = re.findall(r"^(PASSED|FAILED|ERROR) (\S+?::\S+)", said, re.M)
    return {name: outcome for outcome, name in found}, said


MARKED = """
    import asyncio
    import pytest

    def urls(platform):
        return platform.url

    @pytest.mark.moica_person("B123456780", "李大同", pin="654321", platform="iOS")
    @pytest.mark.moica_person(phone=None)
    @pytest.mark.moica_fault("SP-API-ATH-02", code="DB_CONN_ERR", times=3)
    {definition} test_markers(moica_platform, moica_phone):
        assert (moica_phone.id_number, moica_phone.platform) == ("B123456780", "iOS")
        assert {awaited}moica_platform.inbox(moica_phone.id) == []
        assert moica_platform.person("A123456789").name == "王小明"
        assert [each.times for each in moica_platform.faults.all()] == [3]
        before = moica_platform.clock.now()
        moica_platform.clock.advance(3600)
        assert (moica_platform.clock.now() - before).total_seconds() >= 3600
        card = moica_platform.person("B123456780").card_number
        spare = {awaited}moica_platform.add_device("另一支")
        assert ({awaited}moica_platform.bind_by_nfc(spare.id, card, "654321")).bound
        with pytest.raises(Exception, match="device_unknown"):
            {awaited}moica_platform.set_behaviour("none", "confirm")

    @pytest.mark.moica_person(network="airplane", push="unregistered", fingerprint_failures=2,
                              on_request="refuse", delay_s=5)
    class TestOfAPhone:
        {definition} test_state(self, moica_platform, moica_phone):
            assert not moica_phone.online and not moica_phone.push_registered
            assert moica_phone.fingerprint_failures == 2
            assert moica_phone.behaviour.delay_s == 5
            assert moica_platform.faults.all() == []

    {definition} test_two_services_are_one(moica_service_provider, moica_platform):
        assert moica_service_provider.url == moica_platform.url
        assert moica_platform.requests == ()
"""


UNUSED = """
    import sys

    def test_nothing_is_imported_until_a_fixture_is_used():
        ours = {each for each in sys.modules if each.startswith("moica_simulator")}
        assert ours == {"moica_simulator", "moica_simulator._version", "%s"}
        others = {"aiohttp", "cryptography", "fido2", "PIL", "attrs", "sqlite3", "zxingcpp"}
        assert not others & set(sys.modules)
"""

OPTIONS = """
    from datetime import UTC, datetime
    import pytest
    from moica_simulator import Clock

    NOON = datetime(2026, 4, 24, 4, tzinfo=UTC)

    @pytest.fixture
    def moica_options():
        return {"clock": Clock(frozen_at=NOON)}

    def test_noon(moica_platform):
        assert moica_platform.clock.now() == NOON
"""

LATE = """
    import pytest
    from moica_simulator import bridge

    {definition} test_waiting_in_vain(moica_platform, moica_phone, monkeypatch):
        monkeypatch.setattr(bridge, "LONGEST_CALL_S", 0.05)
        with pytest.raises(TimeoutError, match="wait_for_request was not done within 0.05 s"):
            {awaited}moica_platform.wait_for_request(moica_phone.id)
        monkeypatch.undo()
        assert {awaited}moica_platform.inbox(moica_phone.id) == []
"""

SESSION = """
    import pytest

    seen = []

    @pytest.mark.moica_fault("SP-API-ATH-01", code="X", times=None)
    @pytest.mark.moica_person(fingerprint_failures=3, on_request="ignore")
    def test_one(moica_platform, moica_phone):
        seen.append((moica_platform.url, moica_phone.id))
        moica_platform.clock.advance(3600)
        assert moica_phone.fingerprint_failures == 3

    @pytest.mark.parametrize("again", range(7))
    def test_two(moica_platform, moica_phone, again):
        assert [(moica_platform.url, moica_phone.id)] == seen
        assert moica_platform.faults.all() == []
        assert moica_platform.clock.advanced.total_seconds() == 0
        assert moica_phone.fingerprint_failures == 0
        assert moica_phone.behaviour.on_request == "manual"

    @pytest.mark.moica_profile("chaos", seed=7)
    def test_profile(moica_platform):
        assert (moica_platform.profile.name, moica_platform.profile.seed) == ("chaos", 7)

    def test_profile_is_put_back(moica_platform):
        assert moica_platform.profile.name == "standard"

    @pytest.mark.moica_person("B123456780", "李大同", "上面那支")
    class TestOrder:
        @pytest.mark.moica_person("C123456781", "張家豪", "中間那支")
        @pytest.mark.moica_person("A223456781", "陳美玲", "下面那支")
        def test_the_first_as_written_has_the_phone(self, moica_phone):
            assert moica_phone.name == "上面那支"

        @pytest.mark.moica_person("B123456780", "李大同", None)
        def test_one_without_a_phone_is_passed_over(self, moica_phone):
            assert moica_phone.name == "上面那支"

    @pytest.mark.moica_person("C123456781", "張家豪", "中間那支")
    @pytest.mark.moica_person("A223456781", "陳美玲", "下面那支")
    def test_of_two_decorators_the_upper_is_first(moica_phone):
        assert moica_phone.name == "中間那支"

    @pytest.mark.moica_person(nmae="x")
    def test_word(moica_platform):
        pass

    @pytest.mark.moica_fault("SP-API-ATH-99", code="X")
    def test_fault(moica_platform):
        pass
"""


@pytest.fixture(scope="module")
def blocking(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcomes, str]:
    """A blocking suite without any other plugin; the vendor's, and the same with a wrong client."""
    client = (VENDOR / "client.py").read_text("utf-8")
    wrong = client.replace('"op_code", "hint", "sign_data")', '"hint", "op_code", "sign_data")')
    assert wrong != client
    tests = (VENDOR / "test_client.py").read_text("utf-8")
    files = {
        "client.py": client,
        "wrong_client.py": wrong,
        "test_client.py": tests,
        "test_wrong_client.py": tests.replace("from client", "from wrong_client"),
        "test_marked.py": MARKED.format(definition="def", awaited=""),
        "test_options.py": OPTIONS,
        "test_late.py": LATE.format(definition="def", awaited=""),
    }
    return run_suite(tmp_path_factory.mktemp("blocking"), files)


def passed(outcomes: Outcomes, file: str) -> list[str]:
    """What became of the tests of a file."""
    return [outcome for name, outcome in outcomes.items() if name.startswith(f"{file}::")]


def test_the_vendors_suite_passes(blocking: tuple[Outcomes, str]) -> None:
    """The example that the README shows: blocking, and with no other plugin."""
    outcomes, said = blocking
    assert passed(outcomes, "test_client.py") == ["PASSED"] * 3, said


def test_the_vendors_suite_fails_when_the_vendors_client_is_wrong(
    blocking: tuple[Outcomes, str],
) -> None:
    """A client that seals another payload is told so by its tests."""
    outcomes, said = blocking
    assert passed(outcomes, "test_wrong_client.py").count("FAILED") >= 2
    assert "INV_SP_CHECKSUM" in said


@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("test_marked.py", 3),
        ("test_options.py", 1),
        ("test_late.py", 1),
    ],
)
def test_a_blocking_suite_calls_what_it_needs(
    file: str, count: int, blocking: tuple[Outcomes, str]
) -> None:
    """People, phones, faults, clock, options, a wait that gives up."""
    outcomes, said = blocking
    assert passed(outcomes, file) == ["PASSED"] * count, said


def test_an_asynchronous_suite_awaits_the_same(tmp_path: Path) -> None:
    """In auto mode of pytest-asyncio under pytest-aiohttp; blocking tests beside it still call."""
    files = {
        "test_marked.py": MARKED.format(definition="async def", awaited="await "),
        "test_late.py": LATE.format(definition="async def", awaited="await "),
        "test_options.py": OPTIONS,
    }
    outcomes, said = run_suite(
        tmp_path,
        files,
        *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
        plugins=("pytest_asyncio.plugin", "pytest_aiohttp.plugin"),
    )
    assert list(outcomes.values()) == ["PASSED"] * 5, said


def test_one_simulator_can_serve_a_session_and_mistakes_in_markers_are_told(
    tmp_path: Path,
) -> None:
    """`moica_scope = session`: the phone is found again, in the state that the test marks. Before
    a fixture is used nothing of the simulator is imported."""
    files = {"test_0_unused.py": UNUSED % PLUGIN, "test_session.py": SESSION}
    outcomes, said = run_suite(tmp_path, files, "-o", "moica_scope=session")
    assert passed(outcomes, "test_0_unused.py") == ["PASSED"], said
    assert passed(outcomes, "test_session.py") == ["PASSED"] * 13 + ["ERROR"] * 2, said
    assert "unexpected keyword argument 'nmae'" in said
    assert "fault_invalid" in said


def test_a_scope_that_is_none_is_told() -> None:
    """Before anything is started."""

    class Config:
        def getini(self, name: str) -> Any:
            return {"moica_scope": "module"}[name]

    with pytest.raises(pytest.UsageError, match="expected function or session; 'module' came"):
        pytest_plugin._scope("moica_platform", Config())  # type: ignore[arg-type]


async def test_names_of_the_package_are_imported_when_used() -> None:
    """A name that is not there is an AttributeError as of any module."""
    program = (
        "import sys, moica_simulator as m; assert 'aiohttp' not in sys.modules; "
        "m.Simulator; assert 'aiohttp' in sys.modules; "
        "assert not hasattr(m, 'Nothing'); assert set(m._HOMES) | {'__version__'} == set(m.__all__)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env={"PYTHONPATH": ":".join(filter(None, sys.path))}
    )
    assert await process.wait() == 0
