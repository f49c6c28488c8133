"""What CRL and OCSP come to: revoked, good, or unknown, and by what it is known."""

from __future__ import annotations

from attrs import field, frozen

from moica_gateway.domain.revocation_lists import StatusSource

__all__ = ["RevocationStatus"]


@frozen(kw_only=True)
class RevocationStatus:
    """``revoked`` is None when it is unknown; ``detail`` says why, or by what it is known."""

    revoked: bool | None
    detail: str
    sources: tuple[StatusSource, ...] = field(default=(), repr=False)
    """None where it is unknown."""
