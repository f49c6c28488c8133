"""PDFs for tests, signed and hostile, and the judges that are not us."""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from asn1crypto import cms, keys
from asn1crypto import x509 as asn1_x509
from attrs import evolve
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name as name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko.sign.validation import KeyUsageConstraints, async_validate_pdf_signature
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext

from moica_gateway.domain.models import Document, Seal, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent
from moica_gateway.domain.values import DocumentId
from moica_gateway.errors import GatewayError
from moica_gateway.formats import PadesFormat
from moica_gateway.formats.pades import PadesReader
from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki()
HINT = "公文文號：1153000165 驗證碼：42"
CONTEXT = SignContext(hint=HINT, at=PKI.at, certificate=PKI.holder(), chain=(PKI.issuer,))
NUMBER = "1153000165"


def dictionary(**entries: Any) -> generic.DictionaryObject:
    """Names for texts that begin with a slash."""
    return generic.DictionaryObject({name(f"/{k}"): pdf(v) for k, v in entries.items()})


def pdf(value: Any) -> Any:
    """A Python value as a PDF object."""
    if isinstance(value, generic.PdfObject):
        return value
    if isinstance(value, str):
        return name(value) if value.startswith("/") else generic.pdf_string(value)
    if isinstance(value, Mapping):
        return dictionary(**value)
    if isinstance(value, Sequence):
        return generic.ArrayObject([pdf(v) for v in value])
    if isinstance(value, bool):
        return generic.BooleanObject(value)
    return generic.NumberObject(value) if isinstance(value, int) else generic.FloatObject(value)


def make(
    text: str = "Hello",
    *,
    pages: int = 1,
    root: Mapping[str, Any] | None = None,
    page: Mapping[str, Any] | None = None,
    objects: Sequence[Any] = (),
    streams: bool = False,
) -> bytes:
    """A document with that text on each page; entries of catalogue and pages, further objects that
    nothing refers to, and whether cross-references are compressed."""
    writer = PdfFileWriter(stream_xrefs=streams)
    font = writer.add_object(dictionary(Type="/Font", Subtype="/Type1", BaseFont="/Helvetica"))
    for _ in range(pages):
        content = writer.add_object(
            generic.StreamObject(stream_data=f"BT /F1 20 Tf 72 700 Td ({text}) Tj ET".encode())
        )
        made = PageObject(
            contents=content, media_box=(0, 0, 595, 842), resources=dictionary(Font={"F1": font})
        )
        for key, value in (page or {}).items():
            made[name(f"/{key}")] = pdf(value)
        writer.insert_page(made)
    for key, value in (root or {}).items():
        writer.root[name(f"/{key}")] = pdf(value)
    for value in objects:
        writer.add_object(pdf(value))
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


PLAIN = make()


def with_field(data: bytes, field: str, box: tuple[int, int, int, int] | None) -> bytes:
    """An empty signature field more."""
    writer = IncrementalPdfFileWriter(io.BytesIO(data))
    append_signature_field(writer, SigFieldSpec(sig_field_name=field, on_page=0, box=box))
    return written(writer)


def written(writer: IncrementalPdfFileWriter) -> bytes:
    """The document with its update."""
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def document(data: bytes) -> Document:
    """With that content's digest."""
    return Document(id=DocumentId("d"), number=NUMBER, sha256=hashlib.sha256(data).hexdigest())


def sign(
    data: bytes = PLAIN,
    seal: Seal | None = None,
    *,
    context: SignContext = CONTEXT,
    key: str = "holder",
) -> bytes:
    """The whole artifact."""
    context = evolve(context, seal=seal)
    prepared = PadesFormat().prepare(document(data), data, context)
    signature = PKI.sign(prepared.message.message, key)
    return PadesFormat().finish(prepared, signature, context).data


def read(data: bytes) -> tuple[FoundSignature, ...]:
    """By the reader."""
    return PadesReader().read(data, GivenContent())


