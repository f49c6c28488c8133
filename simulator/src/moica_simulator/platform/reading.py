"""How narrowly the platform reads a request: as clients agree, to the letter, or generously.

Moi-sp-api.md leaves room: a number may come as text, a name in other letters, a field that nobody
described. `STRICT` refuses whatever a reading of that file could refuse, `LENIENT` takes whatever
still has one meaning. Both are guesses at what a real platform might do, and no more; what is
refused or accepted here beyond `AGREED` is assumed (confidence C).

Only fields are read here. Content types, JSON itself and the pace of polls are the business of
`web.platform_api`.
"""

import enum
import re
from collections.abc import Mapping
from typing import Any

from moica_simulator.errors import PlatformError
from moica_simulator.platform.wire import Interface

__all__ = ["Reading"]

_LOWER_HEX = re.compile(r"[0-9a-f]*")
_VISIBLE = re.compile(r"[!-~]+")
_WHOLE = re.compile(r"\s*([0-9]{1,9})(?:\.0+)?\s*")

_EVERY = ("transaction_id", "sp_service_id", "sp_checksum")
_TICKET = (*_EVERY, "id_num", "op_code", "hint", "time_limit", "sign_info")
_FIELDS: Mapping[Interface, frozenset[str]] = {
    Interface.GET_SP_TICKET: frozenset({*_TICKET, "op_mode"}),
    Interface.GET_RESULT: frozenset({*_EVERY, "sp_ticket_id"}),
    Interface.REQUEST_PUSH: frozenset({*_TICKET, "device_user_def_desc"}),
    Interface.BATCH_SIGN: frozenset({*_TICKET, "op_mode"}),
    Interface.DEVICE_STATUS: frozenset({*_EVERY, "id_num"}),
    Interface.REDIRECT: frozenset(
        {
            *(*_EVERY, "op_code", "hint", "time_limit", "sign_type", "sign_data"),
            *("tbs_encoding", "hash_algorithm"),
        }
    ),
}
_SIGN_INFO = frozenset({"sign_type", "tbs_encoding", "hash_algorithm"})
_WORDS = {
    word.casefold(): word
    for word in (
        *("ATH", "SIGN", "NFCSIGN", "BATSIGN", "I-SCAN", "APP2APP", "MWEB2APP", "PUSH"),
        *("PKCS#1", "PKCS#7", "RAW", "NONE", "base64"),
        *("SHA1", "SHA256", "SHA384", "SHA512"),
    )
} | {f"sha-{bits}": f"SHA{bits}" for bits in (1, 256, 384, 512)}
_WORD_FIELDS = ("op_code", "op_mode", "sign_type", "tbs_encoding", "hash_algorithm")


class Reading(enum.Enum):
    """How narrowly requests are read."""

    AGREED = "agreed"
    STRICT = "strict"
    LENIENT = "lenient"

    def as_text(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns a body as its checksum is computed over it: generously, a number is its digits.

        Everything else stays as it was sent, or no client could know what to cover.
        """
        if self is not Reading.LENIENT:
            return body
        return {
            name: _texts(value) if name != "time_limit" else value for name, value in body.items()
        }

    def check_checksum(self, claimed: str) -> None:
        """Raises `PlatformError` `INV_SP_CHECKSUM` for a checksum of another spelling."""
        if self is Reading.STRICT and not _LOWER_HEX.fullmatch(claimed):
            raise PlatformError("INV_SP_CHECKSUM", "sp_checksum must be lower-case hexadecimal")

    def fields(self, interface: Interface, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns a body whose checksum was right, as its fields are to be parsed.

        Raises:
            PlatformError: To the letter only: `PM_INV_NF`, `SPTKT_TIME_FT_ERR`.
        """
        match self:
            case Reading.AGREED:
                return body
            case Reading.STRICT:
                _refuse(interface, body)
                return body
            case Reading.LENIENT:
                return _generous(body)


def _texts(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _texts(each) for name, each in value.items()}
    return [_texts(each) for each in value] if isinstance(value, list) else value


def _refuse(interface: Interface, body: Mapping[str, Any]) -> None:
    data = "sign_data_set" if interface is Interface.BATCH_SIGN else "sign_data"
    info = body.get("sign_info")
    parts = [("", body, _FIELDS[interface])]
    if isinstance(info, Mapping):
        parts.append(("sign_info.", info, _SIGN_INFO | {data}))
    for where, part, known in parts:
        if strange := sorted(set(part) - known):
            raise PlatformError(
                "PM_INV_NF", f"{interface} has no field {where}{strange[0]}; leave it out"
            )
        if empty := sorted(name for name, value in part.items() if value is None):
            raise PlatformError("PM_INV_NF", f"{where}{empty[0]} is null; leave it out")
    transaction_id = body.get("transaction_id")
    if (
        isinstance(transaction_id, str)
        and transaction_id
        and not _VISIBLE.fullmatch(transaction_id)
    ):
        raise PlatformError("PM_INV_NF", "transaction_id must be visible ASCII")
    # A form has text only.
    if interface is not Interface.REDIRECT and isinstance(body.get("time_limit"), str):
        raise PlatformError("SPTKT_TIME_FT_ERR", "time_limit must be a JSON number")


def _generous(body: Mapping[str, Any]) -> Mapping[str, Any]:
    read = _words(body)
    info = body.get("sign_info")
    if isinstance(info, Mapping):
        read["sign_info"] = _data(_words(info))
    elif "sign_data" in read:
        read = _data(read)  # the flat form of WEB-01
    if isinstance(id_number := read.get("id_num"), str):
        read["id_num"] = id_number.strip().upper()
    limit = read.get("time_limit")
    if limit == "":
        read["time_limit"] = None
    elif isinstance(limit, str | float) and (whole := _WHOLE.fullmatch(str(limit))):
        read["time_limit"] = int(whole[1])
    return read


def _words(part: Mapping[str, Any]) -> dict[str, Any]:
    read = dict(part)
    for name in _WORD_FIELDS:
        if isinstance(value := read.get(name), str):
            read[name] = _WORDS.get(value.strip().casefold(), value)
    return read


def _data(info: dict[str, Any]) -> dict[str, Any]:
    """Turns base64 of any usual spelling into the standard one."""
    if info.get("tbs_encoding") != "base64":
        return info
    if isinstance(info.get("sign_data"), str):
        info["sign_data"] = _standard_base64(info["sign_data"])
    if isinstance(several := info.get("sign_data_set"), list):
        info["sign_data_set"] = [
            _standard_base64(each) if isinstance(each, str) else each for each in several
        ]
    return info


def _standard_base64(text: str) -> str:
    plain = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    return plain + "=" * (-len(plain) % 4)
