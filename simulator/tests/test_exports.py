"""What the package promises: every module says what it exports, sorted, and it is there."""

import importlib
import pkgutil

import pytest

import moica_simulator

MODULES = sorted(
    each.name
    for each in pkgutil.walk_packages(moica_simulator.__path__, "moica_simulator.")
    if not each.name.endswith("__main__")
)


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name: as ruff sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("name", ["moica_simulator", *MODULES])
def test_all_is_true_and_sorted(name: str) -> None:
    """`__all__` names what exists, sorted; a package that only holds modules has none."""
    module = importlib.import_module(name)
    assert module.__doc__, "a module says what it does"
    exported = getattr(module, "__all__", None)
    if exported is None:
        assert hasattr(module, "__path__") or name.endswith("_version")
        return
    assert exported == sorted(exported, key=order)
    assert all(hasattr(module, each) for each in exported)


def test_it_knows_no_gateway() -> None:
    """Nothing of any client of the protocol is imported: the two are independent readings."""
    import sys

    for name in MODULES:
        importlib.import_module(name)
    sources = [sys.modules[name].__spec__ for name in MODULES]
    for spec in sources:
        assert spec is not None
        assert spec.origin is not None
        with open(spec.origin, encoding="utf-8") as file:
            assert "moica_gateway" not in file.read()
