"""What a ticket is for: ``op_code``, its one ``sign_info``, and the limits of what it may hold.

What PKCS#1, PKCS#7 or RAW is needed for is decided here, from form, hash and size of the messages;
whether a caller may ask for it at all is a tenant's policy and none of this room's.

- One message is ``SIGN``, several are ``BATSIGN``: the checksum of a single one covers what is
  signed, a batch's does not.
- A bare signature over a message that fits is ``PKCS#1``. One that does not fit, or a digest, is
  ``RAW`` over the ``DigestInfo`` made here, behind a switch: RAW is known from one source. Both
  give the same signature, so nobody behind has to know which it was.
- A ticket has one ``sign_info``, so its messages have one form and one hash.

Specification: ``protocol/moi-sp-api.md`` "Fields"; RFC 8017 section 9.2, note 1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from moica_gateway.domain.models import Begin, Handle
from moica_gateway.domain.values import HashAlgorithm, SignatureForm, Tbs
from moica_gateway.errors import error

__all__ = [
    "AUTHENTICATE",
    "BATCH_SIGN",
    "CMS",
    "MAX_MESSAGES",
    "MAX_SIGN_DATA",
    "RAW",
    "SIGN",
    "Operation",
    "check_messages",
    "digest_info",
    "operation_asked",
    "operation_of",
    "remember_operation",
]

SIGN: Final = "SIGN"
BATCH_SIGN: Final = "BATSIGN"
AUTHENTICATE: Final = "ATH"

PKCS1: Final = "PKCS#1"
CMS: Final = "PKCS#7"
RAW: Final = "RAW"

MAX_MESSAGES: Final = 20
"""Documents of one ticket."""

MAX_SIGN_DATA: Final = 1024
"""Characters of a ``sign_data`` as sent; in base64, 768 bytes."""

_MAX_MESSAGE: Final = MAX_SIGN_DATA // 4 * 3
_HASHES: Final[Mapping[HashAlgorithm, str]] = {
    HashAlgorithm.SHA1: "SHA1",
    HashAlgorithm.SHA256: "SHA256",
    HashAlgorithm.SHA384: "SHA384",
    HashAlgorithm.SHA512: "SHA512",
}
_DIGEST_INFO: Final[Mapping[HashAlgorithm, bytes]] = {
    HashAlgorithm.SHA1: bytes.fromhex("3021300906052b0e03021a05000414"),
    HashAlgorithm.SHA256: bytes.fromhex("3031300d060960864801650304020105000420"),
    HashAlgorithm.SHA384: bytes.fromhex("3041300d060960864801650304020205000430"),
    HashAlgorithm.SHA512: bytes.fromhex("3051300d060960864801650304020305000440"),
}
_OP_CODE: Final = "op_code"
_SIGN_TYPE: Final = "sign_type"
_DOCUMENTS: Final = "documents"


@frozen(kw_only=True)
class Operation:
    """What a ticket is for.

    Attributes:
        op_code: ``SIGN``, ``BATSIGN`` or ``ATH``.
        sign_type: ``PKCS#1``, ``PKCS#7`` or ``RAW``; None for ``ATH``.
        documents: How many signatures have to come back.
        sign_info: As it is sent; empty for ``ATH``, and where it is known from a handle only.
    """

    op_code: str
    sign_type: str | None
    documents: int
    sign_info: Mapping[str, Any] = field(factory=dict, repr=False)


def operation_asked(asked: Begin, *, raw: bool) -> Operation:
    """What a beginning asks for.

    Raises:
        RequestError: as `check_messages`, and ``request_invalid`` for messages where only the
            holder's presence is asked for.
    """
    messages = asked.messages
    if asked.presence:
        if messages:
            raise error(
                "request_invalid",
                f"expected nothing to sign where only the holder's presence is asked for, came "
                f"{len(messages)} messages; the integrator asks for one of both",
            )
        return Operation(op_code=AUTHENTICATE, sign_type=None, documents=0)
    sign_type = check_messages(messages, raw=raw)
    data = [_sign_data(message, sign_type) for message in messages]
    rest = {"tbs_encoding": "base64", "hash_algorithm": _HASHES[messages[0].hash_algorithm]}
    single = len(messages) == 1
    return Operation(
        op_code=SIGN if single else BATCH_SIGN,
        sign_type=sign_type,
        documents=len(messages),
        sign_info={
            "sign_type": sign_type,
            **({"sign_data": data[0]} if single else {"sign_data_set": data}),
            # RAW ignores the algorithm; it is sent all the same, because a server may want it.
            **rest,
        },
    )


def check_messages(messages: Sequence[Tbs], *, raw: bool) -> str:
    """The ``sign_type`` that these messages need, on one ticket.

    Args:
        messages: 1 to 20.
        raw: Whether RAW may be used.

    Raises:
        RequestError: ``request_invalid`` for none, too many, an empty one, or messages of several
            forms or hashes; ``document_too_large``; ``format_unsupported`` for a digest where RAW
            is not switched on.
    """
    if not 1 <= len(messages) <= MAX_MESSAGES:
        raise error(
            "request_invalid",
            f"expected 1 to {MAX_MESSAGES} documents on one ticket, came {len(messages)}; the "
            "integrator sends the others with further tickets",
        )
    kinds = {(message.form, message.hash_algorithm) for message in messages}
    if len(kinds) > 1:
        raise error(
            "request_invalid",
            f"expected one signature form and one hash for all documents of a ticket, came "
            f"{len(kinds)} combinations; the integrator sends a ticket for each",
        )
    ((form, algorithm),) = kinds
    sizes = [len(message.message) for message in messages]
    if 0 in sizes:
        raise error(
            "request_invalid",
            "expected something to sign, came nothing; the integrator sends the content",
        )
    if form is SignatureForm.DIGEST:
        return _check_digests(sizes, algorithm, raw=raw)
    largest = max(sizes)
    if largest <= _MAX_MESSAGE:
        return CMS if form is SignatureForm.CMS else PKCS1
    if raw and form is SignatureForm.SIGNATURE:
        return RAW
    raise error(
        "document_too_large",
        f"expected at most {_MAX_MESSAGE} bytes to be signed as they are "
        f"({MAX_SIGN_DATA} characters of base64), came {largest}; the integrator "
        "chooses a format that signs a digest",
    )


def digest_info(digest: bytes, algorithm: HashAlgorithm) -> bytes:
    """The DER ``DigestInfo`` that PKCS#1 v1.5 pads: with RAW the phone pads it and nothing else."""
    return _DIGEST_INFO[algorithm] + digest


