"""What ``import moica_gateway`` promises and costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import moica_gateway

HEAVY = {"aiohttp", "sqlalchemy", "cryptography", "standardwebhooks", "asyncio"}


def _loaded_after(code: str) -> set[str]:
    code += "\nimport sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Not a module of the server and not one library is loaded by the bare import."""
    loaded = _loaded_after("import moica_gateway")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("moica_gateway.")} == set()


def test_importing_the_client_loads_no_server() -> None:
    """The client class loads neither aiohttp nor a database nor cryptography."""
    loaded = _loaded_after("from moica_gateway import GatewayClient, BlockingGatewayClient")
    assert not loaded & {"aiohttp", "sqlalchemy", "cryptography"}
    assert not [n for n in loaded if n.startswith(("moica_gateway.domain", "moica_gateway.web"))]


def test_the_list_of_names_is_sorted_and_is_what_dir_says() -> None:
    """``__all__`` is sorted, without repeats, and equal to ``dir()``."""
    assert list(moica_gateway.__all__) == sorted(set(moica_gateway.__all__))
    assert dir(moica_gateway) == list(moica_gateway.__all__)


@pytest.mark.parametrize("name", moica_gateway.__all__)
def test_every_name_is_importable_and_exported_by_its_home(name: str) -> None:
    """Each name resolves, and the module it comes from exports it, too."""
    value = getattr(moica_gateway, name)
    assert value.__name__ == name
    assert name in importlib.import_module(value.__module__).__all__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """So ``hasattr`` and ``from … import`` behave as usual."""
    assert not hasattr(moica_gateway, "Nonsense")
    with pytest.raises(ImportError):
        exec("from moica_gateway import Nonsense")  # noqa: S102 - a constant
