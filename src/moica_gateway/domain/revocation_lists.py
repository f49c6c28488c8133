"""What is stored of a certificate revocation list (CRL), and of what was known when. Pure."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen

__all__ = ["ListHead", "StatusSource"]


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


@frozen(kw_only=True)
class StatusSource:
    """By what the status of one certificate was known: a CRL, or an OCSP answer.

    Attributes:
        certificate: SHA-256 of the certificate that it speaks of, hexadecimal.
        crl: Which list; its bytes are kept once, and not with every signature.
        sha256: Of the list or the answer, hexadecimal.
        answer: The OCSP answer itself, DER; None for a list.
    """

    certificate: str
    sha256: str
    crl: ListHead | None = None
    answer: bytes | None = field(default=None, repr=False)
