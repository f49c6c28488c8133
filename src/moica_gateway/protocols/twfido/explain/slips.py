"""A slip: one thing that is known to go wrong in making a checksum, in both languages."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Slip"]


@frozen
class Slip:
    """One.

    Attributes:
        code: Stable, for programs.
        zh: What is wrong, what is wanted.
        en: The same.
        proved: False for what is only suspected, e.g. from a length.
    """

    code: str
    zh: str
    en: str
    proved: bool = True
