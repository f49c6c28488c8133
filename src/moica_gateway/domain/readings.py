"""What a signed thing says of itself, before anybody believes it.

A reader of one format takes an artifact apart into these; whether a signature is good, by whom, and
since when, is decided by trust, never by the reader. Pure, frozen, for ours and foreign signatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from moica_gateway.domain.values import Tbs

__all__ = ["FoundSignature", "FoundTimestamp", "GivenContent", "ValidationMaterial"]


@frozen(kw_only=True)
class GivenContent:
    """What a detached signature is to be held against.

    Attributes:
        content: The document's bytes, where the caller has them.
        sha256: Their digest, 32 bytes, where only that is known. With ``content`` it must agree.
        certificate: DER of the signer's, for a bare signature that brings none.
        files: Further files by name (attachments, files that an SI refers to).
        file_digests: SHA-256, 32 bytes, of those of which only the digest is known.
    """

    content: bytes | None = field(default=None, repr=False)
    sha256: bytes | None = None
    certificate: bytes | None = field(default=None, repr=False)
    files: Mapping[str, bytes] = field(factory=dict, repr=False)
    file_digests: Mapping[str, bytes] = field(factory=dict)


@frozen(kw_only=True)
class FoundTimestamp:
    """An RFC 3161 token and the bytes whose digest it must hold."""

    token: bytes = field(repr=False)
    """DER ``ContentInfo``."""
    covers: bytes = field(repr=False)
    archive: bool = False
    """True for one over everything that came before (PDF document timestamp, archive timestamp)."""


@frozen(kw_only=True)
class FoundSignature:
    """One signature inside an artifact, in the order in which they were made.

    Attributes:
        format: The format's name (``cades``, ``pades``, …).
        name: Where it stands inside the artifact: a PDF field, an XML id, a number.
        certificate: DER of whoever is said to have signed.
        chain: Other certificates that came along, DER; nothing is believed of them.
        message: What the key must cover.
        signature: The value.
        covers: In words: which bytes of the document this signature stands for.
        content_matches: Whether the digest inside what is signed is the content's; None when
            there was nothing to hold it against.
        problems: What is wrong with the way the signature and the document hang together
            (wrapping, a later change, a missing file), in words; any of them refuses.
        claimed_at: When the signer says it was.
        hint: The words that the holder saw, where they stand inside what is signed.
        blind: True where no document stands behind the value.
        level: ``B-B`` … by what is there, not by what holds; None where the format has none.
    """

    format: str
    name: str
    certificate: bytes = field(repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    message: Tbs
    signature: bytes = field(repr=False)
    covers: str
    content_matches: bool | None = None
    problems: tuple[str, ...] = ()
    claimed_at: datetime | None = None
    hint: str | None = field(default=None, repr=False)
    blind: bool = False
    level: str | None = None
    timestamps: tuple[FoundTimestamp, ...] = ()
    revocation_lists: tuple[bytes, ...] = field(default=(), repr=False)
    """DER CRLs that came along."""
    status_answers: tuple[bytes, ...] = field(default=(), repr=False)
    """DER OCSP responses that came along."""


@frozen(kw_only=True)
class ValidationMaterial:
    """What a verifier will need once the authorities are silent, DER each.

    ``certificates`` complete the paths of signer and timestamp authorities, roots included.
    """

    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    revocation_lists: tuple[bytes, ...] = field(default=(), repr=False)
    status_answers: tuple[bytes, ...] = field(default=(), repr=False)
