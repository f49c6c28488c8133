"""``cades``: detached CMS ``SignedData``, CAdES-B-B (ETSI EN 319 122-1, baseline B).

The key covers the DER of the signed attributes: content type, message digest, signing time,
ESS signing-certificate-v2 (RFC 5035) and content hints (RFC 2634) with the exact words that the
holder saw. So a document of any size is signed by its digest, and the bytes to be signed stay far
below the platform's limit. Timestamps and archive levels are not made here yet.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from asn1crypto import algos, cms, core, tsp, x509

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import error

__all__ = ["CadesFormat"]

_MAX_MESSAGE: Final = 768
_CONTENT_HINT: Final = "1.2.840.113549.1.9.16.2.4"
_NOT_FOR_PRODUCTION: Final = "（測試，無法律效力 NOT FOR PRODUCTION）"


class _ContentHints(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
    """RFC 2634, 2.9."""

    _fields = [  # noqa: RUF012 - the library's way to declare a sequence
        ("content_description", core.UTF8String, {"optional": True}),
        ("content_type", core.ObjectIdentifier),
    ]


class _ContentHintsSet(core.SetOf):  # type: ignore[misc]  # asn1crypto ships no types
    _child_spec = _ContentHints


class CadesFormat:
    """See the module."""

    name = "cades"
    levels: tuple[str, ...] = ("B-B",)
    needs_content = False

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        """The DER ``SET OF`` of the signed attributes (tag 0x31)."""
        digest = bytes.fromhex(document.sha256)
        if content is not None and hashlib.sha256(content).digest() != digest:
            raise error("document_digest_mismatch", "expected the content whose SHA-256 was given")
        if context.certificate is None:
            raise error(
                "credential_missing",
                "expected a registered certificate, CAdES names it inside what is signed",
            )
        message = _attributes(digest, context.certificate, context).dump()
        if len(message) > _MAX_MESSAGE:
            raise error(
                "document_too_large",
                f"expected signed attributes of at most {_MAX_MESSAGE} bytes, came "
                f"{len(message)}; the integrator shortens the document number",
            )
        return Prepared(message=Tbs(message=message), state=b"")

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        """Leaf and intermediates go in, so that the anchor alone completes the chain."""
        if context.certificate is None:
            raise error("credential_missing", "expected the signer's certificate")
        leaf = x509.Certificate.load(context.certificate)
        # Inside SignerInfo the tag is [0]; the bytes that were signed are kept as they are.
        attributes = cms.CMSAttributes.load(prepared.message.message)
        sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    name="issuer_and_serial_number",
                    value=cms.IssuerAndSerialNumber(
                        {"issuer": leaf.issuer, "serial_number": leaf.serial_number}
                    ),
                ),
                "digest_algorithm": sha256,
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_rsa"},
                "signature": signature,
            }
        )
        certificates = [leaf, *(x509.Certificate.load(c) for c in context.chain)]
        signed = cms.SignedData(
            {
                "version": "v1",
                "digest_algorithms": [sha256],
                "encap_content_info": {"content_type": "data"},
                "certificates": [
                    cms.CertificateChoices(name="certificate", value=c) for c in certificates
                ],
                "signer_infos": [signer],
            }
        )
        data = cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()
        return Artifact(
            data=data, media_type="application/pkcs7-signature", filename_extension=".p7s"
        )


def _attributes(digest: bytes, certificate: bytes, context: SignContext) -> Any:
    leaf = x509.Certificate.load(certificate)
    signing_certificate = tsp.SigningCertificateV2(
        {
            "certs": [
                tsp.ESSCertIDv2(
                    {
                        "hash_algorithm": {"algorithm": "sha256"},
                        "cert_hash": hashlib.sha256(certificate).digest(),
                        "issuer_serial": {
                            "issuer": [x509.GeneralName("directory_name", leaf.issuer)],
                            "serial_number": leaf.serial_number,
                        },
                    }
                )
            ]
        }
    )
    hint = context.hint
    if context.environment != "production":
        hint += _NOT_FOR_PRODUCTION
    at = context.at.replace(microsecond=0)
    # RFC 5652, 11.3: UTCTime ends with 2049.
    time = cms.Time({"utc_time" if at.year < 2050 else "generalized_time": at})
    hints = _ContentHintsSet(
        [_ContentHints({"content_description": hint, "content_type": "1.2.840.113549.1.7.1"})]
    )
    return cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [digest]}),
            cms.CMSAttribute({"type": "signing_time", "values": [time]}),
            cms.CMSAttribute({"type": "signing_certificate_v2", "values": [signing_certificate]}),
            # A type that the library does not know takes its values as they are encoded.
            cms.CMSAttribute({"type": _CONTENT_HINT, "values": cms.SetOfAny.load(hints.dump())}),
        ]
    )
