"""ID numbers: 國民身分證統一編號 and both forms of 外來人口統一證號, with their check digit.

All three are one letter and nine digits once the letters are turned into numbers: the first
letter counts as two digits with weights 1 and 9, what follows has the weights 8 to 1, and the
check digit 1; the sum must be a multiple of ten. In the old form of a foreign resident's number
(`AB12345678`) the second letter stands for the last digit of its own value.

This module checks the form only; whether such a person exists is the registry's business.
"""

import enum
import functools
import re

__all__ = ["IdNumberFault", "fault_in"]

# A is 10, B is 11 and so on, but I, O, W, X, Y, Z were placed later: the order is this string.
_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
_FORM = re.compile(r"[A-Z](?:[12]|[89]|[A-D])[0-9]{8}")
_WEIGHTS = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)


class IdNumberFault(enum.Enum):
    """What is wrong with an ID number."""

    FORM = "not shaped like one: a letter, then 1, 2, 8, 9 or A to D, then eight digits"
    CHECK_DIGIT = "the last digit is not the check digit of the others"


@functools.lru_cache(maxsize=10_000)
def fault_in(text: str) -> IdNumberFault | None:
    """Returns what is wrong with an ID number, or None if nothing is."""
    if not _FORM.fullmatch(text):
        return IdNumberFault.FORM
    first = _LETTERS.index(text[0]) + 10
    second = str((_LETTERS.index(text[1]) + 10) % 10) if text[1].isalpha() else text[1]
    digits = f"{first}{second}{text[2:]}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return IdNumberFault.CHECK_DIGIT if total % 10 else None
