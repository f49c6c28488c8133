"""CMS ``SignedData`` around signed attributes whose value comes from elsewhere (RFC 5652)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asn1crypto import algos, cms, x509

from moica_gateway.domain.models import SignContext
from moica_gateway.errors import GatewayError, error

__all__ = ["certificate_of", "readable_certificates", "signed_data"]


def certificate_of(context: SignContext) -> bytes:
    """Of the signer, DER. Raises ``HolderCertificateError`` ``credential_missing``."""
    if context.certificate is None:
        raise error(
            "credential_missing",
            "expected a registered certificate, its name stands inside what is signed",
        )
    return context.certificate


@contextmanager
def readable_certificates() -> Iterator[None]:
    """Nothing of asn1crypto's escapes; what it cannot read here is always a certificate."""
    try:
        yield
    except GatewayError:
        raise
    except Exception as e:
        raise error(
            "certificate_malformed",
            f"expected DER certificates of signer and chain, came {type(e).__name__}",
        ) from e


def signed_data(
    message: bytes, signature: bytes, certificate: bytes, chain: tuple[bytes, ...]
) -> bytes:
    """A detached one, DER, with leaf and intermediates.

    Args:
        message: The signed attributes as they were signed (tag 0x31).
        signature: RSASSA-PKCS1-v1_5 with SHA-256 over them.
        certificate: The signer's, DER.
        chain: From its issuer up, DER.

    Raises:
        ValueError: or what else asn1crypto makes of a certificate; call inside
            `readable_certificates`.
    """
    leaf = x509.Certificate.load(certificate, strict=True)
    certificates = [leaf, *(x509.Certificate.load(c, strict=True) for c in chain)]
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
            # Only the tag becomes [0]; the bytes that were signed stay as they are.
            "signed_attrs": cms.CMSAttributes.load(message, strict=True),
            "signature_algorithm": {"algorithm": "sha256_rsa"},
            "signature": signature,
        }
    )
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
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump())