def value_holds(found: FoundSignature) -> bool:
    """Whether the value verifies under the certificate that came along."""
    key = x509.load_der_x509_certificate(found.certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(found.signature, found.message.message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def code_of(call: Callable[[], object]) -> str | None:
    """Of the error that it ends in; anything foreign passes through."""
    try:
        call()
    except GatewayError as e:
        return e.code
    return None


# -- a timestamp authority -----------------------------------------------------------------------


@cache
def tsa_certificate() -> bytes:
    """DER, issued by the intermediate."""
    issuer = x509.load_der_x509_certificate(PKI.issuer)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TSA")]))
        .issuer_name(issuer.subject)
        .public_key(PKI.key("tsa").public_key())
        .serial_number(77)
        .not_valid_before(PKI.at - timedelta(days=30))
        .not_valid_after(PKI.at + timedelta(days=3000))
        .add_extension(usage, critical=True)
        .add_extension(PKI.usage(signing=True), critical=True)
        .add_extension(PKI.points(), critical=False)
    )
    return builder.sign(PKI.key("issuer"), hashes.SHA256()).public_bytes(Encoding.DER)


class Tsa:
    """`ports.Timestamper` with a key of its own; ``asked``: the digests."""

    def __init__(self, at: datetime = PKI.at) -> None:
        self.asked: list[bytes] = []
        private = PKI.key("tsa").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._tsa = DummyTimeStamper(
            asn1_x509.Certificate.load(tsa_certificate()),
            keys.PrivateKeyInfo.load(private),
            fixed_dt=at,
            include_nonce=False,
        )

    async def timestamp(self, digest: bytes) -> bytes:
        """See the port."""
        self.asked.append(digest)
        token: cms.ContentInfo = await self._tsa.async_timestamp(digest, "sha256")
        return bytes(token.dump())


# -- judges --------------------------------------------------------------------------------------


def pdfsig(folder: Path, data: bytes) -> list[dict[str, str]]:
    """What poppler says of each signature, with our root as the one anchor of its database."""
    base = folder / "nss"
    if not base.exists():
        base.mkdir()
        (folder / "root.pem").write_bytes(PKI.root_pem)
        _run("certutil", "-N", "-d", f"sql:{base}", "--empty-password")
        anchor = ["-n", "root", "-t", "CT,C,C", "-a", "-i", str(folder / "root.pem")]
        _run("certutil", "-A", "-d", f"sql:{base}", *anchor)
    (folder / "judged.pdf").write_bytes(data)
    said = _run("pdfsig", "-nssdir", str(base), str(folder / "judged.pdf"), any_code=True)
    found: list[dict[str, str]] = []
    for line in said.splitlines():
        if line.startswith("Signature #"):
            found.append({})
        elif line.startswith("  - ") and found:
            key, _, value = line[4:].partition(": ")
            found[-1][key] = value
    return found


def qpdf_accepts(folder: Path, data: bytes) -> bool:
    """``qpdf --check`` without a warning."""
    (folder / "judged.pdf").write_bytes(data)
    done = subprocess.run(
        ["qpdf", "--check", str(folder / "judged.pdf")], capture_output=True, check=False
    )
    return done.returncode == 0


def _run(*command: str, any_code: bool = False) -> str:
    done = subprocess.run(list(command), capture_output=True, check=not any_code)
    return done.stdout.decode()


async def pyhanko_statuses(data: bytes, at: datetime = PKI.at) -> list[PdfSignatureStatus]:
    """pyHanko's validator with its own policies, revocation required, nothing fetched."""
    context = ValidationContext(
        trust_roots=[asn1_x509.Certificate.load(PKI.root)],
        moment=at,
        best_signature_time=at,
        allow_fetching=False,
        crls=[PKI.crl(), PKI.root_crl()],
        revocation_mode="require",
        # A timestamp token names its authority's issuer and does not bring it along.
        other_certs=[asn1_x509.Certificate.load(PKI.issuer)],
    )
    return [
        await async_validate_pdf_signature(
            signature, context, key_usage_settings=KeyUsageConstraints({"digital_signature"})
        )
        for signature in PdfFileReader(io.BytesIO(data)).embedded_regular_signatures
    ]
