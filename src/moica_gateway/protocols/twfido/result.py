"""What success has to bring, by what was asked: read in its grammar, not believed yet.

| asked | ATH-02 brings | WEB-01 brings |
|---|---|---|
| ``SIGN`` | hashed_id_num, signed_response, cert | id_num, signed_response, cert |
| ``BATSIGN`` | hashed_id_num, signed_response_set in the order sent, cert | - |
| ``ATH`` | hashed_id_num | id_num |
| LF-01 | is_fido, is_mcert_sign | - |

That a batch's result has ``cert``, too, is assumed (C). Whether a signature covers its document,
and in whose name ``cert`` is, no checksum says: a batch that comes back in another order is found
by the judge, one of another number here. Specification: ``protocol/moi-sp-api.md`` "Result of
ATH-02"; ``security.md`` 1, 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from attrs import evolve, field, frozen

from moica_gateway.domain.models import CertificateSignature, DeviceStatus, HolderPresent, Proof
from moica_gateway.protocols.twfido.envelope import (
    HASHED_ID_NUM,
    Envelope,
    answer_incomplete,
    answer_invalid,
    read_base64,
    read_text,
)
from moica_gateway.protocols.twfido.operation import AUTHENTICATE, BATCH_SIGN, CMS, Operation
from moica_gateway.protocols.twfido.wire import WEB, Interface, batch_stands_for

__all__ = ["Found", "read_device_status", "read_result"]

T = TypeVar("T")

_MAX_SIGNATURE: Final = 1024
_MAX_CMS: Final = 8192
_MAX_CERTIFICATE: Final = 16_384
_SIGNATURE: Final = "signed_response"
_SIGNATURES: Final = "signed_response_set"

_ID_NUM: Final = re.compile(r"[A-Z][1289A-D][0-9]{8}", re.ASCII)
_FLAG: Final = re.compile(r"[YN]", re.ASCII)


@frozen(kw_only=True)
class Found:
    """A success whose fields are in their grammar.

    Attributes:
        proof: What it would prove.
        covered: The answer as ``idp_checksum`` has to cover it.
        hashed_id_num: Who confirmed; None with WEB-01.
        id_num: Who confirmed; with WEB-01 only.
    """

    proof: Proof
    covered: Envelope
    hashed_id_num: str | None = field(repr=False)
    id_num: str | None = field(repr=False)


def read_result(operation: Operation, interface: Interface, envelope: Envelope) -> Found:
    """What a success says.

    Raises:
        VerificationError: ``answer_invalid``, ``answer_incomplete``.
    """
    result = envelope.result
    hashed = id_num = None
    if interface is WEB:
        id_num = _needed(read_text(result, "id_num", _ID_NUM, "an ID number"), "id_num")
    else:
        text = read_text(result, "hashed_id_num", HASHED_ID_NUM, "an opaque token")
        hashed = _needed(text, "hashed_id_num")
    covered = envelope
    if operation.op_code == AUTHENTICATE:
        _no_signature(result)
        return Found(
            proof=HolderPresent(hashed_id_num=hashed, raw=envelope.raw),
            covered=covered,
            hashed_id_num=hashed,
            id_num=id_num,
        )
    limit = _MAX_CMS if operation.sign_type == CMS else _MAX_SIGNATURE
    if operation.op_code == BATCH_SIGN:
        _no_signature(result)
        texts, signatures = _signatures(result, operation.documents, limit)
        covered = evolve(envelope, result={**result, _SIGNATURE: batch_stands_for(texts)})
    else:
        signatures = (_needed(read_base64(result, _SIGNATURE, limit), _SIGNATURE)[1],)
    certificate = _needed(read_base64(result, "cert", _MAX_CERTIFICATE), "cert")[1]
    return Found(
        proof=CertificateSignature(
            unverified_certificate=certificate,
            unverified_signatures=signatures,
            hashed_id_num=hashed,
            raw=envelope.raw,
        ),
        covered=covered,
        hashed_id_num=hashed,
        id_num=id_num,
    )


def read_device_status(envelope: Envelope) -> DeviceStatus:
    """What LF-01 says.

    Raises:
        VerificationError: ``answer_invalid`` for anything but ``Y`` and ``N``,
            ``answer_incomplete``.
    """
    flags = [
        _needed(read_text(envelope.result, name, _FLAG, "Y or N"), name) == "Y"
        for name in ("is_fido", "is_mcert_sign")
    ]
    return DeviceStatus(bound=flags[0], certificate_usable=flags[1])


def _signatures(
    result: Mapping[str, Any], documents: int, limit: int
) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    value = _needed(result.get(_SIGNATURES), _SIGNATURES)
    expected = f"{_SIGNATURES} as an array of {documents} signatures"
    if not isinstance(value, list):
        raise answer_invalid(expected, "another type")
    if len(value) != documents:
        raise answer_invalid(expected, f"one of {len(value)}")
    name = f"each of {_SIGNATURES}"
    read = [_needed(read_base64({name: item}, name, limit), name) for item in value]
    return tuple(text for text, _ in read), tuple(data for _, data in read)


def _no_signature(result: Mapping[str, Any]) -> None:
    """Its place in the checksum's payload is empty; what stood there would move the borders."""
    if result.get(_SIGNATURE) not in (None, ""):
        raise answer_invalid(f"no {_SIGNATURE} in a result of this kind", "one")


def _needed(value: T | None, name: str) -> T:
    if value is None:
        raise answer_incomplete(name)
    return value
