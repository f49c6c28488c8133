"""LF-01: what the platform knows of a person's phones, believed by its checksum alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from moica_gateway.domain.models import DeviceStatus, Fault, ServiceProvider, SpKey
from moica_gateway.domain.values import IdNumber
from moica_gateway.ports import EgressError, EgressReply
from moica_gateway.protocols.twfido.checksum import parse_aes_key
from moica_gateway.protocols.twfido.codes import CODES

PERSON = IdNumber.parse("A123456789")
URL = "https://platform.test/moise/sp/checkDeviceStatus"


def answer_of(platform: Any, fido: Any = "Y", sign: Any = "Y", **changes: Any) -> dict[str, Any]:
    members = {
        "is_fido": fido,
        "is_mcert_sign": sign,
        "idp_checksum": platform.checksum(f"{platform.TXN}0{fido}{sign}"),
    }
    members = {n: v for n, v in (members | changes).items() if v is not ...}
    return {"error_code": "0", "error_message": "SUCCESS", "result": members}


async def status(platform: Any, came: Any, **changes: Any) -> Any:
    if callable(came):
        platform.egress.script(URL, came)
    else:
        body = came if isinstance(came, bytes) else json.dumps(came).encode()
        platform.egress.reply(URL, body)
    values = {"service_provider": platform.provider, "upstream_transaction_id": platform.TXN}
    values |= changes
    return await platform.upstream.device_status(id_number=PERSON, **values)


@pytest.mark.parametrize("fido", ["Y", "N"])
@pytest.mark.parametrize("sign", ["Y", "N"])
async def test_both_flags_come_out(platform: Any, fido: str, sign: str) -> None:
    """Y and N, and nothing personal asked for but the ID number."""
    found = await status(platform, answer_of(platform, fido, sign))
    assert found == DeviceStatus(bound=fido == "Y", certificate_usable=sign == "Y")
    (request,) = platform.egress.requests
    body = request.json()
    checksum = body.pop("sp_checksum")
    assert body == {
        "transaction_id": platform.TXN,
        "sp_service_id": platform.SERVICE,
        "id_num": "A123456789",
    }
    covered = f"{platform.TXN}{platform.SERVICE}A123456789"
    iv = bytes.fromhex(checksum[:24])
    assert any(iv)
    assert platform.checksum(covered, iv=iv) == checksum


async def test_the_vector_s_answer_is_read(platform: Any, vectors: Any) -> None:
    """Made by another implementation."""
    (vector,) = [v for v in vectors["checksums"] if v["name"] == "LF-01 idp_checksum"]
    fields = vector["fields"]
    key = SpKey(id="v", key=parse_aes_key(vectors["aes_key_base64"]), current=True)
    provider = ServiceProvider(sp_service_id=platform.SERVICE, keys=(key,))
    names = ("is_fido", "is_mcert_sign")
    result = {name: fields[name] for name in names} | {"idp_checksum": vector["checksum"]}
    found = await status(
        platform,
        {"error_code": fields["error_code"], "result": result},
        service_provider=provider,
        upstream_transaction_id=fields["transaction_id"],
    )
    assert found == DeviceStatus(bound=True, certificate_usable=False)


def sent_back(platform: Any) -> Any:
    def reply(request: Any) -> EgressReply:
        own = request.json()["sp_checksum"]
        body = json.dumps(answer_of(platform, idp_checksum=own)).encode()
        return EgressReply(status=200, headers={}, body=body)

    return reply


REFUSED: list[tuple[str, str, Any]] = [
    *[
        (f"is_fido {value!r}", "answer_invalid", lambda p, v=value: answer_of(p, is_fido=v))
        for value in ("y", "YES", "Y ", "1", "YN", True, 1, ["Y"], {"Y": 1})
    ],
    *[
        (f"is_mcert_sign {value!r}", "answer_invalid", lambda p, v=value: answer_of(p, "Y", v))
        for value in ("n", "NO", "\n", "Ｎ", 0.0)
    ],
    ("no is_fido", "answer_incomplete", lambda p: answer_of(p, is_fido=...)),
    ("is_mcert_sign null", "answer_incomplete", lambda p: answer_of(p, is_mcert_sign=None)),
    ("border moved", "answer_invalid", lambda p: answer_of(p, is_fido="YY", is_mcert_sign="")),
    ("no checksum", "checksum_missing", lambda p: answer_of(p, idp_checksum=...)),
    ("a flag changed", "checksum_mismatch", lambda p: answer_of(p, is_mcert_sign="N")),
    (
        "flags exchanged",
        "checksum_mismatch",
        lambda p: answer_of(p, "N", "Y", is_fido="Y", is_mcert_sign="N"),
    ),
    ("our own", "checksum_reflected", sent_back),
    (
        "what we covered",
        "checksum_reflected",
        lambda p: answer_of(p, idp_checksum=p.checksum(f"{p.TXN}{p.SERVICE}A123456789")),
    ),
    (
        "an earlier look-up's",
        "checksum_mismatch",
        lambda p: answer_of(p, idp_checksum=p.checksum(f"{p.TXN[:-1]}e0YY")),
    ),
    (
        "zero IV",
        "checksum_invalid",
        lambda p: answer_of(p, idp_checksum=p.checksum(f"{p.TXN}0YY", iv=bytes(12))),
    ),
    ("name twice", "answer_ambiguous", b'{"error_code":"0","error_code":"0"}'),
    (
        "code with a wrong checksum",
        "checksum_invalid",
        {"error_code": "IDNUM_DEVPROF_NF", "result": {"idp_checksum": "ab" * 92}},
    ),
]


@pytest.mark.parametrize(
    ("code", "make"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_anything_but_an_authentic_y_or_n_is_refused(
    platform: Any, code: str, make: Any
) -> None:
    """A verification failure with its own code, and no ID number in its words."""
    found = await status(platform, make(platform) if callable(make) else make)
    assert isinstance(found, Fault), found
    assert (found.problem.code, found.problem.what_helps) == (code, "fail")
    assert not found.spoke
    assert "A123456789" not in json.dumps(found.problem.to_json())


async def test_a_repeated_iv_refuses_and_does_so_every_time(platform: Any) -> None:
    """The second under one IV may be a forger's."""
    other = "51570c02-5226-4d2e-8391-839ed31123cf"
    iv = b"the-same-iv!"
    first = answer_of(platform, idp_checksum=platform.checksum(f"{platform.TXN}0YY", iv=iv))
    assert isinstance(await status(platform, first), DeviceStatus)
    platform.egress.clear()
    again = answer_of(platform, idp_checksum=platform.checksum(f"{other}0YY", iv=iv))
    for _ in range(2):
        found = await status(platform, again, upstream_transaction_id=other)
        assert isinstance(found, Fault)
        assert found.problem.code == "checksum_invalid"


