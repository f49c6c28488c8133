"""Anchors from files, and what each environment refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from moica_gateway.errors import ConfigurationError
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.trust import (
    TrustAnchors,
    load_certificates,
    refuse_simulator_ca,
    require_pinned,
    sort_authorities,
)

PKI = MemoryPki()
SIMULATED = MemoryPki(name="s", marked=True)
_VERSION = bytes.fromhex("a003020102")


def pem(der: bytes) -> bytes:
    """As an operator's file has it."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def fingerprint(der: bytes) -> str:
    """Hexadecimal."""
    return x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()


def test_an_issuing_authoritys_file_is_an_intermediate_and_no_anchor(tmp_path: Path) -> None:
    """It is issued by the root, as MOICA-G3 is by the government's."""
    (tmp_path / "issuer.cer").write_bytes(PKI.issuer)
    (issuer,) = load_certificates([tmp_path / "issuer.cer"])
    TrustAnchors((PKI.root,), (issuer,))
    with pytest.raises(ConfigurationError, match="intermediates"):
        TrustAnchors((issuer,))


def test_pem_der_bundles_and_folders_are_read(tmp_path: Path) -> None:
    """By suffix, in the order of names, each certificate once."""
    (tmp_path / "a.pem").write_bytes(b"# root\n" + pem(PKI.root) + pem(PKI.issuer))
    (tmp_path / "b.CRT").write_bytes(PKI.issuer)
    (tmp_path / "c.der").write_bytes(SIMULATED.root)
    (tmp_path / "readme.txt").write_text("not a certificate")
    (tmp_path / "folder.pem").mkdir()
    assert load_certificates([tmp_path]) == (PKI.root, PKI.issuer, SIMULATED.root)
    assert load_certificates([tmp_path / "b.CRT"]) == (PKI.issuer,)
    assert load_certificates([]) == ()


BROKEN: list[tuple[str, bytes | None]] = [
    ("missing", None),
    ("empty", b""),
    ("text", b"hello"),
    ("cut short", PKI.root[:-1]),
    ("broken PEM", pem(PKI.root)[:-40]),
    ("of an unknown version", PKI.root.replace(_VERSION, _VERSION[:-1] + b"\x09")),
    ("too large", bytes(1_048_577)),
]


@pytest.mark.parametrize("data", [b[1] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes | None) -> None:
    """Nothing is skipped silently, nothing foreign escapes."""
    file = tmp_path / "anchor.pem"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigurationError) as raised:
        load_certificates([file])
    assert raised.value.code == "configuration_invalid"
    assert "anchor.pem" in raised.value.problem.detail


NO_ANCHORS: list[tuple[str, tuple[bytes, ...], tuple[bytes, ...]]] = [
    ("none", (), ()),
    ("none but intermediates", (), (PKI.issuer,)),
    ("an intermediate", (PKI.issuer,), ()),
    ("a holder's", (PKI.holder(),), ()),
    ("self-signed, no authority", (MemoryPki(name="n", root_is_authority=False).root,), ()),
    ("one of two", (PKI.root, PKI.issuer), ()),
    ("no certificate", (b"junk",), ()),
    ("no certificate as an intermediate", (PKI.root,), (b"junk",)),
    ("a holder's as an intermediate", (PKI.root,), (PKI.holder(),)),
]


@pytest.mark.parametrize(
    ("roots", "intermediates"), [n[1:] for n in NO_ANCHORS], ids=[n[0] for n in NO_ANCHORS]
)
def test_without_good_anchors_nothing_starts(
    roots: tuple[bytes, ...], intermediates: tuple[bytes, ...]
) -> None:
    """An error, and never trust in the system's list."""
    with pytest.raises(ConfigurationError) as raised:
        TrustAnchors(roots, intermediates)
    assert raised.value.code == "configuration_invalid"


def test_a_root_whose_signature_is_not_its_own_is_refused() -> None:
    """Self-issued by name is not enough."""
    forged = PKI.root[:-1] + bytes([PKI.root[-1] ^ 1])
    with pytest.raises(ConfigurationError):
        TrustAnchors((forged,))


def test_the_simulators_authority_is_refused() -> None:
    """Its mark in subject or issuer."""
    refuse_simulator_ca((PKI.root, PKI.issuer))
    for certificate in (SIMULATED.root, SIMULATED.issuer):
        with pytest.raises(ConfigurationError, match="NOT FOR PRODUCTION"):
            refuse_simulator_ca((PKI.root, certificate))


def test_production_wants_every_root_pinned() -> None:
    """Colons and case do not matter; one that is not named is, by its fingerprint."""
    pin = fingerprint(PKI.root)
    colons = ":".join(pin[i : i + 2] for i in range(0, 64, 2)).upper()
    require_pinned((PKI.root,), [colons])
    for pins in ([], ["00" * 32], [pin[:-1]]):
        with pytest.raises(ConfigurationError, match=pin):
            require_pinned((PKI.root,), pins)
    with pytest.raises(ConfigurationError, match=fingerprint(SIMULATED.root)):
        require_pinned((PKI.root, SIMULATED.root), [pin])


def test_one_folder_may_hold_a_whole_hierarchy() -> None:
    """Who signed itself is an anchor, who was issued by another never is, wherever it lies."""
    found = sort_authorities((PKI.issuer, PKI.root, SIMULATED.root))
    assert found == TrustAnchors((PKI.root, SIMULATED.root), (PKI.issuer,))
    assert sort_authorities((PKI.root,), (PKI.issuer, PKI.root)) == TrustAnchors(
        (PKI.root,), (PKI.issuer,)
    )
    with pytest.raises(ConfigurationError, match="self-signed root"):
        sort_authorities((PKI.issuer,))
    with pytest.raises(ConfigurationError, match="at least one anchor"):
        sort_authorities((), (PKI.root,))
    with pytest.raises(ConfigurationError, match="certificates of authorities"):
        sort_authorities((PKI.root, PKI.holder()))
    with pytest.raises(ConfigurationError, match="certificates of authorities"):
        sort_authorities((PKI.root,), (PKI.holder(),))
