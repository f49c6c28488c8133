"""What a PDF says of its signatures: ours and foreign ones; nothing is believed.

Every signature with the bytes that it covers, the changes that stand behind it, its timestamps, and
the material of the document security store. Whether a value verifies and whom it belongs to is
decided elsewhere. Values without CMS (``adbe.x509.rsa_sha1``) are not read.
"""

from __future__ import annotations

from typing import Any, Final

from asn1crypto import cms, core
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades import cades_asn1
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from moica_gateway.domain.readings import FoundSignature, FoundTimestamp
from moica_gateway.domain.values import HashAlgorithm, Tbs
from moica_gateway.errors import GatewayError, error
from moica_gateway.formats.pades.opening import open_for_reading, readable
from moica_gateway.formats.pades.refusals import MAX_SIGNATURES
from moica_gateway.formats.pades.updates import faults_of

__all__ = ["level_of", "read", "timestamp_token"]

_CADES_ATTRIBUTES: Final = cades_asn1  # imported for what it registers
_WHO: Final = "the integrator sends the PDF as it was fetched"
_CONTENT_HINT: Final = "1.2.840.113549.1.9.16.2.4"
_SUBFILTERS: Final = frozenset(
    (SigSeedSubFilter.PADES.value, SigSeedSubFilter.ADOBE_PKCS7_DETACHED.value)
)
_RSA: Final = frozenset(("rsassa_pkcs1v15",))


def read(data: bytes) -> tuple[FoundSignature, ...]:
    """Every signature that is no document timestamp, in the order of their revisions.

    Raises:
        RequestError: ``artifact_unreadable``.
    """
    with readable("artifact_unreadable", _WHO):
        reader = open_for_reading(data)
        if "/Encrypt" in reader.trailer:
            raise _unreadable("it is encrypted")
        if reader.xrefs.hybrid_xrefs_present:
            raise _unreadable("its cross-references are hybrid, programs read them differently")
        signatures = reader.embedded_regular_signatures
        if not signatures:
            raise _unreadable("it has no signature")
        if len(reader.embedded_signatures) > MAX_SIGNATURES:
            raise _unreadable(f"it has more than {MAX_SIGNATURES} signatures")
        stamps = reader.embedded_timestamp_signatures
        return tuple(_found(reader, data, one, stamps) for one in signatures)


def level_of(reader: PdfFileReader) -> str:
    """Of the last signature, by what is there. Call inside `opening.readable`."""
    return _level(reader, reader.embedded_regular_signatures[-1])


def timestamp_token(signature: EmbeddedPdfSignature) -> bytes | None:
    """Over the signature's value, DER; the first where there are several."""
    for attribute in signature.signer_info["unsigned_attrs"] or ():
        if attribute["type"].native == "signature_time_stamp_token":
            return bytes(attribute["values"][0].dump())
    return None


def _found(
    reader: PdfFileReader,
    data: bytes,
    one: EmbeddedPdfSignature,
    stamps: list[EmbeddedPdfSignature],
) -> FoundSignature:
    signer = one.signer_info
    attributes = signer["signed_attrs"]
    covered = _covered(data, one)
    hash_algorithm, algorithm_fault = _algorithm(signer)
    # Without signed attributes the value stands over the bytes themselves (RFC 5652, 5.4).
    message = attributes.untag().dump() if attributes.native is not None else covered
    faults = list(_faults(one))
    if algorithm_fault:
        faults.append(algorithm_fault)
    if _entry(one, "/SubFilter") not in _SUBFILTERS:
        faults.append("its /SubFilter is none of the detached CMS ones")
    value = bytes(signer["signature"].native)
    token = timestamp_token(one)
    timestamps = [] if token is None else [FoundTimestamp(token=token, covers=value)]
    timestamps += [
        FoundTimestamp(
            token=_trimmed(stamp.pkcs7_content), covers=_covered(data, stamp), archive=True
        )
        for stamp in stamps
        if stamp.signed_revision > one.signed_revision
    ]
    store = _store(reader)
    return FoundSignature(
        format="pades",
        name=str(one.field_name),
        certificate=bytes(one.signer_cert.dump()),
        chain=tuple(bytes(c.dump()) for c in one.other_embedded_certs),
        message=Tbs(message=message, hash_algorithm=hash_algorithm),
        signature=value,
        covers=_in_words(reader, data, one),
        content_matches=_matches(one),
        problems=tuple(faults),
        claimed_at=one.self_reported_timestamp,
        hint=_hint(one),
        level=_level(reader, one),
        timestamps=tuple(timestamps),
        revocation_lists=_streams(store.crls) if store else (),
        status_answers=_streams(store.ocsps) if store else (),
    )


