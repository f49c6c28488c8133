"""May we believe this? Profile, path, revocation, signature, person; a verdict with every check."""

from __future__ import annotations

from moica_gateway.trust.anchors import (
    TrustAnchors,
    load_certificates,
    refuse_simulator_ca,
    require_pinned,
    sort_authorities,
)
from moica_gateway.trust.crl_store import CrlStore
from moica_gateway.trust.judge import CertificateJudge
from moica_gateway.trust.kept_lists import GivenLists, KeptLists, authorities_by_id, import_list
from moica_gateway.trust.ocsp_client import OcspClient
from moica_gateway.trust.revocation import Revocation, RevocationPolicy

__all__ = [
    "CertificateJudge",
    "CrlStore",
    "GivenLists",
    "KeptLists",
    "OcspClient",
    "Revocation",
    "RevocationPolicy",
    "TrustAnchors",
    "authorities_by_id",
    "import_list",
    "load_certificates",
    "refuse_simulator_ca",
    "require_pinned",
    "sort_authorities",
]
