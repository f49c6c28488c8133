"""What a tenant may decide for itself, pinned into every transaction at its creation. Pure."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

__all__ = ["TenantPolicy"]


@frozen(kw_only=True)
class TenantPolicy:
    """Set by administrators; never by a request, never by a browser.

    Attributes:
        time_limit_default: Seconds a phone has to answer where the caller names none.
        time_limit_max: Seconds; a caller who asks for more gets 422.
        name_mismatch: ``fail`` a registration whose ``user_name`` is not the certificate's.
        certificate_changed: For bare formats only: ``fail``, or ``follow`` a renewed certificate
            of the same person: the credential then has it. Formats with the certificate inside
            what is signed always fail.
        brand: Put in front of every hint, for example 「國立示範大學」; at most 20 characters.
        return_origins: Origins that a ``return_url`` may have.
        batch_max: Documents of one batch; a caller who sends more gets 422.
        identity_queries_per_day: Distinct ID numbers that keys with scope ``identity:query`` may
            ask about in one day (UTC), all keys of the tenant together; 0 is none.
        audit_heads: Whether the tenant gets signed heads of its audit record as events
            ``security.audit_head``, at most hourly.
    """

    time_limit_default: int = 60
    time_limit_max: int = 600
    name_mismatch: Literal["fail"] = "fail"
    certificate_changed: Literal["fail", "follow"] = "fail"
    brand: str = ""
    return_origins: tuple[str, ...] = ()
    batch_max: int = 100
    identity_queries_per_day: int = 100
    audit_heads: bool = False
