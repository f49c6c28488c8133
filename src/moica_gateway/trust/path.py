"""A path from the holder to a configured anchor, by pyhanko-certvalidator (RFC 5280).

Roots are always passed: without them the library falls back to the system's list. Nothing is
fetched, and only the operator's own intermediates complete a chain. Revocation is not its business
here (`trust.revocation`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asn1crypto import x509
from attrs import frozen
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy

from moica_gateway.trust.anchors import TrustAnchors

__all__ = ["PathFinder", "PathResult"]


@frozen(kw_only=True)
class PathResult:
    """``chain``: DER from the issuer of the leaf up, without the root; ``failure`` in words."""

    chain: tuple[bytes, ...] = ()
    root: bytes | None = None
    failure: str | None = None


class PathFinder:
    """Finds and validates; the one place where a kept verdict belongs once there is one."""

    def __init__(self, anchors: TrustAnchors) -> None:
        self._roots = [x509.Certificate.load(der) for der in anchors.roots]
        self._intermediates = [x509.Certificate.load(der) for der in anchors.intermediates]

    async def find(self, leaf: bytes, at: datetime) -> PathResult:
        """The path as it stood at ``at``. Raises nothing: trouble is a failure."""
        try:
            context = ValidationContext(
                trust_roots=self._roots,
                other_certs=self._intermediates,
                moment=at,
                best_signature_time=at,
                allow_fetching=False,
                revocation_mode="soft-fail",
                algorithm_usage_policy=DisallowWeakAlgorithmsPolicy(),  # type: ignore[no-untyped-call]  # library
            )
            validator = CertificateValidator(
                x509.Certificate.load(leaf), validation_context=context
            )
            path = await validator.async_validate_usage(  # type: ignore[no-untyped-call]  # library
                {"digital_signature"}
            )
            return _result(path)
        except (PathError, ValidationError) as e:
            return PathResult(failure=type(e).__name__)
        except Exception as e:  # noqa: BLE001 - a library over hostile ASN.1; trouble is no trust
            return PathResult(failure=f"the path cannot be read ({type(e).__name__})")


def _result(path: Any) -> PathResult:
    certificates = [certificate.dump() for certificate in path.iter_certs(include_root=True)]
    if len(certificates) < 2:
        return PathResult(failure="the leaf is an anchor itself")
    return PathResult(root=certificates[0], chain=tuple(reversed(certificates[1:-1])))
