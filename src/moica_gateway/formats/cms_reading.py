"""What a CMS ``SignedData`` (``.p7s``) says of its signatures: ours and foreign ones.

Nothing is believed: whether a value verifies, and whom it belongs to, is decided elsewhere. DER
only, detached or not; what is written otherwise is refused, since it could be read in two ways.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from asn1crypto import cms, core, tsp, x509

from moica_gateway.domain.definite import is_definite
from moica_gateway.domain.readings import FoundSignature, FoundTimestamp, GivenContent
from moica_gateway.domain.values import HashAlgorithm, Tbs
from moica_gateway.errors import GatewayError, error

__all__ = ["CadesReader"]

_CONTENT_HINT: Final = "1.2.840.113549.1.9.16.2.4"
_SIGNED_DATA: Final = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
_MAX_SIGNERS: Final = 50
_RSA: Final = "rsassa_pkcs1v15"
_WHO: Final = "the integrator sends the signed file as it was fetched"


class CadesReader:
    """Implements `ports.SignatureReader`."""

    name = "cades"

    def recognises(self, data: bytes) -> bool:
        """A ``SEQUENCE`` that begins with the type ``signedData``."""
        return data[:1] == b"\x30" and _SIGNED_DATA in data[:24]

    def read(self, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """See the port."""
        try:
            return tuple(_read(data, given))
        except GatewayError:
            raise
        except Exception as e:
            raise _unreadable(f"what cannot be read ({type(e).__name__})") from e


def _unreadable(came: str) -> GatewayError:
    return error("artifact_unreadable", f"expected a CMS SignedData in DER, came {came}; {_WHO}")


def _read(data: bytes, given: GivenContent) -> Iterator[FoundSignature]:
    if not is_definite(data):
        raise _unreadable("another encoding of one")
    outer = cms.ContentInfo.load(data, strict=True)
    if outer["content_type"].native != "signed_data":
        raise _unreadable("another type of CMS")
    signed = outer["content"]
    signers = list(signed["signer_infos"])
    if not 1 <= len(signers) <= _MAX_SIGNERS:
        raise _unreadable(f"one with {len(signers)} signers")
    inside = signed["encap_content_info"]["content"]
    content = given.content if inside.native is None else bytes(inside.native)
    problems = []
    if inside.native is not None and given.content not in (None, content):
        problems.append("it holds another content than the one that was given")
    certificates = [
        choice.chosen for choice in signed["certificates"] if choice.name == "certificate"
    ]
    for number, signer in enumerate(signers, 1):
        yield _found(signer, number, certificates, content, given, tuple(problems))


def _found(
    signer: Any,
    number: int,
    certificates: list[x509.Certificate],
    content: bytes | None,
    given: GivenContent,
    problems: tuple[str, ...],
) -> FoundSignature:
    certificate = _certificate(signer, certificates)
    algorithm, faults = _algorithm(signer)
    attributes = _by_type(signer["signed_attrs"])
    if not attributes:
        raise _unreadable("a signature without signed attributes")
    der = certificate.dump()
    faults += _attribute_faults(attributes, der)
    stamps = _timestamps(signer)
    bound = "signing_certificate_v2" in attributes or "signing_certificate" in attributes
    return FoundSignature(
        format="cades",
        name=f"signer {number}",
        certificate=der,
        chain=tuple(other.dump() for other in certificates if other.dump() != der),
        message=Tbs(message=signer["signed_attrs"].untag().dump(), hash_algorithm=algorithm),
        signature=bytes(signer["signature"].native),
        covers="the whole content, by its digest among the signed attributes",
        content_matches=_matches(attributes, algorithm, content, given),
        problems=(*problems, *faults),
        claimed_at=_claimed(attributes),
        hint=_hint(attributes),
        level=("B-T" if stamps else "B-B") if bound else None,
        timestamps=stamps,
    )


def _certificate(signer: Any, certificates: list[x509.Certificate]) -> x509.Certificate:
    sid = signer["sid"]
    for certificate in certificates:
        if sid.name == "issuer_and_serial_number":
            wanted = sid.chosen
            if (
                certificate.issuer == wanted["issuer"]
                and certificate.serial_number == wanted["serial_number"].native
            ):
                return certificate
        elif certificate.key_identifier == sid.native:
            return certificate
    raise _unreadable("one without its signer's certificate")


def _algorithm(signer: Any) -> tuple[HashAlgorithm, tuple[str, ...]]:
    named = signer["signature_algorithm"]
    digest = signer["digest_algorithm"]["algorithm"].native
    try:
        found = HashAlgorithm(digest)
    except ValueError:
        return HashAlgorithm.SHA256, (f"its digest is {str(digest)[:30]}, which is not known here",)
    if named.signature_algo != _RSA:
        return found, ("its value is no RSA with PKCS#1 v1.5, nothing else is read",)
    if named["algorithm"].native not in (_RSA, f"{digest}_rsa"):
        return found, ("its two digest algorithms are not the same",)
    if found is HashAlgorithm.SHA1:
        return found, ("it is made with SHA-1, which proves nothing any more",)
    return found, ()


def _by_type(attributes: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for attribute in attributes or ():
        found.setdefault(str(attribute["type"].native), []).extend(attribute["values"])
    return found


def _attribute_faults(attributes: dict[str, list[Any]], certificate: bytes) -> tuple[str, ...]:
    faults = []
    for needed in ("content_type", "message_digest"):
        if len(attributes.get(needed, ())) != 1:
            faults.append(f"it has not exactly one {needed} among what is signed")
    for value in attributes.get("signing_certificate_v2", ()):
        if not _names(value, certificate):
            faults.append("what is signed names another certificate")
    for value in attributes.get("signing_certificate", ()):
        first = value["certs"][0]["cert_hash"].native
        if not hmac.compare_digest(
            first, hashlib.sha1(certificate, usedforsecurity=False).digest()
        ):
            faults.append("what is signed names another certificate")
    return tuple(faults)


def _names(value: tsp.SigningCertificateV2, certificate: bytes) -> bool:
    first = value["certs"][0]
    digest = hashlib.new(first["hash_algorithm"]["algorithm"].native, certificate).digest()
    return hmac.compare_digest(first["cert_hash"].native, digest)


def _matches(
    attributes: dict[str, list[Any]],
    algorithm: HashAlgorithm,
    content: bytes | None,
    given: GivenContent,
) -> bool | None:
    inside = [value.native for value in attributes.get("message_digest", ())]
    if len(inside) != 1:
        return False
    if content is not None:
        found = hashlib.new(algorithm.value, content).digest() == inside[0]
        return found and given.sha256 in (None, hashlib.sha256(content).digest())
    if given.sha256 is not None and algorithm is HashAlgorithm.SHA256:
        return bool(given.sha256 == inside[0])
    return None


def _claimed(attributes: dict[str, list[Any]]) -> datetime | None:
    for value in attributes.get("signing_time", ()):
        found = value.native
        return found if isinstance(found, datetime) else None
    return None


def _hint(attributes: dict[str, list[Any]]) -> str | None:
    for value in attributes.get(_CONTENT_HINT, ()):
        first = value.parse(spec=core.Sequence)[0]
        return str(first.native) if isinstance(first, core.UTF8String) else None
    return None


def _timestamps(signer: Any) -> tuple[FoundTimestamp, ...]:
    found = _by_type(signer["unsigned_attrs"]).get("signature_time_stamp_token", ())
    value = bytes(signer["signature"].native)
    return tuple(FoundTimestamp(token=each.dump(), covers=value) for each in found)
