"""What an envelope can be made to look like after it was sealed: the wire lies, or somebody on it.

An alteration that finds nothing to alter returns None: the fault then waits for an answer that has
it. Nothing here changes what the platform keeps.
"""

import base64
import enum
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

__all__ = ["Alteration", "Surroundings", "altered"]


class Alteration(enum.StrEnum):
    """What is done to an envelope."""

    CODE_AS_NUMBER = "code_as_number"
    CODE_BARE = "code_bare"
    CODE_WITH_TAIL = "code_with_tail"
    MISSING_FIELD = "missing_field"
    MISSING_CHECKSUM = "missing_checksum"
    EXTRA_FIELD = "extra_field"
    CHECKSUM_ECHOED = "checksum_echoed"
    CHECKSUM_OF_ANOTHER = "checksum_of_another"
    EARLIER_ANSWER = "earlier_answer"
    SWAPPED_CERTIFICATE = "swapped_certificate"
    TRUNCATED_SIGNATURE = "truncated_signature"
    SIGNATURES_REORDERED = "signatures_reordered"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_DOUBLED = "signature_doubled"


@attrs.frozen
class Surroundings:
    """What somebody on the wire has at hand.

    Attributes:
        interface: E.g. `SP-API-ATH-02`.
        sent_checksum: The `sp_checksum` of the request.
        earlier: Envelopes that the same system was answered before, oldest first.
        other_certificate: Another person's certificate, DER, or None if there is none.
    """

    interface: str
    sent_checksum: str | None
    earlier: tuple[Mapping[str, Any], ...] = attrs.field(repr=False)
    other_certificate: bytes | None = attrs.field(repr=False)


_Envelope = dict[str, Any]


def altered(kind: Alteration, envelope: _Envelope, around: Surroundings) -> _Envelope | None:
    """Returns the envelope altered, or None if it has nothing of the kind."""
    return _WAYS[kind](envelope, around)


def _with(envelope: _Envelope, **members: Any) -> _Envelope:
    return {**envelope, "result": {**envelope["result"], **members}}


def _number(envelope: _Envelope, _: Surroundings) -> _Envelope | None:
    code = str(envelope["error_code"])
    return {**envelope, "error_code": int(code)} if code.isdigit() else None


def _bare(envelope: _Envelope, _: Surroundings) -> _Envelope | None:
    code = re.sub(r"^SP-API-[A-Z]+-\d\d-", "", str(envelope["error_code"]))
    return {**envelope, "error_code": code} if code != envelope["error_code"] else None


def _tail(envelope: _Envelope, _: Surroundings) -> _Envelope | None:
    return {**envelope, "error_code": f"{envelope['error_code']}: as the log says"}


def _missing_field(envelope: _Envelope, _: Surroundings) -> _Envelope | None:
    result = dict(envelope.get("result") or {})
    for name in ("sp_ticket", "signed_response", "signed_response_set", "is_fido"):
        if name in result:
            del result[name]
            return {**envelope, "result": result}
    return None


def _missing_checksum(envelope: _Envelope, _: Surroundings) -> _Envelope | None:
    result = dict(envelope.get("result") or {})
    if result.pop("idp_checksum", None) is None:
        return None
    return {**envelope, "result": result}


def _extra_field(envelope: _Envelope, _: Surroundings) -> _Envelope | None:
    more = {**envelope, "api_version": "9.9"}
    return _with(more, remark="從前沒有的欄位") if "result" in envelope else more


def _echoed(envelope: _Envelope, around: Surroundings) -> _Envelope | None:
    if around.sent_checksum is None or "idp_checksum" not in (envelope.get("result") or {}):
        return None
    return _with(envelope, idp_checksum=around.sent_checksum)


def _of_another(envelope: _Envelope, around: Surroundings) -> _Envelope | None:
    if "idp_checksum" not in (envelope.get("result") or {}):
        return None
    for each in reversed(around.earlier):
        other = (each.get("result") or {}).get("idp_checksum")
        if other is not None:
            return _with(envelope, idp_checksum=other)
    return None


def _earlier(envelope: _Envelope, around: Surroundings) -> _Envelope | None:
    for each in reversed(around.earlier):
        if each != envelope and (each.get("result") is not None):
            return dict(each)
    return None


def _swapped(envelope: _Envelope, around: Surroundings) -> _Envelope | None:
    if around.other_certificate is None or "cert" not in (envelope.get("result") or {}):
        return None
    return _with(envelope, cert=base64.b64encode(around.other_certificate).decode())


def _truncated(envelope: _Envelope, _: Surroundings) -> _Envelope | None:
    result = envelope.get("result") or {}
    if "signed_response" in result:
        return _with(envelope, signed_response=_half(result["signed_response"]))
    if "signed_response_set" in result:
        first, *others = result["signed_response_set"]
        return _with(envelope, signed_response_set=[_half(first), *others])
    return None


def _half(text: str) -> str:
    raw = base64.b64decode(text)
    return base64.b64encode(raw[: len(raw) // 2]).decode()


def _set_changed(
    change: Callable[[list[str]], list[str]],
) -> Callable[[_Envelope, Surroundings], _Envelope | None]:
    def way(envelope: _Envelope, _: Surroundings) -> _Envelope | None:
        signatures = (envelope.get("result") or {}).get("signed_response_set")
        if signatures is None or len(signatures) < 2:
            return None
        return _with(envelope, signed_response_set=change(list(signatures)))

    return way


_WAYS: dict[Alteration, Callable[[_Envelope, Surroundings], _Envelope | None]] = {
    Alteration.CODE_AS_NUMBER: _number,
    Alteration.CODE_BARE: _bare,
    Alteration.CODE_WITH_TAIL: _tail,
    Alteration.MISSING_FIELD: _missing_field,
    Alteration.MISSING_CHECKSUM: _missing_checksum,
    Alteration.EXTRA_FIELD: _extra_field,
    Alteration.CHECKSUM_ECHOED: _echoed,
    Alteration.CHECKSUM_OF_ANOTHER: _of_another,
    Alteration.EARLIER_ANSWER: _earlier,
    Alteration.SWAPPED_CERTIFICATE: _swapped,
    Alteration.TRUNCATED_SIGNATURE: _truncated,
    Alteration.SIGNATURES_REORDERED: _set_changed(lambda each: each[1:] + each[:1]),
    Alteration.SIGNATURE_MISSING: _set_changed(lambda each: each[:-1]),
    Alteration.SIGNATURE_DOUBLED: _set_changed(lambda each: [*each, each[-1]]),
}
