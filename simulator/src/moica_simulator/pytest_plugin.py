"""The pytest plugin: fixtures and markers for the tests of a client of the platform.

It is loaded in every environment that has this package, so it imports nothing of the simulator
until a fixture is used. Test-suites may be blocking or asynchronous (pytest-asyncio,
pytest-aiohttp, anyio with asyncio): in an asynchronous test what is a coroutine of `Simulator` is
awaited, in any other it is simply called.
"""

import base64
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

if TYPE_CHECKING:
    from moica_simulator import CertificateShape, Device, KeyPool, Simulator
    from moica_simulator.bridge import BackgroundLoop

__all__ = [
    "ServiceProviderAccess",
    "moica_keys",
    "moica_options",
    "moica_phone",
    "moica_platform",
    "moica_service_provider",
]

_MARKERS = (
    "moica_person(id_number='A123456789', name='王小明', phone='我的手機', platform='Android', "
    "pin=None, on_request='manual', delay_s=0, push='works', network='on', "
    "fingerprint_failures=0, shape=None): a person with a bound phone (phone=None: without); "
    "may be repeated, the first one's phone is moica_phone",
    "moica_fault(interface, ...): a fault, as Simulator.add_fault takes it; may be repeated",
    "moica_profile(name, seed=None): standard, strict, lenient or chaos",
)
_SERVICE_ID = "20261123090000000001"


class ServiceProviderAccess(NamedTuple):
    """What a client needs to be told of the platform.

    Attributes:
        url: Of the platform, without a slash at the end.
        sp_service_id: The relying system's id.
        aes_key: Its key, base64.
        name: What phones show as asking.
    """

    url: str
    sp_service_id: str
    aes_key: str
    name: str


class _Scene(NamedTuple):
    """A simulator that the markers have been applied to, and the loop it lives in."""

    loop: "BackgroundLoop"
    simulator: "Simulator"


