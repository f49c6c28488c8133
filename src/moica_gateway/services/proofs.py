"""What decided a ticket, kept for evidence: one blob a challenge, written with the outcome.

Its id follows from the challenge's, so that no row has to name it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from moica_gateway.domain.models import CertificateSignature, Proof, Verdict
from moica_gateway.domain.revocation_lists import ListHead, StatusSource
from moica_gateway.domain.values import BlobId, ChallengeId
from moica_gateway.errors import error

__all__ = ["KeptProof", "proof_id"]

_VERSION = 1


def proof_id(challenge_id: ChallengeId) -> BlobId:
    """Of the blob."""
    return BlobId(f"proof_{challenge_id}")


@frozen(kw_only=True)
class KeptProof:
    """See the module.

    Attributes:
        raw: The platform's answer as it came: personal data.
        signatures: In the order of the ticket's documents; none where only the platform spoke.
        sources: By what was known at that moment that nothing is revoked.
    """

    judged_at: datetime
    raw: bytes = field(repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    signatures: tuple[bytes, ...] = field(default=(), repr=False)
    sources: tuple[StatusSource, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, proof: Proof, at: datetime, verdict: Verdict | None) -> KeptProof:
        """Of an accepted answer."""
        if verdict is None or not isinstance(proof, CertificateSignature):
            return cls(judged_at=at, raw=proof.raw)
        return cls(
            judged_at=at,
            raw=proof.raw,
            certificate=proof.unverified_certificate,
            chain=verdict.chain,
            signatures=proof.unverified_signatures,
            sources=verdict.statuses,
        )

    def to_blob(self) -> bytes:
        """For the store."""
        return json.dumps(
            {
                "v": _VERSION,
                "judged_at": self.judged_at.isoformat(),
                "raw": _text(self.raw),
                "certificate": None if self.certificate is None else _text(self.certificate),
                "chain": [_text(each) for each in self.chain],
                "signatures": [_text(each) for each in self.signatures],
                "sources": [_source_members(each) for each in self.sources],
            }
        ).encode()

    @classmethod
    def from_blob(cls, blob: bytes) -> KeptProof:
        """The reverse. Raises ``VerificationError`` ``vault_tampered`` when it is none of ours."""
        try:
            members = json.loads(blob)
            if members["v"] != _VERSION:
                raise ValueError(members["v"])
            certificate = members["certificate"]
            return cls(
                judged_at=datetime.fromisoformat(members["judged_at"]),
                raw=_bytes(members["raw"]),
                certificate=None if certificate is None else _bytes(certificate),
                chain=tuple(_bytes(each) for each in members["chain"]),
                signatures=tuple(_bytes(each) for each in members["signatures"]),
                sources=tuple(_source(each) for each in members["sources"]),
            )
        except (ValueError, TypeError, KeyError) as e:
            raise error("vault_tampered", "expected a kept proof, the blob is another") from e


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _source_members(source: StatusSource) -> dict[str, Any]:
    members: dict[str, Any] = {"certificate": source.certificate, "sha256": source.sha256}
    if source.answer is not None:
        members["answer"] = _text(source.answer)
    if source.crl is not None:
        members["crl"] = {
            "issuer": source.crl.issuer,
            "scope": source.crl.scope,
            # Up to 160 bits: as text, so that no reader rounds it.
            "number": str(source.crl.number),
            "this_update": source.crl.this_update.isoformat(),
            "next_update": source.crl.next_update.isoformat(),
        }
    return members


def _source(members: Mapping[str, Any]) -> StatusSource:
    crl = members.get("crl")
    return StatusSource(
        certificate=members["certificate"],
        sha256=members["sha256"],
        answer=_bytes(members["answer"]) if "answer" in members else None,
        crl=None
        if crl is None
        else ListHead(
            issuer=crl["issuer"],
            scope=crl["scope"],
            number=int(crl["number"]),
            this_update=datetime.fromisoformat(crl["this_update"]),
            next_update=datetime.fromisoformat(crl["next_update"]),
        ),
    )
