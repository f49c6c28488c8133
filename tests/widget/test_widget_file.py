"""The widget's file itself: what it may not hold, in which words, and how much of it there is."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import moica_gateway.web

SOURCE = (Path(moica_gateway.web.__path__[0]) / "widget" / "v1.js").read_text(encoding="utf-8")


def test_it_is_small() -> None:
    """Under 20 kB as it goes over the line."""
    assert len(gzip.compress(SOURCE.encode())) < 20_000


def test_it_takes_no_markup_from_anywhere() -> None:
    """No sink for HTML or code, no storage, no cookie, no navigation by itself."""
    sinks = (
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|"
        r"localStorage|sessionStorage|cookie|location|window\.open|import\("
    )
    assert re.findall(sinks, SOURCE) == []


def test_every_word_is_there_in_both_languages() -> None:
    """The same keys, in the same order."""
    words = SOURCE.split("const WORDS = {")[1].split("\n};")[0]
    zh, en = words.split("\n  en: {")
    keys = [re.findall(r"^    (\w+):", part, re.MULTILINE) for part in (zh, en)]
    assert keys[0] == keys[1]
    assert len(keys[0]) > 30
