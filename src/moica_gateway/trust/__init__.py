"""May we believe this? Profile, path, revocation, signature, person; a verdict with every check."""

from __future__ import annotations

from moica_gateway.trust.anchors import (
    TrustAnchors,
    load_certificates,
    refuse_simulator_ca,
    require_pinned,
)
from moica_gateway.trust.judge import CertificateJudge
from moica_gateway.trust.revocation import CrlStore, RevocationPolicy

__all__ = [
    "CertificateJudge",
    "CrlStore",
    "RevocationPolicy",
    "TrustAnchors",
    "load_certificates",
    "refuse_simulator_ca",
    "require_pinned",
]
