"""What is stored of a certificate revocation list (CRL) besides its own bytes. Pure."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

__all__ = ["ListHead"]


@frozen(kw_only=True)
class ListHead:
    """Whose list, of what, and how new. A hint for who looks for newer ones: what counts is read
    from the list itself, under its issuer's signature.

    Attributes:
        issuer: SHA-256 of the issuer's certificate, hexadecimal.
        scope: The first address of its distribution point; for a complete list a word for of what.
        number: The CRL number, up to 160 bits.
        this_update: Aware, UTC.
        next_update: Aware, UTC.
    """

    issuer: str
    scope: str
    number: int
    this_update: datetime
    next_update: datetime

    def older_than(self, other: ListHead) -> bool:
        """Of the same issuer and scope."""
        return (self.number, self.this_update) < (other.number, other.this_update)
