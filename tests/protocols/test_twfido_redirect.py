"""WEB-01: the form that leaves, and the one that comes back through a browser."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from moica_gateway.domain.models import (
    Approved,
    Begun,
    CertificateSignature,
    Challenge,
    ChallengeStatus,
    Channel,
    Fault,
    HolderPresent,
    Lapsed,
    Pending,
    Presentation,
    Refused,
    ServiceProvider,
)
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import CATALOGUE, RequestError
from moica_gateway.protocols.twfido.codes import CODES
from moica_gateway.protocols.twfido.redirect import MAX_FORM_BYTES
from moica_gateway.stores.codec import from_bytes, to_bytes
from moica_gateway.stores.rows import ChallengePersonal

OTHER_PERSON = "B123456780"


async def begun(platform: Any, **changes: Any) -> Any:
    return await platform.wide.begin(platform.asked(Channel.REDIRECT, **changes))


async def handle_of(platform: Any, **changes: Any) -> Any:
    result = await begun(platform, **changes)
    assert isinstance(result, Begun), result
    return result.handle


async def received(platform: Any, body: bytes, **changes: Any) -> Any:
    handle = await handle_of(platform, **changes)
    return platform.wide.receive(handle, platform.provider, body)


# -- what leaves -----------------------------------------------------------------------------------


async def test_the_form_is_flat_and_covered_as_specified(platform: Any) -> None:
    """Action and fields for a browser; nothing is sent from here, and no ID number leaves."""
    handle = await handle_of(platform)
    shown = platform.wide.presentation(handle, Channel.REDIRECT, None)
    form = dict(shown.form)
    assert shown == Presentation(form=form)
    fields = dict(form["fields"])
    data = base64.b64encode(b"DOC_DIGEST_1234567890").decode()
    checksum = fields["sp_checksum"]
    assert form["action"] == "https://web.platform.test/fidoRedirect/web"
    assert fields == {
        "transaction_id": platform.TXN,
        "op_code": "SIGN",
        "sp_service_id": platform.SERVICE,
        "sp_checksum": checksum,
        "hint": platform.HINT,
        "sign_type": "PKCS#1",
        "sign_data": data,
        "tbs_encoding": "base64",
        "hash_algorithm": "SHA256",
        "time_limit": "60",
    }
    iv = bytes.fromhex(checksum[:24])
    assert any(iv)
    covered = f"{platform.TXN}{platform.SERVICE}SIGN{platform.HINT}{data}"
    assert platform.checksum(covered, iv=iv) == checksum
    assert handle.sent_checksums == (checksum,)
    assert platform.egress.requests == []
    assert "A123456789" not in json.dumps(form)


async def test_the_same_form_is_shown_each_time_and_another_for_each_beginning(
    platform: Any,
) -> None:
    """A reload must not make a second transaction; a second one has an IV of its own."""
    one, two = await handle_of(platform), await handle_of(platform)
    shown = [
        platform.wide.presentation(handle, Channel.REDIRECT, "https://oa.example.tw/")
        for handle in (one, one, two)
    ]
    assert shown[0] == shown[1]
    checksums = [dict(each.form)["fields"]["sp_checksum"] for each in shown]
    assert checksums[0][:24] != checksums[2][:24]


async def test_the_form_for_presence_has_nothing_to_sign(platform: Any) -> None:
    """op_code ATH without the fields of sign_info."""
    handle = await handle_of(platform, messages=(), presence=True)
    form = dict(platform.wide.presentation(handle, Channel.REDIRECT, None).form)
    fields = form["fields"]
    assert list(fields) == [
        "transaction_id",
        "op_code",
        "sp_service_id",
        "sp_checksum",
        "hint",
        "time_limit",
    ]
    covered = f"{platform.TXN}{platform.SERVICE}ATH{platform.HINT}"
    iv = bytes.fromhex(fields["sp_checksum"][:24])
    assert platform.checksum(covered, iv=iv) == fields["sp_checksum"]


async def test_a_handle_survives_the_store_and_shows_no_one(platform: Any) -> None:
    """It is sealed as JSON under the person's key; a repr shows neither person nor form."""
    handle = await handle_of(platform)
    personal = ChallengePersonal(handle=handle)
    assert from_bytes(ChallengePersonal, to_bytes(personal)) == personal
    text = repr(handle)
    assert "A123456789" not in text
    assert "sp_checksum" not in text
    challenge = Challenge(
        id="c",  # type: ignore[arg-type]
        channel=Channel.REDIRECT,
        status=ChallengeStatus.SENT,
        upstream_transaction_id=platform.TXN,
        time_limit=60,
        created_at=platform.clock.now(),
        expires_at=platform.clock.now(),
        sp_key_id="key-2",
        handle=handle,
    )
    assert "A123456789" not in repr(challenge)


