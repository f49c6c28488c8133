"""Evidence: everything that is needed to check a transaction years later, in one ZIP."""

from __future__ import annotations

from moica_gateway.services.evidence.archive import MANIFEST, MANIFEST_SIGNATURE, MANIFEST_TAG
from moica_gateway.services.evidence.opening import OpenedEvidence, open_evidence
from moica_gateway.services.evidence.service import Evidence

__all__ = [
    "MANIFEST",
    "MANIFEST_SIGNATURE",
    "MANIFEST_TAG",
    "Evidence",
    "OpenedEvidence",
    "open_evidence",
]
