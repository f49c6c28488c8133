"""The page that says how sure each behaviour is, against the code."""

import re
from pathlib import Path

import moica_simulator
from moica_simulator import assumptions

PAGE = Path(__file__).parents[1] / "docs/confidence.md"
PACKAGE = Path(moica_simulator.__file__).parent


def rows() -> list[tuple[str, str]]:
    """What is assumed, and where."""
    return re.findall(r"^\| (.+) \| `([^`]+)` \|$", PAGE.read_text("utf-8"), re.M)


def test_every_assumption_stands_on_the_page_and_no_other() -> None:
    """Each once, with words; what is not a constant or function names the file it is in."""
    places = [place for _, place in rows()]
    assert len({words for words, _ in rows()}) == len(rows())
    named = [place for place in places if not place.endswith(".py")]
    assert sorted(named) == sorted(assumptions.__all__)
    for place in places:
        if place.endswith(".py"):
            assert (PACKAGE / place).is_file(), place


def test_every_assumption_says_what_it_is_and_is_used() -> None:
    """A name that nobody uses would be an assumption that nobody makes."""
    source = Path(assumptions.__file__).read_text("utf-8")
    others = "".join(
        path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "assumptions.py"
    )
    for name in assumptions.__all__:
        assert re.search(rf"\b{name}\b", others), name
        if name.isupper():
            assert re.search(rf'^{name} = [^\n]+\n"""', source, re.M), name
        else:
            assert getattr(assumptions, name).__doc__