async def test_a_redirect_is_not_polled(platform: Any) -> None:
    """The poller waits for its deadline and asks nobody."""
    handle = await handle_of(platform)
    assert await platform.wide.poll(handle, platform.provider) == Pending()
    assert platform.egress.requests == []


async def test_a_redirect_is_shown_by_its_own_channel_only(platform: Any) -> None:
    """There is no ticket for a code or a link, and no form for a ticket."""
    handle = await handle_of(platform)
    for channel in (Channel.QR, Channel.APP_LINK, Channel.PUSH):
        assert platform.wide.presentation(handle, channel, None) == Presentation()
    ticket = platform.handle()
    assert platform.wide.presentation(ticket, Channel.REDIRECT, None) == Presentation()
    assert platform.upstream.presentation(handle, Channel.REDIRECT, None) == Presentation()


async def test_without_a_site_there_is_no_redirect(platform: Any) -> None:
    """The channel is neither named nor taken."""
    assert Channel.REDIRECT in platform.wide.channels
    assert Channel.REDIRECT not in platform.upstream.channels
    result = await platform.upstream.begin(platform.asked(Channel.REDIRECT))
    assert isinstance(result, Fault)
    assert result.problem.code == "channel_unsupported"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"messages": (Tbs(b"a"), Tbs(b"b"))}, "channel_unsupported"),
        ({"messages": ()}, "request_invalid"),
        ({"messages": (Tbs(b""),)}, "request_invalid"),
        ({"hint": "\ud800"}, "request_invalid"),
        (
            {"service_provider": ServiceProvider(sp_service_id="1", keys=())},
            "configuration_invalid",
        ),
    ],
)
async def test_what_no_form_can_ask_is_a_fault(platform: Any, changes: Any, code: str) -> None:
    """A batch by redirect is not specified; the rest as everywhere."""
    result = await begun(platform, **changes)
    assert isinstance(result, Fault)
    assert result.problem.code == code


# -- what comes back -------------------------------------------------------------------------------


async def test_an_authentic_form_is_an_approval(platform: Any) -> None:
    """Certificate and signature to be judged, the whole body kept, and no hashed_id_num."""
    body = platform.form()
    answer = await received(platform, body)
    assert isinstance(answer, Approved), answer
    proof = answer.proof
    assert isinstance(proof, CertificateSignature)
    assert proof.unverified_signatures == (b"s" * 256,)
    assert proof.unverified_certificate.startswith(b"0\x82")
    assert proof.hashed_id_num is None
    assert proof.raw == body
    assert platform.alarms == []


async def test_an_authentic_form_of_presence_is_presence(platform: Any) -> None:
    """Nothing of a certificate in it."""
    body = platform.form(signed_response=..., cert=...)
    answer = await received(platform, body, messages=(), presence=True)
    assert answer == Approved(proof=HolderPresent(hashed_id_num=None, raw=body))


async def test_empty_fields_are_absent_ones(platform: Any) -> None:
    """A form has no null."""
    body = platform.form(signed_response="", cert="")
    answer = await received(platform, body, messages=(), presence=True)
    assert isinstance(answer, Approved)


async def test_a_form_under_the_previous_key_counts(platform: Any) -> None:
    """Until the previous key is retired."""
    covered = f"{platform.TXN}0A123456789{platform.SIGNATURE}"
    previous = platform.checksum(covered, key=platform.PREVIOUS_KEY)
    assert isinstance(await received(platform, platform.form(idp_checksum=previous)), Approved)


def own(handle: Any, platform: Any) -> bytes:
    body: bytes = platform.form(idp_checksum=handle.sent_checksums[0])
    return body