@pytest.mark.parametrize("code", sorted(CODES))
async def test_every_code_is_a_fault_with_its_row(platform: Any, code: str) -> None:
    """A code that belongs to polling is unknown here."""
    found = await status(platform, {"error_code": f"SP-API-LF-01-{code}"})
    assert isinstance(found, Fault)
    assert found.spoke
    assert found.problem.upstream_code == code
    row = CODES[code]
    expected = "upstream_unknown_code" if row.helps == "poll" else row.ours
    assert found.problem.code == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"result":{}}'])
async def test_an_unreadable_body_may_be_asked_for_again(platform: Any, body: bytes) -> None:
    """Nothing was said."""
    found = await status(platform, body)
    assert isinstance(found, Fault)
    assert (found.problem.code, found.problem.what_helps) == ("upstream_malformed", "retry")


async def test_a_broken_line_missing_key_or_odd_text_is_a_fault(platform: Any) -> None:
    """Never an exception."""

    def broken(request: Any) -> EgressReply:
        raise EgressError("timeout", "d", maybe_sent=True)

    found = await status(platform, broken)
    assert found.problem.code == "upstream_unreachable"
    nobody = ServiceProvider(sp_service_id=platform.SERVICE, keys=())
    found = await status(platform, b"", service_provider=nobody)
    assert found.problem.code == "configuration_invalid"
    found = await status(platform, b"", upstream_transaction_id="\ud800")
    assert found.problem.code == "request_invalid"


async def test_cancelling_goes_through(platform: Any) -> None:
    """CancelledError is the one exception that leaves."""

    def cancelled(request: Any) -> EgressReply:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await status(platform, cancelled)


async def test_a_look_up_logs_no_person(platform: Any) -> None:
    """Interface, code, status and duration only."""
    with capture_logs() as lines:
        await status(platform, answer_of(platform))
    assert [line["interface"] for line in lines] == ["SP-API-LF-01"]
    assert "A123456789" not in repr(lines)
