"""Whatever arrives, an answer comes out and no exception."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moica_gateway.domain.models import (
    Approved,
    Begun,
    Channel,
    DeviceStatus,
    Fault,
    Lapsed,
    Pending,
    Refused,
    StartUnknown,
)
from moica_gateway.domain.values import HashAlgorithm, IdNumber, SignatureForm, Tbs
from moica_gateway.errors import CATALOGUE, GatewayError
from moica_gateway.protocols.twfido.codes import normalise
from moica_gateway.protocols.twfido.ticket import parse_ticket

PUSH = "https://platform.test/moise/sp/requestAthOrSignPush"
RESULT = "https://platform.test/moise/sp/getAthOrSignResult"
BATCH = "https://platform.test/moise/sp/doBatchSigning"
STATUS = "https://platform.test/moise/sp/checkDeviceStatus"
PERSON = IdNumber.parse("A123456789")
EXTRAS = (
    {},
    {"op_code": "BATSIGN", "sign_type": "PKCS#7", "documents": 3},
    {"op_code": "ATH", "sign_type": None, "documents": 0},
)

_relaxed = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
codes = st.sampled_from(
    ["0", 0, "20002", "SPTKT_OVD", "SP-API-ATH-02-APP_USER_CANCEL", "NEW", "", None]
)
envelopes = st.fixed_dictionaries(
    {"error_code": codes | anything},
    optional={
        "error_message": anything,
        "result": anything
        | st.fixed_dictionaries(
            {},
            optional={
                name: anything | st.text(alphabet="0123456789abcdef", min_size=184, max_size=184)
                for name in (
                    "sp_ticket",
                    "hashed_id_num",
                    "signed_response",
                    "signed_response_set",
                    "is_fido",
                    "is_mcert_sign",
                    "cert",
                    "idp_checksum",
                )
            },
        ),
    },
)


async def every(platform: Any, body: bytes) -> list[Any]:
    """What each interface makes of one and the same answer."""
    platform.egress.clear()
    for url in (PUSH, RESULT, BATCH, STATUS):
        platform.egress.reply(url, body)
    upstream, provider = platform.wide, platform.provider
    two = (Tbs(b"1"), Tbs(b"2"))
    return [
        await upstream.begin(platform.asked()),
        await upstream.begin(platform.asked(messages=(), presence=True)),
        await upstream.begin(platform.asked(messages=two)),
        await upstream.device_status(provider, PERSON, platform.TXN),
        *[await upstream.poll(platform.handle(extra=extra), provider) for extra in EXTRAS],
    ]


def read_or_refused(ticket: str) -> str | None:
    try:
        parse_ticket(ticket)
    except GatewayError as refused:
        return refused.code
    return None


def check(answers: list[Any]) -> None:
    for answer in answers:
        assert isinstance(answer, Fault | Pending | Refused | Lapsed | StartUnknown), answer
        assert not isinstance(answer, Begun | Approved | DeviceStatus), "nobody here has the key"
        if isinstance(answer, Fault | Refused):
            assert answer.problem.code in CATALOGUE
            json.dumps(answer.problem.to_json())


@_relaxed
@given(st.binary(max_size=2000))
async def test_arbitrary_bytes_raise_nothing_and_are_never_success(
    platform: Any, body: bytes
) -> None:
    """Bytes."""
    check(await every(platform, body))


@_relaxed
@given(anything)
async def test_arbitrary_json_raises_nothing_and_is_never_success(
    platform: Any, value: Any
) -> None:
    """JSON of any shape, NaN and lone surrogates included."""
    check(await every(platform, json.dumps(value).encode()))


@_relaxed
@given(envelopes)
async def test_arbitrary_envelopes_raise_nothing_and_are_never_success(
    platform: Any, value: Any
) -> None:
    """Envelopes with any fields."""
    check(await every(platform, json.dumps(value).encode()))


@_relaxed
@given(st.data())
async def test_any_cut_or_changed_byte_of_an_approval_is_never_another_approval(
    platform: Any, data: st.DataObject
) -> None:
    """Outside the certificate (which no checksum covers) one changed byte is no success."""
    answer = platform.result_answer()
    body = bytearray(json.dumps(answer).encode())
    start = body.index(b'"cert"')
    end = body.index(b'"idp_checksum"')
    place = data.draw(
        st.integers(0, len(body) - 1).filter(lambda n: not start <= n < end), label="place"
    )
    value = data.draw(st.integers(0, 255).filter(lambda n: n != body[place]), label="value")
    body[place] = value
    platform.egress.clear()
    platform.egress.reply(RESULT, bytes(body))
    polled = await platform.upstream.poll(platform.handle(), platform.provider)
    if isinstance(polled, Approved):
        # error_message, which nobody reads, or space between tokens may be anything.
        again = json.loads(body)
        assert again["result"] == answer["result"]
        assert again["error_code"] == "0"


@_relaxed
@given(st.text())
def test_any_ticket_is_read_or_refused(text: str) -> None:
    """One error, ours."""
    assert read_or_refused(text) in (None, "ticket_malformed")


@_relaxed
@given(st.binary(max_size=300))
def test_any_ticket_payload_is_read_or_refused(platform: Any, payload: bytes) -> None:
    """Also behind a right digest."""
    assert read_or_refused(platform.ticket_of(payload)) in (None, "ticket_malformed")


@_relaxed
@given(st.text())
def test_a_normalised_code_is_printable_and_bounded(text: str) -> None:
    """Whatever was in it."""
    code = normalise(text)
    assert 1 <= len(code) <= 64
    assert code.isascii()
    assert code.isprintable()


forms = st.lists(
    st.tuples(
        st.sampled_from(
            ["transaction_id", "error_code", "id_num", "signed_response", "cert", "idp_checksum"]
        )
        | st.text(max_size=8),
        st.text(max_size=40)
        | st.sampled_from(["0", "SPTKT_OVD", "A123456789", "41570c02-5226-4d2e-8391-839ed31123cf"])
        | st.text(alphabet="0123456789abcdef", min_size=184, max_size=184),
    ),
    max_size=9,
)


async def receive(platform: Any, body: bytes) -> list[Any]:
    answers = []
    for changes in ({}, {"messages": (), "presence": True}):
        begun = await platform.wide.begin(platform.asked(Channel.REDIRECT, **changes))
        answers.append(platform.wide.receive(begun.handle, platform.provider, body))
    return answers


def claimed_or_refused(platform: Any, body: bytes) -> str | None:
    try:
        platform.wide.claimed_transaction_id(body)
    except GatewayError as refused:
        return refused.code
    return None


@_relaxed
@given(st.binary(max_size=2000))
async def test_an_arbitrary_body_of_a_callback_raises_nothing_and_is_never_success(
    platform: Any, body: bytes
) -> None:
    """Bytes that anyone may post."""
    check(await receive(platform, body))
    assert claimed_or_refused(platform, body) in (None, "request_malformed")


@_relaxed
@given(forms)
async def test_an_arbitrary_form_raises_nothing_and_is_never_success(
    platform: Any, pairs: Any
) -> None:
    """Forms with the right and other names, some twice."""
    body = urlencode(pairs, errors="surrogatepass").encode()
    check(await receive(platform, body))
    assert claimed_or_refused(platform, body) in (None, "request_malformed")


@_relaxed
@given(st.data())
async def test_any_changed_byte_of_a_form_is_never_another_approval(
    platform: Any, data: st.DataObject
) -> None:
    """Outside the certificate (which no checksum covers) one changed byte is no success."""
    original = platform.form()
    body = bytearray(original)
    start, end = body.index(b"&cert="), body.index(b"&idp_checksum=")
    place = data.draw(
        st.integers(0, len(body) - 1).filter(lambda n: not start <= n < end), label="place"
    )
    body[place] = data.draw(st.integers(0, 255).filter(lambda n: n != original[place]))
    answer, _ = await receive(platform, bytes(body))
    if isinstance(answer, Approved):
        # The case of a percent escape's digits is no difference.
        assert bytes(body).lower() == original.lower()
        assert original[:place].endswith((b"%", b"%2", b"%3"))


tbs = st.builds(
    Tbs,
    st.binary(max_size=100) | st.sampled_from([b"d" * 20, b"d" * 32, b"x" * 768, b"x" * 769]),
    st.sampled_from(SignatureForm),
    st.sampled_from(HashAlgorithm),
)


@_relaxed
@given(
    st.lists(tbs, max_size=22),
    st.sampled_from(Channel),
    st.booleans(),
    st.text(max_size=20),
    st.booleans(),
)
async def test_whatever_is_asked_is_taken_or_refused_and_accepts_says_which(
    platform: Any, messages: Any, channel: Channel, presence: bool, hint: str, wide: bool
) -> None:
    """No foreign exception; what `accepts` takes is sent within the platform's limits."""
    upstream = platform.wide if wide else platform.upstream
    platform.egress.clear()
    try:
        upstream.accepts(messages)
        accepted = True
    except GatewayError:
        accepted = False
    result = await upstream.begin(
        platform.asked(channel, messages=tuple(messages), presence=presence, hint=hint)
    )
    assert isinstance(result, Fault | Begun)
    if platform.egress.requests:
        assert accepted is not presence
        (request,) = platform.egress.requests
        info = request.json().get("sign_info", {})
        data = info.get("sign_data_set", [info["sign_data"]] if "sign_data" in info else [])
        assert len(data) == len(messages) <= 20
        assert all(1 <= len(each) <= 1024 for each in data)