def covered_by_us(p: Any) -> bytes:
    data = base64.b64encode(b"DOC_DIGEST_1234567890").decode()
    asked = f"{p.TXN}{p.SERVICE}SIGN{p.HINT}{data}"
    body: bytes = p.form(idp_checksum=p.checksum(asked, iv=b"another-iv-1"))
    return body


FORGED: list[tuple[str, str, Any]] = [
    # -- who made it
    ("no checksum", "checksum_missing", lambda p: p.form(idp_checksum=...)),
    ("empty checksum", "checksum_missing", lambda p: p.form(idp_checksum="")),
    ("checksum of another form", "checksum_invalid", lambda p: p.form(idp_checksum="00")),
    (
        "upper case",
        "checksum_invalid",
        lambda p: p.form(idp_checksum=p.checksum("x").upper()),
    ),
    (
        "a stranger's key",
        "checksum_invalid",
        lambda p: p.form(
            idp_checksum=p.checksum(f"{p.TXN}0A123456789{p.SIGNATURE}", key=p.STRANGE_KEY)
        ),
    ),
    (
        "another transaction's checksum",
        "checksum_mismatch",
        lambda p: p.form(covered=f"{p.TXN[:-1]}e0A123456789{p.SIGNATURE}"),
    ),
    (
        "another transaction's form",
        "answer_invalid",
        lambda p: p.form(
            transaction_id=p.TXN[:-1] + "e", covered=f"{p.TXN}0A123456789{p.SIGNATURE}"
        ),
    ),
    ("what we covered", "checksum_reflected", covered_by_us),
    (
        "a poll's result",
        "checksum_mismatch",
        lambda p: p.form(covered=f"{p.TXN}0{p.HASHED}{p.SIGNATURE}"),
    ),
    (
        "a refusal's checksum on success",
        "checksum_mismatch",
        lambda p: p.form(covered=f"{p.TXN}APP_USER_CANCELA123456789{p.SIGNATURE}"),
    ),
    (
        "zero IV",
        "checksum_invalid",
        lambda p: p.form(idp_checksum=p.checksum(f"{p.TXN}0A123456789{p.SIGNATURE}", iv=bytes(12))),
    ),
    # -- for whom
    ("another person", "id_number_mismatch", lambda p: p.form(id_num=OTHER_PERSON)),
    (
        "another person under the right one's checksum",
        "checksum_mismatch",
        lambda p: p.form(id_num=OTHER_PERSON, covered=f"{p.TXN}0A123456789{p.SIGNATURE}"),
    ),
    ("no person", "answer_incomplete", lambda p: p.form(id_num=...)),
    ("lower case person", "answer_invalid", lambda p: p.form(id_num="a123456789")),
    ("person and space", "answer_invalid", lambda p: p.form(id_num="A123456789 ")),
    ("person and line end", "answer_invalid", lambda p: p.form(id_num="A123456789\n")),
    ("full-width person", "answer_invalid", lambda p: p.form(id_num="Ａ123456789")),
    ("a hash for a person", "answer_invalid", lambda p: p.form(id_num=p.HASHED)),
    (
        "border moved",
        "answer_invalid",
        lambda p: p.form(id_num="A123456789" + p.SIGNATURE[:4], signed_response=p.SIGNATURE[4:]),
    ),
    # -- success is exactly 0
    ("0 with a tail", "answer_invalid", lambda p: p.form(error_code="0: SUCCESS")),
    ("0 with a space", "answer_invalid", lambda p: p.form(error_code="0 ")),
    ("0 with its interface", "answer_invalid", lambda p: p.form(error_code="SP-API-WEB-01-0")),
    ("00", "upstream_unknown_code", lambda p: p.form(error_code="00")),
    ("no code", "answer_invalid", lambda p: p.form(error_code=...)),
    ("an empty code", "answer_invalid", lambda p: p.form(error_code="")),
    # -- what it brings
    ("signature changed", "checksum_mismatch", lambda p: p.form(covered=f"{p.TXN}0A123456789YQ==")),
    ("no signature", "answer_incomplete", lambda p: p.form(signed_response=...)),
    ("no certificate", "answer_incomplete", lambda p: p.form(cert=...)),
    ("certificate as PEM", "answer_invalid", lambda p: p.form(cert=f"-----BEGIN\n{p.CERT}")),
    ("certificate too large", "answer_invalid", lambda p: p.form(cert="AAAA" * 5462)),
    ("signature too large", "answer_invalid", lambda p: p.form(signed_response="AAAA" * 400)),
    (
        "signature whose plus became a space",
        "answer_invalid",
        lambda p: p.form(signed_response="+/+/").replace(b"%2B", b"+"),
    ),
    # -- the form
    ("empty", "answer_invalid", b""),
    ("JSON", "answer_invalid", b'{"transaction_id": "x"}'),
    ("multipart", "answer_invalid", b"--x\r\nContent-Disposition: form-data\r\n\r\n--x--"),
    ("not ASCII", "answer_invalid", lambda p: p.form() + b"\xe4"),
    ("no UTF-8", "answer_invalid", lambda p: p.form() + b"%ff"),
    ("a name without a value", "answer_invalid", lambda p: p.form() + b"&error_code"),
    ("an empty part", "answer_invalid", lambda p: p.form() + b"&&"),
    ("a byte order mark", "answer_invalid", lambda p: b"\xef\xbb\xbf" + p.form()),
    ("an unknown field", "answer_invalid", lambda p: p.form(rtn_val="x")),
    ("a field in upper case", "answer_invalid", lambda p: p.form(CERT="x", cert=...)),
    ("sp_checksum beside", "answer_invalid", lambda p: p.form(sp_checksum="0" * 184, cert=...)),
    ("hundreds of fields", "answer_invalid", lambda p: p.form() + b"&a=b" * 500),
    ("too large", "answer_invalid", lambda p: p.form(cert="A" * MAX_FORM_BYTES)),
    ("no transaction", "answer_invalid", lambda p: p.form(transaction_id=...)),
    ("an odd transaction", "answer_invalid", lambda p: p.form(transaction_id="x y")),
    ("a long transaction", "answer_invalid", lambda p: p.form(transaction_id="x" * 101)),
]


