"""What a ticket may hold, and how each kind of message goes over the wire."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moica_gateway.domain.models import Begun, Channel, Fault
from moica_gateway.domain.values import HashAlgorithm, SignatureForm, Tbs
from moica_gateway.errors import GatewayError, VerificationError
from moica_gateway.protocols.twfido.checksum import parse_aes_key
from moica_gateway.protocols.twfido.operation import (
    Operation,
    digest_info,
    operation_of,
    remember_operation,
)
from moica_gateway.protocols.twfido.wire import BATCH, PUSH, STATUS, TICKET, WEB, sp_checksum

DIGEST, CMS = SignatureForm.DIGEST, SignatureForm.CMS
SHA1, SHA512 = HashAlgorithm.SHA1, HashAlgorithm.SHA512


def refused(upstream: Any, messages: list[Tbs]) -> str:
    try:
        upstream.accepts(messages)
    except GatewayError as exc:
        said = exc.problem.detail
        return exc.code if "expected" in said and "came" in said else f"unexplained: {said}"
    return ""


LIMITS: list[tuple[str, list[Tbs], str, str]] = [
    # name, messages, refusal without RAW, with it
    ("one", [Tbs(b"x")], "", ""),
    ("twenty", [Tbs(b"x" * 768)] * 20, "", ""),
    ("twenty-one", [Tbs(b"x")] * 21, "request_invalid", "request_invalid"),
    ("none", [], "request_invalid", "request_invalid"),
    ("an empty one", [Tbs(b"x"), Tbs(b"")], "request_invalid", "request_invalid"),
    ("a large one", [Tbs(b"x"), Tbs(b"x" * 769)], "document_too_large", ""),
    ("two hashes", [Tbs(b"x"), Tbs(b"x", hash_algorithm=SHA1)], *["request_invalid"] * 2),
    ("two forms", [Tbs(b"x"), Tbs(b"x", form=CMS)], *["request_invalid"] * 2),
    ("CMS", [Tbs(b"x" * 768, form=CMS)], "", ""),
    ("large CMS", [Tbs(b"x" * 769, form=CMS)], *["document_too_large"] * 2),
    ("a digest", [Tbs(b"d" * 32, form=DIGEST)], "format_unsupported", ""),
    ("a short digest", [Tbs(b"d" * 31, form=DIGEST)], "format_unsupported", "request_invalid"),
    ("a SHA-512 digest", [Tbs(b"d" * 64, DIGEST, SHA512)], "format_unsupported", ""),
    (
        "a digest of another hash",
        [Tbs(b"d" * 64, DIGEST, SHA512), Tbs(b"d" * 32, DIGEST, SHA512)],
        "format_unsupported",
        "request_invalid",
    ),
]


@pytest.mark.parametrize(
    ("messages", "without", "raw"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS]
)
def test_what_fits_on_one_ticket(platform: Any, messages: Any, without: str, raw: str) -> None:
    """1 to 20 messages of one form and hash, 1024 characters each; RAW only where switched on."""
    assert refused(platform.upstream, messages) == without
    assert refused(platform.wide, messages) == raw
    assert platform.wide.max_messages == 20


async def sign_info(platform: Any, *messages: Tbs) -> dict[str, Any]:
    single = len(messages) == 1
    method, op_code = ("getSpTicket", "SIGN") if single else ("doBatchSigning", "BATSIGN")
    ticket = platform.ticket(op_code=op_code, op_mode="I-SCAN")
    platform.egress.reply_json(platform.url(method), platform.ticket_answer(ticket))
    result = await platform.wide.begin(platform.asked(Channel.QR, messages=messages))
    assert isinstance(result, Begun), result
    body = platform.egress.requests[-1].json()
    assert body["op_code"] == op_code
    info: dict[str, Any] = body["sign_info"]
    return info


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [("sha1", "SHA1"), ("sha256", "SHA256"), ("sha384", "SHA384"), ("sha512", "SHA512")],
)
@pytest.mark.parametrize(
    ("form", "sign_type"), [(SignatureForm.SIGNATURE, "PKCS#1"), (CMS, "PKCS#7")]
)
async def test_hash_and_form_are_asked_for_as_the_message_wants(
    platform: Any, form: SignatureForm, sign_type: str, algorithm: str, name: str
) -> None:
    """PKCS#1 and PKCS#7 over the message itself, in base64."""
    assert await sign_info(platform, Tbs(b"DOC", form, HashAlgorithm(algorithm))) == {
        "sign_type": sign_type,
        "sign_data": base64.b64encode(b"DOC").decode(),
        "tbs_encoding": "base64",
        "hash_algorithm": name,
    }


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
async def test_raw_gives_the_very_signature_that_the_hash_would(
    platform: Any, algorithm: HashAlgorithm
) -> None:
    """What is sent, padded and nothing else, is a signature that verifies over the content."""
    content = b"x" * 5000
    digest = hashlib.new(algorithm.value, content).digest()
    wanted: Any = getattr(hashes, algorithm.name)()
    for message in (Tbs(digest, DIGEST, algorithm), Tbs(content, hash_algorithm=algorithm)):
        info = await sign_info(platform, message)
        assert (info["sign_type"], info["tbs_encoding"]) == ("RAW", "base64")
        sent = base64.b64decode(info["sign_data"], validate=True)
        signature = KEY.sign(content, padding.PKCS1v15(), wanted)
        covered = KEY.public_key().recover_data_from_signature(signature, padding.PKCS1v15(), None)
        assert sent == covered == digest_info(digest, algorithm)


