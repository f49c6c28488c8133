"""A path from the holder to a configured anchor, by pyhanko-certvalidator (RFC 5280).

Roots are always passed: without them the library falls back to the system's list. Nothing is
fetched, and only the operator's own intermediates complete a chain.

A path that was found is kept: for that certificate byte for byte, under the anchors that this
finder was made with (others make another finder), and for the time in which every certificate of it
is valid. Whether one of them is revoked is deliberately no part of what is kept: that is looked up
in the lists of the moment at every signature (`trust.revocation`), so that what is kept can hide no
revocation. A certificate without a path is looked at anew each time.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any, Final

from asn1crypto import x509
from attrs import frozen
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError
from pyhanko_certvalidator.policy_decl import DisallowWeakAlgorithmsPolicy

from moica_gateway.trust.anchors import TrustAnchors

__all__ = ["PathFinder", "PathResult"]

_KEPT: Final = 10_000
"""Paths: less than 1 kB each."""


@frozen(kw_only=True)
class PathResult:
    """``chain``: DER from the issuer of the leaf up, without the root; ``failure`` in words."""

    chain: tuple[bytes, ...] = ()
    root: bytes | None = None
    failure: str | None = None


@frozen
class _Kept:
    result: PathResult
    since: datetime
    until: datetime


class PathFinder:
    """Finds, validates and keeps.

    Args:
        anchors: Roots and intermediates, for as long as this finder lives.
        kept: How many paths, at most; the one that was not used for the longest time goes first.
    """

    def __init__(self, anchors: TrustAnchors, *, kept: int = _KEPT) -> None:
        self._own = {der: der for der in (*anchors.roots, *anchors.intermediates)}
        self._roots = [x509.Certificate.load(der) for der in anchors.roots]
        self._intermediates = [x509.Certificate.load(der) for der in anchors.intermediates]
        self._limit = kept
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    async def find(self, leaf: bytes, at: datetime) -> PathResult:
        """The path as it stood at ``at``. Raises nothing: trouble is a failure."""
        key = hashlib.sha256(leaf).digest()
        kept = self._kept.get(key)
        if kept is not None and kept.since <= at <= kept.until:
            self._kept.move_to_end(key)
            return kept.result
        try:
            path = await self._validated(leaf, at)
            certificates = list(path.iter_certs(include_root=True))
            if len(certificates) < 2:
                return PathResult(failure="the leaf is an anchor itself")
            found = self._result(certificates)
        except (PathError, ValidationError) as e:
            return PathResult(failure=type(e).__name__)
        except Exception as e:  # noqa: BLE001 - a library over hostile ASN.1; trouble is no trust
            return PathResult(failure=f"the path cannot be read ({type(e).__name__})")
        self._keep(key, found)
        return found.result

    async def _validated(self, leaf: bytes, at: datetime) -> Any:
        context = ValidationContext(
            trust_roots=self._roots,
            other_certs=self._intermediates,
            moment=at,
            best_signature_time=at,
            time_tolerance=timedelta(0),
            allow_fetching=False,
            revocation_mode="soft-fail",
            algorithm_usage_policy=DisallowWeakAlgorithmsPolicy(),  # type: ignore[no-untyped-call]  # library
        )
        validator = CertificateValidator(x509.Certificate.load(leaf), validation_context=context)
        return await validator.async_validate_usage({"digital_signature"})  # type: ignore[no-untyped-call]  # library

    def _result(self, certificates: list[Any]) -> _Kept:
        # The operator's own bytes, so that ten thousand paths hold them once.
        ders = [certificate.dump() for certificate in certificates[:-1]]
        root, *chain = [self._own.get(der, der) for der in ders]
        return _Kept(
            PathResult(root=root, chain=tuple(reversed(chain))),
            max(certificate.not_valid_before for certificate in certificates),
            min(certificate.not_valid_after for certificate in certificates),
        )

    def _keep(self, key: bytes, found: _Kept) -> None:
        self._kept[key] = found
        self._kept.move_to_end(key)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)