@pytest.mark.parametrize(
    ("code", "make"), [row[1:] for row in FORGED], ids=[row[0] for row in FORGED]
)
async def test_a_form_that_is_not_authentic_is_never_an_approval(
    platform: Any, code: str, make: Any
) -> None:
    """Each with its code, and nothing of what came in the words."""
    answer = await received(platform, make(platform) if callable(make) else make)
    assert isinstance(answer, Fault), answer
    assert answer.problem.code == code
    assert code in CATALOGUE
    words = json.dumps(answer.problem.to_json())
    for value in (OTHER_PERSON, "A123456789", platform.SIGNATURE, platform.CERT):
        assert value not in words


@pytest.mark.parametrize(
    "name", ["transaction_id", "error_code", "id_num", "signed_response", "cert", "idp_checksum"]
)
async def test_a_field_given_twice_is_refused_also_with_the_same_value(
    platform: Any, name: str
) -> None:
    """Two readers would see two answers."""
    form = platform.form()
    for value in (dict(parse_qsl(form.decode()))[name], "x", ""):
        body = form + b"&" + urlencode({name: value}).encode()
        answer = await received(platform, body)
        assert isinstance(answer, Fault)
        assert answer.problem.code == "answer_ambiguous"


async def test_our_own_checksum_sent_back_is_recognised(platform: Any) -> None:
    """The form's, which every browser sees."""
    handle = await handle_of(platform)
    answer = platform.wide.receive(handle, platform.provider, own(handle, platform))
    assert isinstance(answer, Fault)
    assert answer.problem.code == "checksum_reflected"


async def test_another_person_is_an_alarm_and_the_holder_s_to_correct(platform: Any) -> None:
    """It is authentic, and still not the one who was asked."""
    answer = await received(platform, platform.form(id_num=OTHER_PERSON))
    assert answer.problem.what_helps == "fail"
    assert answer.problem.who_can_act == "holder"
    assert "身分證字號" in answer.problem.user_message["zh-TW"]


async def test_the_expected_person_is_the_handle_s(platform: Any) -> None:
    """Without one nobody is expected, and everybody refused."""
    handle = await handle_of(platform)
    for extra in (
        {n: v for n, v in handle.extra.items() if n != "id_num"},
        {**handle.extra, "id_num": ""},
        {**handle.extra, "id_num": OTHER_PERSON},
    ):
        answer = platform.wide.receive(
            evolve(handle, extra=extra), platform.provider, platform.form()
        )
        assert isinstance(answer, Fault)
        assert answer.problem.code == "id_number_mismatch"