async def test_one_message_that_does_not_fit_makes_the_whole_ticket_raw(platform: Any) -> None:
    """A ticket has one sign_type; the signatures are the same either way."""
    info = await sign_info(platform, Tbs(b"small"), Tbs(b"x" * 769))
    assert info["sign_type"] == "RAW"
    assert [base64.b64decode(data) for data in info["sign_data_set"]] == [
        digest_info(hashlib.sha256(content).digest(), HashAlgorithm.SHA256)
        for content in (b"small", b"x" * 769)
    ]


# -- vectors -------------------------------------------------------------------------------------

VECTORS = [
    ("ATH-01 sp_checksum, SIGN by I-SCAN", TICKET),
    ("ATH-01 sp_checksum, ATH without sign_data", TICKET),
    ("ATH-03 sp_checksum, every device", PUSH),
    ("ATH-03 sp_checksum, one device", PUSH),
    ("ATH-04 sp_checksum, batch push", BATCH),
    ("LF-01 sp_checksum", STATUS),
    ("WEB-01 sp_checksum", WEB),
]


@pytest.mark.parametrize(("name", "interface"), VECTORS, ids=[name for name, _ in VECTORS])
def test_each_interface_covers_what_its_vector_covers(
    vectors: Any, name: str, interface: Any
) -> None:
    """From the members as they are sent, in whatever order; documents of a batch are left out."""
    (vector,) = [v for v in vectors["checksums"] if v["name"] == name]
    fields = dict(reversed(vector["fields"].items()))
    nested = {"sign_data": fields.pop("sign_data", None), "sign_data_set": ["not", "covered"]}
    iv = bytes.fromhex(vector["iv_hex"])

    class Scripted:
        def token_bytes(self, count: int) -> bytes:
            assert count == len(iv)
            return iv

    key: Any = type("Key", (), {"key": parse_aes_key(vectors["aes_key_base64"])})
    random: Any = Scripted()
    members = fields | {"sign_info": nested, "time_limit": 60}
    assert sp_checksum(interface, members, key, random) == vector["checksum"]
    assert interface.sent_fields == tuple(vector["order"])


# -- what a handle remembers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op_code", "sign_type", "documents"),
    [("SIGN", "PKCS#1", 1), ("SIGN", "RAW", 1), ("BATSIGN", "PKCS#7", 20), ("ATH", None, 0)],
)
def test_a_handle_remembers_what_was_asked(
    platform: Any, op_code: str, sign_type: str | None, documents: int
) -> None:
    """There and back."""
    operation = Operation(op_code=op_code, sign_type=sign_type, documents=documents)
    handle = platform.handle(extra=remember_operation(operation))
    assert operation_of(handle) == operation


def test_a_handle_of_an_older_program_is_one_signature(platform: Any) -> None:
    """There was nothing else."""
    expected = Operation(op_code="SIGN", sign_type="PKCS#1", documents=1)
    assert operation_of(platform.handle()) == expected


@pytest.mark.parametrize(
    "extra",
    [
        {"op_code": "NFCSIGN"},
        {"op_code": ["SIGN"]},
        {"op_code": None},
        {"op_code": "ATH"},
        {"op_code": "ATH", "documents": 0, "sign_type": "PKCS#1"},
        {"op_code": "SIGN", "documents": 2},
        {"op_code": "SIGN", "sign_type": None},
        {"op_code": "BATSIGN", "documents": 1},
        {"op_code": "BATSIGN", "documents": 21},
        {"op_code": "BATSIGN", "documents": "2"},
        {"op_code": "BATSIGN"},
    ],
)
async def test_a_handle_that_is_none_of_ours_is_not_read(platform: Any, extra: Any) -> None:
    """A weaker question must not be read into a stronger answer."""
    handle = platform.handle(extra=extra)
    with pytest.raises(VerificationError):
        operation_of(handle)
    platform.egress.reply_json(platform.url("getAthOrSignResult"), platform.result_answer())
    answer = await platform.upstream.poll(handle, platform.provider)
    assert isinstance(answer, Fault)
    assert answer.problem.code == "vault_tampered"
