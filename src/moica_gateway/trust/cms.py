"""What the value inside a CMS ``SignedData`` that a phone made has to cover (RFC 5652, 5.4).

Exactly one signer, by the certificate that came beside it, under the hash that was asked for. The
content inside, where there is one, has to be the one that was asked for; so has the digest among
the signed attributes. Whether the value verifies is asked of what comes out here.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final

from asn1crypto import cms, x509

from moica_gateway.domain.definite import is_definite
from moica_gateway.domain.values import Tbs

__all__ = ["unwrap"]

_RSA: Final = "rsassa_pkcs1v15"
_DATA: Final = "data"


def unwrap(signed: bytes, certificate: bytes, asked: Tbs) -> tuple[Tbs, bytes] | None:
    """The bytes that the key covers, and the bare value; None for a CMS that is not of this
    certificate, this hash and this content, whatever else it is.

    Args:
        signed: DER as it arrived.
        certificate: DER of the one that came beside it.
        asked: The content that was to be signed.
    """
    try:
        return _unwrapped(signed, certificate, asked)
    except Exception:  # noqa: BLE001 - whatever the library finds wrong, it is none of ours
        return None


def _unwrapped(signed: bytes, certificate: bytes, asked: Tbs) -> tuple[Tbs, bytes] | None:
    if not is_definite(signed):
        return None
    outer = cms.ContentInfo.load(signed, strict=True)
    if outer["content_type"].native != "signed_data":
        return None
    inside = outer["content"]["encap_content_info"]
    content = inside["content"].native
    if inside["content_type"].native != _DATA or content not in (None, asked.message):
        return None
    (signer,) = outer["content"]["signer_infos"]
    if not (_is_by(signer["sid"], certificate) and _is_under(signer, asked)):
        return None
    value = bytes(signer["signature"].native)
    if not signer["signed_attrs"]:
        return Tbs(message=asked.message, hash_algorithm=asked.hash_algorithm), value
    if not _attributes_fit(signer["signed_attrs"], asked):
        return None
    covered = signer["signed_attrs"].untag().dump()
    return Tbs(message=covered, hash_algorithm=asked.hash_algorithm), value


def _is_by(sid: Any, certificate: bytes) -> bool:
    holder = x509.Certificate.load(certificate)
    if sid.name == "issuer_and_serial_number":
        named = sid.chosen
        same: bool = (
            named["issuer"] == holder.issuer
            and named["serial_number"].native == holder.serial_number
        )
        return same
    return bool(holder.key_identifier) and bool(sid.native == holder.key_identifier)


def _is_under(signer: Any, asked: Tbs) -> bool:
    """Both places that name a hash name the one that was asked for."""
    named = signer["signature_algorithm"]
    hash_name = asked.hash_algorithm.value
    return (
        signer["digest_algorithm"]["algorithm"].native == hash_name
        and named.signature_algo == _RSA
        and named["algorithm"].native in (_RSA, f"{hash_name}_rsa")
    )


def _attributes_fit(attributes: Any, asked: Tbs) -> bool:
    """Exactly one type, of data, and exactly one digest, of what was asked for."""
    found: dict[str, list[Any]] = {}
    for attribute in attributes:
        values = [value.native for value in attribute["values"]]
        found.setdefault(str(attribute["type"].native), []).extend(values)
    digest = hashlib.new(asked.hash_algorithm.value, asked.message).digest()
    digests = found.get("message_digest", [])
    return (
        found.get("content_type") == [_DATA]
        and len(digests) == 1
        and hmac.compare_digest(digests[0], digest)
    )
