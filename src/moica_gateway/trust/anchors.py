"""Anchors and intermediates, from files that the operator names. Never the system's own list.

Which of them an environment permits is decided here, too (security rule 13): a simulator's
certificates nowhere else, and in production only roots whose fingerprints are pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from moica_gateway.errors import GatewayError, error

__all__ = [
    "TrustAnchors",
    "load_certificates",
    "refuse_simulator_ca",
    "require_pinned",
    "sort_authorities",
]

_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der"})
_SIMULATOR_UNIT: Final = "NOT FOR PRODUCTION"
_MAX_FILE: Final = 1_048_576


def _invalid(detail: str) -> GatewayError:
    return error("configuration_invalid", detail)


@frozen
class TrustAnchors:
    """Roots and intermediates as DER.

    Raises:
        ConfigurationError: when there is no root, one is not a self-signed authority, or anything
            is no certificate.
    """

    roots: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not self.roots:
            raise _invalid("trust: expected at least one anchor, came none; nothing is trusted")
        for der in self.roots:
            if not _is_root(_parse(der)):
                raise _invalid(
                    "trust.anchors: expected self-signed roots, came a certificate that is issued "
                    "by another or is no authority's; intermediates belong in trust.intermediates"
                )
        for der in self.intermediates:
            if not _is_authority(_parse(der)):
                raise _invalid(
                    "trust.intermediates: expected certificates of authorities, came another"
                )


def _parse(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as e:
        raise _invalid(f"trust: expected a DER certificate, came {type(e).__name__}") from e


def _is_root(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except Exception:  # noqa: BLE001 - whatever the library finds wrong, it is no root
        return False
    return _is_authority(certificate)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def sort_authorities(anchors: Iterable[bytes], intermediates: Iterable[bytes] = ()) -> TrustAnchors:
    """Anchors from what was offered as anchors, so that one folder may hold a whole hierarchy.

    Who signed itself is an anchor; an authority that another issued is used as an intermediate, and
    never trusted for itself, wherever it was offered. What was offered as an intermediate never
    becomes an anchor.

    Args:
        anchors: DER, as `load_certificates` gives it.
        intermediates: DER.

    Raises:
        ConfigurationError: when no anchor is left, or something is no authority's.
    """
    offered = tuple(anchors)
    parsed = {der: _parse(der) for der in offered}
    for certificate in parsed.values():
        if not _is_authority(certificate):
            raise _invalid(
                "trust.anchors: expected certificates of authorities, came another; holders' "
                "certificates are registered, not configured"
            )
    roots = tuple(der for der in offered if _is_root(parsed[der]))
    if offered and not roots:
        raise _invalid(
            "trust.anchors: expected at least one self-signed root, came only certificates that "
            "others issued; the operator adds the government's root"
        )
    given = (*intermediates, *(der for der in offered if der not in roots))
    return TrustAnchors(roots, tuple(der for der in dict.fromkeys(given) if der not in roots))


def load_certificates(paths: Iterable[Path]) -> tuple[bytes, ...]:
    """DER of every certificate in the files, and in the certificate files of the folders.

    Args:
        paths: Files in PEM (any number of certificates) or DER; folders are read by suffix (pem,
            crt, cer, der), without the folders in them.

    Raises:
        ConfigurationError: naming the file that is missing or unreadable.
    """
    found: list[bytes] = []
    for path in paths:
        for file in _files(path):
            found += _load_file(file)
    return tuple(dict.fromkeys(found))


def _files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        return sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())
    except (OSError, ValueError) as e:
        raise _invalid(f"trust: cannot read the folder {path} ({type(e).__name__})") from e


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
    except GatewayError:
        raise
    except Exception as e:
        # OSError, ValueError, and x509.InvalidVersion, which is neither.
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
        certificate = _parse(der)
        for name in (certificate.subject, certificate.issuer):
            units = name.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
            if any(_SIMULATOR_UNIT in str(unit.value).upper() for unit in units):
                raise _invalid(
                    "trust: expected certificates of the government, came one of the simulator "
                    "(OU=NOT FOR PRODUCTION); it works with `environment = simulator` only"
                )


def require_pinned(roots: Iterable[bytes], fingerprints: Iterable[str]) -> None:
    """Security rule 13: every anchor's SHA-256 fingerprint is in the settings.

    Args:
        roots: DER.
        fingerprints: Hexadecimal, with or without colons.

    Raises:
        ConfigurationError: naming the fingerprint that is not.
    """
    pinned = {f.replace(":", "").strip().lower() for f in fingerprints}
    for der in roots:
        found = _parse(der).fingerprint(hashes.SHA256()).hex()
        if found not in pinned:
            raise _invalid(
                f"trust.anchors: expected only pinned roots, came one with SHA-256 {found}; if it "
                "is the government's, add it to trust.pinned_anchor_fingerprints"
            )
