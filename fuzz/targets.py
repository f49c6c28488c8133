"""What is fuzzed: each parser, good seeds, and the one kind of error that it may answer with."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from attrs import frozen
from cryptography import x509
from pyhanko.pdf_utils.generic import DictionaryObject, NameObject, StreamObject
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from standardwebhooks import Webhook

from moica_gateway.domain.models import Channel, Document, SignContext, SpKey
from moica_gateway.domain.readings import GivenContent
from moica_gateway.domain.values import DocumentId, Secret, Tbs
from moica_gateway.errors import GatewayError
from moica_gateway.formats import CadesFormat
from moica_gateway.formats.cms_reading import CadesReader
from moica_gateway.formats.pades import PadesFormat, PadesReader
from moica_gateway.protocols.twfido.checksum import make_checksum, reveal
from moica_gateway.protocols.twfido.envelope import parse_envelope
from moica_gateway.protocols.twfido.operation import Operation
from moica_gateway.protocols.twfido.redirect import parse_callback
from moica_gateway.protocols.twfido.result import read_device_status, read_result
from moica_gateway.protocols.twfido.ticket import parse_ticket
from moica_gateway.protocols.twfido.wire import interface_of
from moica_gateway.services.evidence import open_evidence
from moica_gateway.services.evidence.archive import pack
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.ocsp import ocsp_answer
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.testing.random import SeededRandom
from moica_gateway.testing.seals import FixedSeals
from moica_gateway.trust.cms import unwrap
from moica_gateway.trust.crl import CrlRefusedError, read_crl
from moica_gateway.trust.ocsp import OcspRefusedError, make_request, read_response
from moica_gateway.trust.profile import check_profile, parse_holder_certificate
from moica_gateway.webhooks import WebhookReceiver
from moica_gateway.wire import (
    BatchRequest,
    RegistrationRequest,
    SignatureRequest,
    VerificationRequest,
)

__all__ = ["TARGETS", "Target"]

_PKI: Final = MemoryPki()
_ISSUER: Final = x509.load_der_x509_certificate(_PKI.issuer)
_CONTENT: Final = "檢送本校資訊安全教育訓練實施計畫\r\n".encode()
_KEY: Final = SpKey(id="k", key=Secret(bytes(32)), current=True)
_SEALS: Final = FixedSeals()
_SIGN: Final = Operation(op_code="SIGN", sign_type="PKCS#1", documents=1)
_BATCH: Final = Operation(op_code="BATSIGN", sign_type="PKCS#7", documents=2)
_SECRET: Final = "whsec_" + base64.b64encode(bytes(32)).decode()
_HOOK: Final = WebhookReceiver(_SECRET)


@frozen(kw_only=True)
class Target:
    """One parser.

    Attributes:
        run: With one input; raises ``allowed`` or nothing.
        seeds: Good inputs: each has to be let in, else the fuzzer would start outside.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], tuple[bytes, ...]]
    allowed: type[Exception] = GatewayError


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _context() -> SignContext:
    holder = _PKI.holder()
    return SignContext(hint="公文文號：1", at=_PKI.at, certificate=holder, chain=(_PKI.issuer,))


def _document(content: bytes) -> Document:
    return Document(id=DocumentId("d"), number="1", sha256=hashlib.sha256(content).hexdigest())


# -- the platform's answers ------------------------------------------------------------------------


def _ticket(data: bytes) -> None:
    """The digest is made right, so that what is behind it is reached."""
    first = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(first.encode()).digest()).rstrip(b"=")
    parse_ticket(f"{first}.{digest.decode()}")


def _ticket_seeds() -> tuple[bytes, ...]:
    info = {"sign_type": "PKCS#1", "tbs_encoding": "base64", "sign_data": "aGVsbG8=", "hash": "1"}
    payload = {"sp_ticket_id": "t-1", "hashed_id_num": "aGFzaA==", "sign_info": info, "n": [1, {}]}
    return (_json(payload), _json({"sp_ticket_id": "t-2"}))


def _ticket_text_seeds() -> tuple[bytes, ...]:
    made = []
    for data in _ticket_seeds():
        first = base64.urlsafe_b64encode(data).rstrip(b"=")
        digest = base64.urlsafe_b64encode(hashlib.sha256(first).digest()).rstrip(b"=")
        made.append(first + b"." + digest)
    return tuple(made)


def _answer(data: bytes) -> None:
    envelope = parse_envelope(data)
    if "is_fido" in envelope.result:
        read_device_status(envelope)
        return
    operation = _BATCH if "signed_response_set" in envelope.result else _SIGN
    channel = Channel.PUSH
    read_result(operation, interface_of(channel, operation), envelope)


def _answer_seeds() -> tuple[bytes, ...]:
    value = base64.b64encode(bytes(256)).decode()
    result = {"hashed_id_num": "aGFzaA==", "signed_response": value, "idp_checksum": "0" * 184}
    result["cert"] = base64.b64encode(_PKI.holder()).decode()
    batch = {k: v for k, v in result.items() if k != "signed_response"}
    flags = {"is_fido": "Y", "is_mcert_sign": "N", "idp_checksum": "0" * 184}
    return (
        _json({"error_code": "0", "error_message": "SUCCESS", "result": result}),
        _json({"error_code": 0, "result": {**batch, "signed_response_set": [value, value]}}),
        _json({"error_code": "0", "result": flags}),
    )


def _checksum_seeds() -> tuple[bytes, ...]:
    return (make_checksum(_KEY.key, "a|b", SeededRandom()).encode(),)


def _callback_seeds() -> tuple[bytes, ...]:
    return (b"transaction_id=abc-1&error_code=0&id_num=A123456789&cert=AAAA&idp_checksum=00",)


# -- certificates, lists, signatures ---------------------------------------------------------------


