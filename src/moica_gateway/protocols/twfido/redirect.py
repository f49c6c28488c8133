"""WEB-01: the form that a browser posts to the Ministry's site, and the one that it brings back.

What is sent is flat: ``sign_info`` is not nested, and everything is text. The holder types the ID
number there, so the form has none.

What comes back came through a browser, without the user's cookies, and anyone may have made it:
only ``idp_checksum`` speaks for it, and only for the transaction_id that is ours. The
``id_num`` that it names has to be the one that was expected (``security.md`` 5). It stands in the
handle for that, as it came from us; the store seals a handle under the person's own key, like the
ID number itself. That the form counts once, and for whom its result is, is the caller's business.

A form is read strictly: ``application/x-www-form-urlencoded`` in ASCII and UTF-8, six known fields,
none twice. Specification: ``protocol/moi-sp-api.md`` "Web redirect, WEB-01".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from attrs import field, frozen

from moica_gateway.domain.models import Begin, Begun, Handle, SpKey
from moica_gateway.errors import error
from moica_gateway.ports import Random
from moica_gateway.protocols.twfido.envelope import Envelope, answer_invalid, make_envelope
from moica_gateway.protocols.twfido.operation import BATCH_SIGN, Operation, remember_operation
from moica_gateway.protocols.twfido.wire import WEB, sp_checksum

__all__ = [
    "MAX_FORM_BYTES",
    "Callback",
    "begin_redirect",
    "check_id_num",
    "is_redirect",
    "parse_callback",
    "presented_form",
]

MAX_FORM_BYTES: Final = 65_536
_PATH: Final = "/fidoRedirect/web"
_TRANSACTION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_FIELDS: Final = frozenset(
    {"transaction_id", "error_code", "id_num", "signed_response", "cert", "idp_checksum"}
)
_FORM: Final = "form"
_ID_NUM: Final = "id_num"


def begin_redirect(asked: Begin, operation: Operation, key: SpKey, random: Random) -> Begun:
    """The form, made once and kept in the handle: the same whenever it is shown.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
        RequestError: ``channel_unsupported`` for several documents, ``request_invalid`` for text
            that UTF-8 cannot carry.
    """
    if operation.op_code == BATCH_SIGN:
        raise error(
            "channel_unsupported",
            f"expected one document by redirect, came {operation.documents}; the integrator "
            "chooses push, qr or app_link, or a request for each document",
        )
    members: dict[str, str] = {
        "transaction_id": asked.upstream_transaction_id,
        "op_code": operation.op_code,
        "sp_service_id": asked.service_provider.sp_service_id,
        "sp_checksum": "",
        "hint": asked.hint,
        **operation.sign_info,
        "time_limit": str(asked.time_limit),
    }
    members["sp_checksum"] = sp_checksum(WEB, members, key, random)
    return Begun(
        handle=Handle(
            transaction_id=asked.upstream_transaction_id,
            ticket="",  # the platform makes one when the form arrives, and never shows it
            ticket_id="",
            sp_key_id=key.id,
            sent_checksums=(members["sp_checksum"],),
            extra={
                **remember_operation(operation),
                _FORM: members,
                _ID_NUM: asked.id_number.reveal(),
            },
        )
    )


def is_redirect(handle: Handle) -> bool:
    """Whether its answer is received and not polled."""
    return _FORM in handle.extra


def presented_form(handle: Handle, web_base_url: str) -> Mapping[str, Any]:
    """``{"action": …, "fields": {…}}`` for a form with method POST."""
    return {
        "action": f"{web_base_url.rstrip('/')}{_PATH}",
        "fields": dict(handle.extra[_FORM]),
    }


@frozen(kw_only=True)
class Callback:
    """A form in its grammar, not believed. ``transaction_id`` is what it claims."""

    transaction_id: str
    envelope: Envelope = field(repr=False)


def parse_callback(unverified: bytes) -> Callback:
    """The form that a body holds.

    Raises:
        VerificationError: ``answer_invalid`` or ``answer_ambiguous``, with nothing of the body in
            its words.
    """
    fields = _parse_form(unverified)
    transaction_id = fields.pop("transaction_id", "")
    if not _TRANSACTION_ID.fullmatch(transaction_id):
        raise answer_invalid("transaction_id of 1 to 100 characters of an id", "another form")
    return Callback(
        transaction_id=transaction_id,
        envelope=make_envelope(fields.pop("error_code", None), fields, unverified),
    )


def check_id_num(handle: Handle, unverified_id_num: str) -> None:
    """Return only if it is the ID number that was expected; compared in constant time.

    Raises:
        VerificationError: ``id_number_mismatch``, with neither of both in its words.
    """
    expected = str(handle.extra.get(_ID_NUM, ""))
    if not hmac.compare_digest(expected.encode(), unverified_id_num.encode()):
        raise error(
            "id_number_mismatch",
            "expected the confirmation of the person who was asked, the platform names another ID "
            "number; the answer is not accepted; the holder starts again with their own",
        )


def _parse_form(body: bytes) -> dict[str, str]:
    expected = "a form in application/x-www-form-urlencoded"
    if len(body) > MAX_FORM_BYTES:
        raise answer_invalid(f"{expected} of at most {MAX_FORM_BYTES} bytes", "a larger one")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=2 * len(_FIELDS),  # one too many is named as what it is
        )
    except ValueError as exc:
        raise answer_invalid(expected, "something else") from exc
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise error(
            "answer_ambiguous",
            "expected every field of the form once, came one given twice; the answer is not "
            "accepted",
        )
    if not fields.keys() <= _FIELDS:
        raise answer_invalid("the fields of the specification", "one that is none of them")
    return fields
