"""What a simulator leaves out to be fast, and the words in which it says so wherever it shows."""

import attrs

__all__ = ["NORMAL", "Mode"]


@attrs.frozen
class Mode:
    """How a simulator runs.

    Attributes:
        fast: Whether it was asked to be fast; its CA then has RSA-2048 and not RSA-3072.
        fido2: Whether a confirmation takes a FIDO2 assertion between phone and platform.
        prepared_keys: Whether keys of phones and cards are of eight primes (`multiprime`).
    """

    fast: bool = False
    fido2: bool = True
    prepared_keys: bool = False

    @property
    def name(self) -> str:
        """`fast` or `normal`."""
        return "fast" if self.fast else "normal"

    @property
    def words_zh(self) -> str:
        """What is left out, for people; empty in normal mode."""
        if not self.fast:
            return ""
        fido2 = "手機與平臺間仍做 FIDO2" if self.fido2 else "手機與平臺間不做 FIDO2"
        keys = "、金鑰為預製" if self.prepared_keys else ""
        return f"快速模式：{fido2}{keys}"

    @property
    def words_en(self) -> str:
        """The same in English."""
        if not self.fast:
            return ""
        fido2 = "FIDO2 as ever" if self.fido2 else "no FIDO2 between phone and platform"
        keys = ", prepared keys" if self.prepared_keys else ""
        return f"fast mode: {fido2}{keys}"


NORMAL = Mode()
"""Everything as it should be."""