def _certificate_seeds() -> tuple[bytes, ...]:
    return (_PKI.holder(), _PKI.holder(last_four=None), _PKI.issuer)


def _crl_seeds() -> tuple[bytes, ...]:
    return (_PKI.crl(), _PKI.crl(4711, 4712))


def _ocsp(data: bytes) -> None:
    read_response(data, request=_ASKED, issuer=_ISSUER, now=_PKI.at)


_ASKED: Final = make_request(
    x509.load_der_x509_certificate(_PKI.holder()), _ISSUER, nonce=bytes(16)
)


def _cms_seeds() -> tuple[bytes, ...]:
    prepared = CadesFormat().prepare(_document(_CONTENT), None, _context())
    value = _PKI.sign(prepared.message.message)
    return (CadesFormat().finish(prepared, value, _context()).data,)


def _pdf() -> bytes:
    writer = PdfFileWriter(stream_xrefs=False)
    text = writer.add_object(StreamObject(stream_data=b"BT 72 700 Td (x) Tj ET"))
    writer.insert_page(
        PageObject(contents=text, media_box=(0, 0, 595, 842), resources=DictionaryObject())
    )
    writer.root[NameObject("/Lang")] = NameObject("/zh-TW")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _prepared_pdf(data: bytes) -> None:
    PadesFormat().prepare(_document(data), data, _context())


def _signed_pdf_seeds() -> tuple[bytes, ...]:
    data = _pdf()
    prepared = PadesFormat().prepare(_document(data), data, _context())
    value = _PKI.sign(prepared.message.message)
    return (PadesFormat().finish(prepared, value, _context()).data,)


def _evidence_seeds() -> tuple[bytes, ...]:
    files = {"transaction.json": b'{"documents": []}', "documents/1/signed.p7s": bytes(500)}
    return (pack(files, {"tenant": "t1"}, _SEALS, FrozenClock().now()),)


# -- requests and webhooks -------------------------------------------------------------------------


def _request(data: bytes) -> None:
    """As the server reads a body, behind JSON."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    for kind in (SignatureRequest, BatchRequest, RegistrationRequest, VerificationRequest):
        try:
            kind.parse(value)
        except GatewayError:
            continue


def _request_seeds() -> tuple[bytes, ...]:
    document = {"number": "1", "sha256": "0" * 64, "seal": {"page": 1, "box": [1, 2, 30, 40]}}
    more = {
        "time_limit": 60,
        "metadata": {"a": "b"},
        "on_behalf_of": {"user_id": "b", "reason": "c"},
    }
    return (
        _json({"user_id": "a", "document": document, **more}),
        _json({"user_id": "a", "documents": [document, document], "supersede": True}),
        _json({"user_id": "a", "id_number": "A123456789", "channel": "qr"}),
        _json({"signature_base64": "AAAA", "sha256": "0" * 64}),
    )


def _webhook(data: bytes) -> None:
    """First as anybody may send it, then under a good signature, to reach what is behind."""
    head, _, body = data.partition(b"\n\n")
    pairs = (line.partition(b":") for line in head.split(b"\n"))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, _, value in pairs}
    with suppress(GatewayError):
        _HOOK.receive(headers, body)
    now = datetime.now(UTC)
    signed = Webhook(_SECRET).sign("msg_1", now, body.decode("utf-8", "replace"))
    _HOOK.receive(
        {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signed,
        },
        body,
    )


def _webhook_seeds() -> tuple[bytes, ...]:
    head = b"webhook-id:msg_1\nwebhook-timestamp:1777445891\nwebhook-signature:v1,AAAA"
    body = {"type": "a.b", "timestamp": "2026-04-29T06:58:11.000Z", "data": {"transaction_id": "t"}}
    return (head + b"\n\n" + _json(body),)


TARGETS: Final = (
    Target(name="ticket", run=_ticket, seeds=_ticket_seeds),
    Target(
        name="ticket text",
        run=lambda data: parse_ticket(data.decode("latin-1")),
        seeds=_ticket_text_seeds,
    ),
    Target(name="answer", run=_answer, seeds=_answer_seeds),
    Target(
        name="checksum",
        run=lambda data: reveal([_KEY], data.decode("latin-1")),
        seeds=_checksum_seeds,
    ),
    Target(name="callback form", run=parse_callback, seeds=_callback_seeds),
    Target(
        name="certificate",
        run=lambda data: check_profile(parse_holder_certificate(data)),
        seeds=_certificate_seeds,
    ),
    Target(
        name="CRL",
        run=lambda data: read_crl(data, _ISSUER),
        seeds=_crl_seeds,
        allowed=CrlRefusedError,
    ),
    Target(
        name="OCSP answer",
        run=_ocsp,
        seeds=lambda: (ocsp_answer(_PKI, _ASKED),),
        allowed=OcspRefusedError,
    ),
    Target(
        name="CMS",
        run=lambda data: CadesReader().read(data, GivenContent(content=_CONTENT)),
        seeds=_cms_seeds,
    ),
    Target(
        name="CMS of a phone",
        run=lambda data: unwrap(data, _PKI.holder(), Tbs(message=_CONTENT)),
        seeds=_cms_seeds,
    ),
    Target(name="PDF to sign", run=_prepared_pdf, seeds=lambda: (_pdf(),)),
    Target(
        name="signed PDF",
        run=lambda data: PadesReader().read(data, GivenContent()),
        seeds=_signed_pdf_seeds,
    ),
    Target(
        name="evidence ZIP",
        run=lambda data: open_evidence(data, _SEALS.signed_by),
        seeds=_evidence_seeds,
    ),
    Target(name="request", run=_request, seeds=_request_seeds),
    Target(name="webhook", run=_webhook, seeds=_webhook_seeds),
)
