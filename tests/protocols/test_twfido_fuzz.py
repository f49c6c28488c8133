"""Whatever arrives, an answer comes out and no exception."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moica_gateway.domain.models import (
    Approved,
    Begun,
    Fault,
    Lapsed,
    Pending,
    Refused,
    StartUnknown,
)
from moica_gateway.errors import CATALOGUE, GatewayError
from moica_gateway.protocols.twfido.codes import normalise
from moica_gateway.protocols.twfido.ticket import parse_ticket

PUSH = "https://platform.test/moise/sp/requestAthOrSignPush"
RESULT = "https://platform.test/moise/sp/getAthOrSignResult"

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
                    "cert",
                    "idp_checksum",
                )
            },
        ),
    },
)


async def both(platform: Any, body: bytes) -> tuple[Any, Any]:
    platform.egress.clear()
    platform.egress.reply(PUSH, body)
    platform.egress.reply(RESULT, body)
    return (
        await platform.upstream.begin(platform.asked()),
        await platform.upstream.poll(platform.handle(), platform.provider),
    )


def read_or_refused(ticket: str) -> str | None:
    try:
        parse_ticket(ticket)
    except GatewayError as refused:
        return refused.code
    return None


def check(begun: Any, polled: Any) -> None:
    assert isinstance(begun, Fault | StartUnknown | Begun)
    assert isinstance(polled, Fault | Pending | Refused | Lapsed | Approved)
    assert not isinstance(begun, Begun), "nobody here has the key"
    assert not isinstance(polled, Approved), "nobody here has the key"
    for answer in (begun, polled):
        if isinstance(answer, Fault | Refused):
            assert answer.problem.code in CATALOGUE
            json.dumps(answer.problem.to_json())


@_relaxed
@given(st.binary(max_size=2000))
async def test_arbitrary_bytes_raise_nothing_and_are_never_success(
    platform: Any, body: bytes
) -> None:
    """Bytes."""
    check(*await both(platform, body))


@_relaxed
@given(anything)
async def test_arbitrary_json_raises_nothing_and_is_never_success(
    platform: Any, value: Any
) -> None:
    """JSON of any shape, NaN and lone surrogates included."""
    check(*await both(platform, json.dumps(value).encode()))


@_relaxed
@given(envelopes)
async def test_arbitrary_envelopes_raise_nothing_and_are_never_success(
    platform: Any, value: Any
) -> None:
    """Envelopes with any fields."""
    check(*await both(platform, json.dumps(value).encode()))


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
