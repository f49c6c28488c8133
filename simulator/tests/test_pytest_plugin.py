"""The pytest plugin, in test-suites of its own: each is run by another pytest."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SIMULATOR = Path(__file__).parents[1]
VENDOR = SIMULATOR / "examples" / "vendor_tests"
PLUGIN = "moica_simulator.pytest_plugin"


def run_suite(
    folder: Path, *arguments: str, plugins: tuple[str, ...] = (PLUGIN,), autoload: bool = False
) -> str:
    """Runs a test-suite with these plugins only, warnings being errors; returns what it said."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if not autoload:
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-W", "error"]
    command += ["-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider"]
    command += [each for plugin in plugins for each in ("-p", plugin)]
    done = subprocess.run(
        [*command, *arguments, str(folder)], env=environment, capture_output=True, check=False
    )
    return (done.stdout + done.stderr).decode()


def suite(tmp_path: Path, source: str) -> Path:
    """Writes a test-suite of one file."""
    (tmp_path / "test_suite.py").write_text(textwrap.dedent(source), "utf-8")
    return tmp_path


def test_the_vendors_suite_passes() -> None:
    """The example that the README shows: blocking, and with no other plugin."""
    assert "3 passed" in run_suite(VENDOR), run_suite(VENDOR)


def test_the_vendors_suite_fails_when_the_vendors_client_is_wrong(tmp_path: Path) -> None:
    """A client that seals another payload is told so by its tests."""
    client = (VENDOR / "client.py").read_text("utf-8")
    wrong = client.replace('"op_code", "hint", "sign_data")', '"hint", "op_code", "sign_data")')
    assert wrong != client
    (tmp_path / "client.py").write_text(wrong, "utf-8")
    (tmp_path / "test_client.py").write_text((VENDOR / "test_client.py").read_text("utf-8"))
    said = run_suite(tmp_path)
    assert "INV_SP_CHECKSUM" in said
    assert "3 failed" in said or "2 failed, 1 passed" in said


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


def test_a_blocking_suite_calls_what_markers_set(tmp_path: Path) -> None:
    """People, phones, faults, clock: nothing is awaited, and no other plugin is there."""
    said = run_suite(suite(tmp_path, MARKED.format(definition="def", awaited="")))
    assert "3 passed" in said, said


@pytest.mark.parametrize("plugin", ["pytest_asyncio.plugin", "pytest_aiohttp.plugin"])
def test_an_asynchronous_suite_awaits_the_same(tmp_path: Path, plugin: str) -> None:
    """In auto mode of pytest-asyncio, alone and under pytest-aiohttp."""
    source = MARKED.format(definition="async def", awaited="await ")
    plugins = (PLUGIN, "pytest_asyncio.plugin", plugin)
    said = run_suite(
        suite(tmp_path, source),
        *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
        plugins=tuple(dict.fromkeys(plugins)),
    )
    assert "3 passed" in said, said


def test_one_simulator_can_serve_a_whole_session(tmp_path: Path) -> None:
    """`moica_scope = session`: the phone is found again, in the state that the test marks."""
    source = """
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
    """
    folder = suite(tmp_path, source)
    said = run_suite(folder, "-o", "moica_scope=session")
    assert "8 passed" in said, said
    assert "7 failed, 1 passed" in run_suite(folder)


def test_mistakes_in_markers_and_settings_are_told(tmp_path: Path) -> None:
    """An unknown word, an impossible fault, a scope that is none."""
    source = """
        import pytest

        @pytest.mark.moica_person(nmae="x")
        def test_word(moica_platform):
            pass

        @pytest.mark.moica_fault("SP-API-ATH-99", code="X")
        def test_fault(moica_platform):
            pass

        @pytest.mark.moica_persona
        def test_marker(moica_platform):
            pass
    """
    folder = suite(tmp_path, source)
    assert "'moica_persona' not found in `markers`" in run_suite(folder)
    (folder / "test_suite.py").write_text(
        (folder / "test_suite.py").read_text("utf-8").replace("persona", "person"), "utf-8"
    )
    said = run_suite(folder)
    assert "unexpected keyword argument 'nmae'" in said
    assert "fault_invalid" in said
    assert "1 passed, 2 errors" in said
    said = run_suite(folder, "-o", "moica_scope=module")
    assert "moica_scope: expected function or session; 'module' came" in said


def test_options_are_handed_to_the_simulator(tmp_path: Path) -> None:
    """A suite overrides `moica_options`, here to freeze the clock."""
    source = """
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
    said = run_suite(suite(tmp_path, source))
    assert "1 passed" in said, said


def test_a_call_that_waits_in_vain_gives_up(tmp_path: Path) -> None:
    """Blocking and awaiting, with a word on what to look at; an error of its own comes as it is."""
    source = """
        import asyncio
        import pytest
        from moica_simulator import bridge

        def test_blocking(moica_platform, moica_phone, monkeypatch):
            monkeypatch.setattr(bridge, "LONGEST_CALL_S", 0.05)
            with pytest.raises(TimeoutError, match="wait_for_request was not done within 0.05 s"):
                moica_platform.wait_for_request(moica_phone.id)

        async def test_awaiting(moica_platform, moica_phone, monkeypatch):
            monkeypatch.setattr(bridge, "LONGEST_CALL_S", 0.05)
            with pytest.raises(TimeoutError, match="moica_platform.requests"):
                await moica_platform.wait_for_request(moica_phone.id)
            assert await moica_platform.inbox(moica_phone.id) == []
    """
    said = run_suite(
        suite(tmp_path, source),
        *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
        plugins=(PLUGIN, "pytest_asyncio.plugin"),
    )
    assert "2 passed" in said, said


def test_a_suite_that_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    """Neither the simulator nor what it needs is imported; the markers are known."""
    source = """
        import json
        import sys
        from pathlib import Path

        def test_nothing():
            Path("loaded.json").write_text(json.dumps(sorted(sys.modules)))
    """
    folder = suite(tmp_path, source)
    said = run_suite(folder, "--markers")
    for marker in ("moica_person", "moica_fault", "moica_profile"):
        assert f"@pytest.mark.{marker}(" in said
    old = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert "1 passed" in run_suite(folder)
    finally:
        os.chdir(old)
    loaded = set(json.loads((tmp_path / "loaded.json").read_text()))
    assert PLUGIN in loaded
    ours = {each for each in loaded if each.startswith("moica_simulator")}
    assert ours == {"moica_simulator", "moica_simulator._version", PLUGIN}
    assert not loaded & {"aiohttp", "cryptography", "fido2", "PIL", "attrs", "sqlite3"}


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
