"""The platform's error codes, as `error-codes.csv` lists them.

The table is data: what a code means to a caller (who can act, whether to ask again) is the
caller's reading, and deliberately not used here.
"""

import csv
import functools
from importlib import resources

import attrs

__all__ = ["ErrorCode", "catalogue", "message_for"]


@attrs.frozen
class ErrorCode:
    """One row of the catalogue: system code, the number that the app shows, and its meaning."""

    code: str
    number: str
    meaning: str


@functools.cache
def catalogue() -> dict[str, ErrorCode]:
    """Returns every known code."""
    text = resources.files("moica_simulator").joinpath("error-codes.csv").read_text("utf-8")
    return {
        row["code"]: ErrorCode(row["code"], row["number"], row["meaning"])
        for row in csv.DictReader(text.splitlines())
    }


def message_for(code: str) -> str:
    """Returns the `error_message` that goes with a code."""
    known = catalogue().get(code)
    return known.meaning if known else code
