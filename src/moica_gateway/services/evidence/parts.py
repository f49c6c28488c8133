"""Which files evidence consists of, from what was read of the store. Pure.

A file's name is made of numbers only; what a document system named stands inside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from attrs import field, frozen

from moica_gateway.domain.models import Challenge, Document, Kind, Prepared, Transaction
from moica_gateway.domain.revocation_lists import StatusSource
from moica_gateway.services.evidence.archive import json_file
from moica_gateway.services.proofs import KeptProof

__all__ = ["Found", "about", "files_of", "local_time"]

_EXTENSIONS: Final = {
    "application/octet-stream": "sig",
    "application/pdf": "pdf",
    "application/pkcs7-mime": "p7m",
    "application/pkcs7-signature": "p7s",
}


@frozen(kw_only=True)
class Found:
    """What was read of one transaction.

    Attributes:
        prepared: By the document's place; what the key had to cover.
        artifacts: By the document's place.
        proofs: By ticket; those of tickets that were approved.
        shown: By ticket; the platform's answer as evidence may show it.
        lists: CRLs by their SHA-256, those that are still kept.
        audit: Lines.
    """

    transaction: Transaction
    environment: str
    prepared: Mapping[int, Prepared] = field(repr=False)
    artifacts: Mapping[int, bytes] = field(repr=False)
    proofs: Mapping[int, KeptProof] = field(repr=False)
    shown: Mapping[int, bytes] = field(repr=False)
    lists: Mapping[str, bytes] = field(repr=False)
    audit: Sequence[str] = field(repr=False)


def local_time(at: datetime | None) -> str | None:
    """RFC 3339, UTC."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds")


def about(found: Found) -> dict[str, Any]:
    """Of what the evidence is."""
    transaction = found.transaction
    return {
        "environment": found.environment,
        "tenant": transaction.tenant,
        "transaction": transaction.id,
        "kind": transaction.kind.value,
        "status": transaction.status.value,
    }


def files_of(found: Found) -> dict[str, bytes]:
    """By name, without page and manifest."""
    files: dict[str, bytes] = {
        "transaction.json": json_file(_transaction(found)),
        "audit.jsonl": "".join(f"{line}\n" for line in found.audit).encode(),
    }
    for place, document in enumerate(found.transaction.documents):
        files.update(_document_files(found, place, document))
    for ticket, proof in found.proofs.items():
        files.update(_ticket_files(found, ticket, proof))
    return files


def _document_files(found: Found, place: int, document: Document) -> Iterator[tuple[str, bytes]]:
    folder = f"documents/{place + 1}"
    if place in found.prepared:
        yield f"{folder}/to-be-signed.bin", found.prepared[place].message.message
    if place in found.artifacts:
        extension = _EXTENSIONS.get(document.artifact_media_type or "", "bin")
        yield f"{folder}/signed.{extension}", found.artifacts[place]
    signature = _signature_of(found, document)
    if signature is not None:
        yield f"{folder}/signature.bin", signature


def _signature_of(found: Found, document: Document) -> bytes | None:
    """The value that the phone gave for it."""
    proof = found.proofs.get(document.ticket)
    if proof is None or not proof.signatures:
        return None
    together = found.transaction.documents_of(document.ticket)
    return proof.signatures[together.index(document)]


def _ticket_files(found: Found, ticket: int, proof: KeptProof) -> Iterator[tuple[str, bytes]]:
    folder = f"answers/{ticket + 1}"
    yield f"{folder}/answer.txt", found.shown[ticket]
    if proof.certificate is not None:
        yield f"{folder}/certificate.cer", proof.certificate
    for number, issuer in enumerate(proof.chain, 1):
        yield f"{folder}/issuer-{number}.cer", issuer
    yield (
        f"{folder}/judged.json",
        json_file(
            {
                "judged_at": local_time(proof.judged_at),
                "answer_sha256": hashlib.sha256(proof.raw).hexdigest(),
                "answer_note": "answer.txt shows the platform's answer without what finds the "
                "person; the SHA-256 is of the answer as it came",
                "not_revoked_by": [_source(found, each) for each in proof.sources],
            }
        ),
    )
    for source in proof.sources:
        if source.answer is not None:
            yield f"revocation/{source.sha256}.ocsp", source.answer
        elif source.sha256 in found.lists:
            yield f"revocation/{source.sha256}.crl", found.lists[source.sha256]


def _source(found: Found, source: StatusSource) -> dict[str, Any]:
    members: dict[str, Any] = {"certificate_sha256": source.certificate, "sha256": source.sha256}
    if source.crl is None:
        return {**members, "by": "ocsp", "file": f"revocation/{source.sha256}.ocsp"}
    members.update(
        by="crl",
        number=str(source.crl.number),
        this_update=local_time(source.crl.this_update),
        next_update=local_time(source.crl.next_update),
    )
    if source.crl.scope:
        members["address"] = source.crl.scope
    if source.sha256 in found.lists:
        return {**members, "file": f"revocation/{source.sha256}.crl"}
    return {**members, "note": "a newer list took its place; the authority's archive has it"}


def _transaction(found: Found) -> dict[str, Any]:
    transaction = found.transaction
    behalf, signature, error = transaction.on_behalf_of, transaction.signature, transaction.error
    return {
        **about(found),
        "version": transaction.version,
        "created_at": local_time(transaction.created_at),
        "expires_at": local_time(transaction.expires_at),
        "ended_at": local_time(transaction.ended_at),
        "user_id": transaction.user_id,
        "on_behalf_of": behalf and {"user_id": behalf.user_id, "reason": behalf.reason},
        "shown_to_the_holder": transaction.hint,
        "match_code": transaction.match_code,
        "time_limit": transaction.time_limit,
        "format": transaction.format,
        "level": transaction.level,
        "assurance": transaction.assurance,
        "partial": transaction.partial,
        "metadata": dict(transaction.metadata),
        "documents": [_document(transaction, d) for d in transaction.documents],
        "challenges": [_challenge(each) for each in transaction.challenges],
        "error": error and error.to_json(),
        "report": signature
        and [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in signature.report],
        "signed_at": signature and local_time(signature.signed_at),
    }


def _document(transaction: Transaction, document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        # What is signed to register or to authenticate is a statement of the gateway's.
        "statement": transaction.kind is not Kind.SIGNATURE,
        "number": document.number,
        "version": document.version,
        "title": document.title,
        "media_type": document.media_type,
        "sha256": document.sha256,
        "status": document.status.value if document.status else None,
        "ticket": document.ticket + 1,
    }


def _challenge(challenge: Challenge) -> dict[str, Any]:
    return {
        "id": challenge.id,
        "channel": challenge.channel.value,
        "status": challenge.status.value,
        "ticket": challenge.ticket + 1,
        "created_at": local_time(challenge.created_at),
        "expires_at": local_time(challenge.expires_at),
        "upstream_transaction_id": challenge.upstream_transaction_id,
        "error": challenge.problem and challenge.problem.to_json(),
    }
