"""Anchors and intermediates, from files that the operator names. Never the system's own list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from moica_gateway.errors import GatewayError, error

__all__ = ["TrustAnchors", "load_certificates", "refuse_simulator_ca", "require_pinned"]

_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der"})
_SIMULATOR_UNIT: Final = "NOT FOR PRODUCTION"
_MAX_FILE: Final = 1_048_576


def _invalid(detail: str) -> GatewayError:
    return error("configuration_invalid", detail)


@frozen
class TrustAnchors:
    """Roots and intermediates as DER.

    Raises:
        ConfigurationError: when there is no root, or one is not self-signed.
    """

    roots: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not self.roots:
            raise _invalid("trust: expected at least one anchor, came none; nothing is trusted")
        for der in self.roots:
            certificate = x509.load_der_x509_certificate(der)
            try:
                certificate.verify_directly_issued_by(certificate)
            except (ValueError, TypeError, InvalidSignature) as e:
                raise _invalid(
                    "trust.anchors: expected self-signed roots, came one that is issued by "
                    "another; intermediates belong in trust.intermediates"
                ) from e


def load_certificates(paths: Iterable[Path]) -> tuple[bytes, ...]:
    """DER of every certificate in the files, and in the certificate files of the folders.

    Raises:
        ConfigurationError: naming the file that is missing or unreadable.
    """
    found: list[bytes] = []
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
        else:
            files = [path]
        for file in files:
            found += _load_file(file)
    return tuple(dict.fromkeys(found))


def _load_file(file: Path) -> Sequence[bytes]:
    try:
        if file.stat().st_size > _MAX_FILE:
            raise _invalid(f"trust: expected certificates, {file} has more than 1 MiB")
        data = file.read_bytes()
        certificates = (
            x509.load_pem_x509_certificates(data)
            if b"-----BEGIN" in data
            else [x509.load_der_x509_certificate(data)]
        )
    except (OSError, ValueError) as e:
        raise _invalid(
            f"trust: expected a PEM or DER certificate in {file}, came {type(e).__name__}"
        ) from e
    return [c.public_bytes(Encoding.DER) for c in certificates]


def refuse_simulator_ca(certificates: Iterable[bytes]) -> None:
    """Security rule 13: no certificate of a simulator outside the simulator environment.

    Raises:
        ConfigurationError: when a subject or issuer bears ``OU=NOT FOR PRODUCTION``.
    """
    for der in certificates:
        certificate = x509.load_der_x509_certificate(der)
        for name in (certificate.subject, certificate.issuer):
            units = name.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
            if any(_SIMULATOR_UNIT in str(unit.value).upper() for unit in units):
                raise _invalid(
                    "trust: expected certificates of the government, came one of the simulator "
                    "(OU=NOT FOR PRODUCTION); it works with `environment = simulator` only"
                )


def require_pinned(roots: Iterable[bytes], fingerprints: Iterable[str]) -> None:
    """Security rule 13: every anchor's SHA-256 fingerprint is in the settings.

    Raises:
        ConfigurationError: naming the fingerprint that is not.
    """
    pinned = {f.replace(":", "").strip().lower() for f in fingerprints}
    for der in roots:
        found = x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()
        if found not in pinned:
            raise _invalid(
                f"trust.anchors: expected only pinned roots, came one with SHA-256 {found}; if it "
                "is the government's, add it to trust.pinned_anchor_fingerprints"
            )