@pytest.mark.parametrize("presence", [True, False])
async def test_a_repeated_iv_refuses_and_does_so_every_time(platform: Any, presence: bool) -> None:
    """For the ID number there is no other evidence, whether or not something was signed."""
    changes = {"messages": (), "presence": True} if presence else {}
    fields = {"signed_response": ..., "cert": ...} if presence else {}
    iv = b"the-same-iv!"
    tail = "" if presence else platform.SIGNATURE
    first = platform.checksum(f"{platform.TXN}0A123456789{tail}", iv=iv)
    body = platform.form(idp_checksum=first, **fields)
    assert isinstance(await received(platform, body, **changes), Approved)
    other = platform.TXN[:-1] + "e"
    second = platform.checksum(f"{other}0A123456789{tail}", iv=iv)
    for _ in range(2):
        answer = await received(
            platform,
            platform.form(transaction_id=other, idp_checksum=second, **fields),
            upstream_transaction_id=other,
            **changes,
        )
        assert isinstance(answer, Fault)
        assert answer.problem.code == "checksum_invalid"
    assert {event for event, _ in platform.alarms} == {"security.upstream_iv_repeated"}


async def test_presence_does_not_pass_for_a_signature_nor_the_reverse(platform: Any) -> None:
    """The handle says what was asked for."""
    presence = await received(platform, platform.form(signed_response=..., cert=...))
    assert isinstance(presence, Fault)
    assert presence.problem.code == "answer_incomplete"
    signed = await received(platform, platform.form(), messages=(), presence=True)
    assert isinstance(signed, Fault)
    assert signed.problem.code == "answer_invalid"


async def test_codes_mean_what_they_mean_for_a_poll(platform: Any) -> None:
    """Refusal, lapse and waiting; without a checksum an ending, recorded as unsigned."""

    async def came(code: str, **fields: Any) -> Any:
        values = {"id_num": ..., "signed_response": ..., "cert": ...} | fields
        return await received(platform, platform.form(error_code=code, **values))

    refused = await came("SP-API-WEB-01-APP_USER_CANCEL: 使用者取消", idp_checksum=...)
    assert isinstance(refused, Refused)
    assert refused.problem.extra["unsigned"] is True
    signed = await came("APP_USER_CANCEL")
    assert isinstance(signed, Refused)
    assert "unsigned" not in signed.problem.extra
    assert await came("SPTKT_OVD") == Lapsed()
    assert await came("20002", idp_checksum=...) == Pending()
    wrong = await came("APP_USER_CANCEL", idp_checksum="ab" * 92)
    assert wrong.problem.code == "checksum_invalid"
    for code in sorted(CODES):
        answer = await came(code)
        assert not isinstance(answer, Approved)


# -- finding the challenge -------------------------------------------------------------------------


def test_the_claimed_transaction_finds_the_challenge(platform: Any) -> None:
    """Anyone may have written it."""
    assert platform.wide.claimed_transaction_id(platform.form()) == platform.TXN
    unsigned = platform.form(idp_checksum=..., error_code="APP_USER_CANCEL", id_num=...)
    assert platform.wide.claimed_transaction_id(unsigned) == platform.TXN


@pytest.mark.parametrize(
    "make",
    [
        b"",
        b"transaction_id=",
        b"{}",
        b"\xff",
        lambda p: p.form() + b"&x=y",
        lambda p: p.form() + b"&transaction_id=z",
        lambda p: p.form(transaction_id=...),
        lambda p: p.form(cert="A" * MAX_FORM_BYTES),
        lambda p: p.form(error_code=...),
    ],
)
def test_a_body_that_is_no_such_form_finds_nothing(platform: Any, make: Any) -> None:
    """The caller's mistake, said without what came: nothing of ours changes."""
    body = make(platform) if callable(make) else make
    with pytest.raises(RequestError) as caught:
        platform.wide.claimed_transaction_id(body)
    assert caught.value.code == "request_malformed"
    assert "A123456789" not in str(caught.value)


async def test_receiving_logs_nothing_of_what_came(platform: Any) -> None:
    """No exchange of ours took place."""
    with capture_logs() as lines:
        await received(platform, platform.form())
        await received(platform, platform.form(id_num=OTHER_PERSON))
    assert lines == []
