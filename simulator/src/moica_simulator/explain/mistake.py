"""A known mistake in making a checksum, said in both languages of Taiwan's integrators.

What is named here was proved: the checksum was opened, or the hash inside was made again, exactly
so. `sure` is False for the few that can only be suspected, from a length.
"""

import attrs

__all__ = ["Mistake"]


@attrs.frozen
class Mistake:
    """One mistake.

    Attributes:
        name: Stable, for programs: `json_order`.
        zh: What is wrong and what is wanted, in the Chinese of Taiwan.
        en: The same in English.
        sure: Whether it was proved, and not only suspected.
    """

    name: str
    zh: str
    en: str
    sure: bool = True
