"""Profiles: how the platform as a whole behaves, by one name.

`standard` is what independent clients agree on, and what a simulator begins with. `strict` and
`lenient` are the narrowest and the widest reading of the same protocol (`platform.reading`): a
client that passes under both does not depend on how the real platform reads it. `chaos` is
`standard` with faults drawn from a seed (`chaos`).
"""

import enum

import attrs

__all__ = ["ActiveProfile", "Profile"]


class Profile(enum.StrEnum):
    """The profiles there are."""

    STANDARD = "standard"
    STRICT = "strict"
    LENIENT = "lenient"
    CHAOS = "chaos"


@attrs.frozen
class ActiveProfile:
    """Which profile is on.

    Attributes:
        name: Which one.
        seed: Of `chaos`, also where none was given, so that it can be repeated; None otherwise.
    """

    name: Profile = Profile.STANDARD
    seed: int | None = None