class _MarkedPerson(NamedTuple):
    id_number: str = "A123456789"
    name: str = "王小明"
    phone: str | None = "我的手機"
    platform: str = "Android"
    pin: str | None = None
    on_request: str = "manual"
    delay_s: float = 0.0
    push: str = "works"
    network: str = "on"
    fingerprint_failures: int = 0
    shape: "CertificateShape | None" = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the setting."""
    parser.addini(
        "moica_scope",
        "function (default): a simulator for each test. session: one for all, which is faster; "
        "people and phones stay then, faults and clock are put back after each test",
        default="function",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)


def _scope(
    fixture_name: str,  # noqa: ARG001 - pytest names both
    config: pytest.Config,
) -> Literal["function", "session"]:
    wanted = config.getini("moica_scope")
    if wanted not in ("function", "session"):
        raise pytest.UsageError(f"moica_scope: expected function or session; {wanted!r} came")
    return "session" if wanted == "session" else "function"


@pytest.fixture(scope="session")
def moica_keys() -> "KeyPool":
    """RSA keys for the whole run: making them is slow."""
    from moica_simulator import KeyPool

    return KeyPool()


@pytest.fixture(scope=_scope)
def moica_options() -> dict[str, Any]:
    """Arguments for `Simulator.start`, e.g. `seed` or a frozen `clock`: override this fixture."""
    return {}


@pytest.fixture(scope="session")
def _moica_loop() -> "Iterator[BackgroundLoop]":
    from moica_simulator.bridge import BackgroundLoop

    loop = BackgroundLoop()
    yield loop
    loop.close()


@pytest.fixture(scope=_scope)
def _moica_simulator(
    _moica_loop: "BackgroundLoop", moica_keys: "KeyPool", moica_options: dict[str, Any]
) -> "Iterator[Simulator]":
    from moica_simulator.bridge import running_simulator

    options = {"fast": True, "keys": moica_keys, **moica_options}
    with running_simulator(_moica_loop, options) as simulator:
        yield simulator


@pytest.fixture
def _moica_scene(
    request: pytest.FixtureRequest, _moica_loop: "BackgroundLoop", _moica_simulator: "Simulator"
) -> "Iterator[_Scene]":
    scene = _Scene(_moica_loop, _moica_simulator)
    scene.loop.run(_apply_markers(scene.simulator, request.node), what="a marker")
    yield scene
    if _scope("_moica_scene", request.config) == "session":
        scene.loop.run(_put_back(scene.simulator), what="putting back")


@pytest.fixture
def moica_platform(request: pytest.FixtureRequest, _moica_scene: "_Scene") -> Any:
    """A running `Simulator`, with the people, faults and profile of the test's markers.

    Its members are those of `Simulator`. In an asynchronous test coroutines are awaited, in a
    blocking one called.
    """
    from moica_simulator.bridge import Bridge

    test = getattr(request.node, "obj", None)
    awaits = inspect.iscoroutinefunction(test)
    return Bridge(_moica_scene.simulator, _moica_scene.loop, awaits=awaits)


@pytest.fixture
def moica_phone(request: pytest.FixtureRequest, _moica_scene: "_Scene") -> "Device":
    """The bound phone of the first marked person with one, or of 王小明 (A123456789)."""
    with_phones = [each for each in _persons(request.node) if each.phone is not None]
    person = with_phones[0] if with_phones else _MarkedPerson()
    ready = _moica_scene.loop.run(_make_ready(_moica_scene.simulator, person), what="binding")
    if ready is None:
        raise pytest.UsageError("moica_phone: expected a person with a phone")
    return ready


@pytest.fixture
def moica_service_provider(_moica_scene: "_Scene") -> ServiceProviderAccess:
    """A registered relying system: what a client is configured with."""
    loop, simulator = _moica_scene
    key = base64.b64encode(bytes(range(32))).decode()
    access = ServiceProviderAccess(simulator.url, _SERVICE_ID, key, "公文線上簽核系統")
    loop.run(simulator.add_service_provider(_SERVICE_ID, key, access.name), what="registering")
    return access


def _persons(node: pytest.Item) -> list[_MarkedPerson]:
    """The marked people from top to bottom, as they stand in the file: a class's before."""
    marks = list(node.iter_markers("moica_person"))[::-1]
    try:
        return [_MarkedPerson(*mark.args, **mark.kwargs) for mark in marks]
    except TypeError as error:
        raise pytest.UsageError(f"moica_person: expected {_MARKERS[0]}; {error}") from error


async def _apply_markers(simulator: "Simulator", node: pytest.Item) -> None:
    for person in _persons(node):
        await _make_ready(simulator, person)
    for mark in node.iter_markers("moica_fault"):
        await simulator.add_fault(*mark.args, **mark.kwargs)
    if (profile := node.get_closest_marker("moica_profile")) is not None:
        simulator.set_profile(*profile.args, **profile.kwargs)


async def _make_ready(simulator: "Simulator", wanted: _MarkedPerson) -> "Device | None":
    """Makes a person and the phone, or finds those that an earlier test of the session made."""
    await simulator.add_person(wanted.id_number, wanted.name, pin=wanted.pin)
    if wanted.phone is None:
        return None
    kept = simulator.state.phone.handsets.of(wanted.id_number)
    device_id = next((each.device_id for each in kept if each.name == wanted.phone), None)
    if device_id is None:
        made = await simulator.bind_device(
            wanted.id_number, wanted.phone, wanted.platform, shape=wanted.shape
        )
        device_id = made.id
    simulator.unlock(device_id)
    await simulator.set_behaviour(device_id, wanted.on_request, delay_s=wanted.delay_s)
    return await simulator.set_state(
        device_id,
        push=wanted.push,
        network=wanted.network,
        fingerprint_failures=wanted.fingerprint_failures,
    )


async def _put_back(simulator: "Simulator") -> None:
    simulator.set_profile("standard")
    simulator.faults.clear()
    simulator.clock.reset()