def remember_operation(operation: Operation) -> dict[str, Any]:
    """What of it goes into a handle; JSON types."""
    return {
        _OP_CODE: operation.op_code,
        _SIGN_TYPE: operation.sign_type,
        _DOCUMENTS: operation.documents,
    }


def operation_of(handle: Handle) -> Operation:
    """The reverse. A handle that says nothing is of a time when there was ``SIGN`` only.

    Raises:
        VerificationError: ``vault_tampered`` for a handle that is none of ours.
    """
    extra = handle.extra
    op_code = extra.get(_OP_CODE, SIGN)
    sign_type = extra.get(_SIGN_TYPE, None if op_code == AUTHENTICATE else PKCS1)
    documents = extra.get(_DOCUMENTS, 1)
    known = {
        SIGN: documents == 1,
        BATCH_SIGN: isinstance(documents, int) and 2 <= documents <= MAX_MESSAGES,
        AUTHENTICATE: documents == 0,
    }
    signs = sign_type in (PKCS1, CMS, RAW)
    if not known.get(str(op_code), False) or signs is (op_code == AUTHENTICATE):
        raise error(
            "vault_tampered",
            "expected a stored ticket that says what it was asked for, came another; the operator "
            "tells the maintainers",
        )
    return Operation(op_code=op_code, sign_type=sign_type, documents=documents)


def _check_digests(sizes: Sequence[int], algorithm: HashAlgorithm, *, raw: bool) -> str:
    if not raw:
        raise error(
            "format_unsupported",
            "expected a message to be signed, came a digest, which needs the platform's RAW; RAW "
            "is not switched on; the integrator sends the message, or the operator switches it on",
        )
    if any(size != algorithm.digest_size for size in sizes):
        raise error(
            "request_invalid",
            f"expected a digest of {algorithm.digest_size} bytes for {algorithm}, came another "
            "size; the integrator sends the digest and its algorithm",
        )
    return RAW


def _sign_data(message: Tbs, sign_type: str) -> str:
    """For ``tbs_encoding: base64``: what the key covers are the decoded bytes."""
    data = message.message
    if sign_type == RAW:
        algorithm = message.hash_algorithm
        if message.form is not SignatureForm.DIGEST:
            data = hashlib.new(algorithm.value, data).digest()
        data = digest_info(data, algorithm)
    return base64.b64encode(data).decode("ascii")
