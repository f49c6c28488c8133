"""``verify``: a signed file checked offline, by nothing but what the operator hands over."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from moica_gateway.cli import main
from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.values import DocumentId
from moica_gateway.formats import CadesFormat
from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki()
CONTENT = "檢送本校資訊安全教育訓練實施計畫\r\n".encode()
AT = PKI.at.isoformat()


def signed(**holder: Any) -> bytes:
    """A ``.p7s``."""
    context = SignContext(hint="h", at=PKI.at, certificate=PKI.holder(**holder), chain=())
    document = Document(
        id=DocumentId("d"), number="1153000165", sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    prepared = CadesFormat().prepare(document, None, context)
    value = PKI.sign(prepared.message.message)
    return CadesFormat().finish(prepared, value, context).data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A signature, its content, roots and lists."""
    issuer = x509.load_der_x509_certificate(PKI.issuer).public_bytes(Encoding.PEM)
    for name, data in {
        "signed.p7s": signed(),
        "content": CONTENT,
        "roots.pem": PKI.root_pem + issuer,
        "issuer.crl": PKI.crl(),
        "root.crl": PKI.root_crl(),
    }.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def verify(folder: Path, *more: str, file: str = "signed.p7s", lists: bool = True) -> Result:
    """As of when it was made; the settings do not exist."""
    asked = ["verify", str(folder / file), "--at", AT, "--anchors", str(folder / "roots.pem")]
    for name in ("issuer.crl", "root.crl") if lists else ():
        asked += ["--crl", str(folder / name)]
    asked += [str(folder / each) if (folder / each).exists() else each for each in more]
    return CliRunner(env={"MOICA_GATEWAY_CONFIG": "/nowhere.toml"}).invoke(main, asked)


def test_a_good_signature_is_verified_without_settings_or_network(folder: Path) -> None:
    """Status 0, each check in a line."""
    result = verify(folder, "--content", "content")
    assert result.exit_code == 0, result.output
    assert "signed.p7s: verified 驗證通過" in result.output
    assert "  ok  not_revoked: CRL number" in result.output
    by_digest = verify(folder, "--sha256", hashlib.sha256(CONTENT).hexdigest())
    assert by_digest.exit_code == 0, by_digest.output


def test_without_lists_or_content_it_is_incomplete(folder: Path) -> None:
    """What nobody could look into is not called good: status 1."""
    for result in (verify(folder, "--content", "content", lists=False), verify(folder)):
        assert result.exit_code == 1
        assert "verified" not in result.output


def test_tampered_content_a_revoked_and_a_foreign_holder_fail(folder: Path) -> None:
    """Each by its own check."""
    (folder / "content").write_bytes(CONTENT + b"!")
    result = verify(folder, "--content", "content")
    assert result.exit_code == 1
    assert "  NO  content:" in result.output
    (folder / "content").write_bytes(CONTENT)
    (folder / "signed.p7s").write_bytes(signed(serial=4711))
    (folder / "issuer.crl").write_bytes(PKI.crl(4711))
    result = verify(folder, "--content", "content")
    assert result.exit_code == 1
    assert "  NO  not_revoked:" in result.output
    (folder / "roots.pem").write_bytes(MemoryPki(name="foreign").root_pem)
    result = verify(folder, "--content", "content")
    assert result.exit_code == 1
    assert "  NO  trusted_path:" in result.output


def test_a_list_that_somebody_else_made_counts_for_nothing(folder: Path) -> None:
    """It is left out, and so the status is not known."""
    (folder / "issuer.crl").write_bytes(MemoryPki(name="foreign").crl())
    result = verify(folder, "--content", "content")
    assert result.exit_code == 1
    assert "  ok  not_revoked" not in result.output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--sha256", "12"), "64 hexadecimal digits"),
        (("--at", "yesterday"), "RFC 3339"),
        (("--crl", "/nowhere.crl"), "/nowhere.crl"),
    ],
)
def test_what_was_given_wrongly_is_said(folder: Path, more: tuple[str, ...], words: str) -> None:
    """In one line, with status 2."""
    result = verify(folder, *more)
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.splitlines()) == 1


def test_noise_is_no_signature(folder: Path) -> None:
    """Status 1, and what was expected."""
    for noise in (b"noise", b"", b"PK\x03\x04noise"):
        (folder / "signed.p7s").write_bytes(noise)
        result = verify(folder)
        assert result.exit_code == 1
        assert "expected a" in result.output