def _faults(one: EmbeddedPdfSignature) -> tuple[str, ...]:
    faults = faults_of(one)
    if len(one.signed_data["signer_infos"]) != 1:
        faults = (*faults, "its CMS has not exactly one signer")
    return faults


def _matches(one: EmbeddedPdfSignature) -> bool | None:
    """Whether the digest inside is that of the covered bytes; None where none is inside."""
    for attribute in one.signer_info["signed_attrs"] or ():
        if attribute["type"].native == "message_digest":
            return bool(attribute["values"][0].native == one.compute_digest())
    return None


def _algorithm(signer: Any) -> tuple[HashAlgorithm, str | None]:
    named = signer["signature_algorithm"]
    try:
        kind, digest = named.signature_algo, signer["digest_algorithm"]["algorithm"].native
        found = HashAlgorithm(digest)
    except ValueError:
        return HashAlgorithm.SHA256, "its algorithms are none that are known here"
    if kind not in _RSA:
        return found, f"its value is {kind}, only RSA with PKCS#1 v1.5 is read"
    if named["algorithm"].native not in (kind, f"{digest}_rsa"):
        return found, "its two digest algorithms are not the same"
    return found, None


def _covered(data: bytes, one: EmbeddedPdfSignature) -> bytes:
    first, length, second, rest = (int(n) for n in one.byte_range)
    return data[first : first + length] + data[second : second + rest]


def _in_words(reader: PdfFileReader, data: bytes, one: EmbeddedPdfSignature) -> str:
    first, length, second, rest = (int(n) for n in one.byte_range)
    return (
        f"bytes {first} to {first + length - 1} and {second} to {second + rest - 1} of "
        f"{len(data)}: revision {one.signed_revision + 1} of {reader.total_revisions} of the "
        "document, all but the signature itself"
    )


def _hint(one: EmbeddedPdfSignature) -> str | None:
    for attribute in one.signer_info["signed_attrs"] or ():
        if attribute["type"].dotted == _CONTENT_HINT:
            first = attribute["values"][0].parse(spec=core.Sequence)[0]
            return str(first.native) if isinstance(first, core.UTF8String) else None
    reason = _entry(one, "/Reason")
    return str(reason) if reason is not None else None


def _entry(one: EmbeddedPdfSignature, key: str) -> Any:
    if key not in one.sig_object:
        return None
    # Not `get`, which leaves a reference as it is.
    return one.sig_object[key]


def _level(reader: PdfFileReader, one: EmbeddedPdfSignature) -> str:
    if timestamp_token(one) is None:
        return "B-B"
    store = _store(reader)
    if store is None or not store.certs or not (store.crls or store.ocsps):
        return "B-T"
    stamped = any(
        stamp.signed_revision > one.signed_revision
        for stamp in reader.embedded_timestamp_signatures
    )
    return "B-LTA" if stamped else "B-LT"


def _store(reader: PdfFileReader) -> DocumentSecurityStore | None:
    try:
        return DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        return None


def _streams(references: Any) -> tuple[bytes, ...]:
    return tuple(bytes(reference.get_object().data) for reference in references)


def _trimmed(content: bytes) -> bytes:
    """Without the zeros behind the DER, which fill up the room."""
    return bytes(cms.ContentInfo.load(content).dump())


def _unreadable(why: str) -> GatewayError:
    return error("artifact_unreadable", f"expected a signed PDF, {why}; {_WHO}")
