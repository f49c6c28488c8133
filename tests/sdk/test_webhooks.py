"""Receiving webhooks, and comparing what they say with what was asked for."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from standardwebhooks import Webhook

from moica_gateway.errors import GatewayError, VerificationError
from moica_gateway.outcomes import (
    Completed,
    Expectation,
    ExpectedDocument,
    Expired,
    Outcome,
    OutcomeDocument,
)
from moica_gateway.webhooks import WebhookEvent, WebhookReceiver


def secret(letter: bytes) -> str:
    """An invented one."""
    return "whsec_" + base64.b64encode(letter * 32).decode()


SECRET, OTHER = secret(b"s"), secret(b"n")
DATA: dict[str, Any] = {
    "transaction_id": "txn_1",
    "version": 3,
    "kind": "signature",
    "status": "completed",
    "user_id": "u1",
    "documents": [{"number": "1", "version": "1", "sha256": "ab", "status": "completed"}],
}
BODY = json.dumps(
    {"type": "signature.completed", "timestamp": "2026-04-29T06:58:11Z", "data": DATA}
).encode()


def signed(body: bytes = BODY, by: str = SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    """As the gateway signs."""
    at = datetime.now(UTC) - age
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(by).sign("evt_1", at, body.decode()),
    }


def refused(headers: dict[str, Any], body: bytes = BODY, by: str = SECRET) -> None:
    """With the one code there is for it."""
    with pytest.raises(VerificationError) as raised:
        WebhookReceiver(by).receive(headers, body)
    assert raised.value.code == "answer_invalid"


def test_a_good_one_is_received_whatever_the_case_of_its_headers() -> None:
    """Id, type and data come out."""
    for change in (str, str.lower, str.upper):
        headers = {change(name): value for name, value in signed().items()}
        event = WebhookReceiver(SECRET).receive(headers, BODY)
        assert (event.id, event.type, event.data) == ("evt_1", "signature.completed", DATA)


@pytest.mark.parametrize("secrets", [(OTHER, SECRET), (SECRET, OTHER), ("", SECRET)])
def test_during_a_rotation_either_secret_is_good(secrets: tuple[str, ...]) -> None:
    """In whatever order they are given."""
    assert WebhookReceiver(*secrets).receive(signed(), BODY).id == "evt_1"


def test_a_wrong_secret_is_refused() -> None:
    """And a body or id that was changed after signing."""
    refused(signed(by=OTHER))
    refused(signed(), BODY + b" ")
    refused({**signed(), "Webhook-Id": "evt_2"})


@pytest.mark.parametrize("minutes", [-6, 6, 60 * 24 * 365])
def test_one_too_old_or_from_the_future_is_refused(minutes: int) -> None:
    """Five minutes either way."""
    refused(signed(age=timedelta(minutes=minutes)))


MALFORMED: list[dict[str, Any]] = [
    {"Webhook-Signature": value}
    for value in ("", "v1", "v1,", "v1,A", "v2,AAAA", ",", " ", "v1,金", "v1,a,b", b"v1,AAAA", None)
] + [
    {"Webhook-Timestamp": value}
    for value in ("", "yesterday", "nan", "inf", "-1", "9" * 400, "9" * 15, "9" * 19, "1e30", "٣")
]


@pytest.mark.parametrize("change", MALFORMED, ids=repr)
def test_malformed_headers_are_refused_with_our_error(change: dict[str, Any]) -> None:
    """Nothing of the library's escapes."""
    refused({**signed(), **change})


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_a_missing_header_is_refused(name: str) -> None:
    """Each of the three is needed."""
    headers = signed()
    del headers[name]
    refused(headers)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"5",
        b"null",
        b"<html>",
        b"[" * 100000,
        b'{"type": "a", "timestamp": "0001-01-01T00:00:00+23:59", "data": {}}',
    ],
    ids=range(8),
)
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    """Also one so deep, or so early, that Python gives up."""
    refused(signed(body), body)


def test_bytes_that_are_no_text_are_refused() -> None:
    """Before anything is read."""
    refused(signed(), b"\xff\xfe")


@pytest.mark.parametrize("secrets", [(), ("",), ("whsec_",), ("whsec_!!!",), ("whsec_A",)])
def test_a_receiver_without_a_secret_is_not_made(secrets: tuple[str, ...]) -> None:
    """An empty secret would let anyone sign."""
    with pytest.raises(GatewayError) as raised:
        WebhookReceiver(*secrets)
    assert raised.value.code == "configuration_invalid"


OUTCOME = Completed(
    transaction_id="txn_1",
    version=3,
    kind="signature",
    status="completed",
    user_id="u1",
    documents=(OutcomeDocument(number="1", version="1", sha256="ab", status="completed"),),
)
EXPECTED = Expectation(
    transaction_id="txn_1", kind="signature", user_id="u1", number="1", version="1", sha256="ab"
)
TWICE = {"documents": OUTCOME.documents * 2}


def test_what_was_asked_for_matches() -> None:
    """From an event as well; the case of hexadecimal does not matter."""
    event = WebhookEvent(id="evt_1", type="signature.completed", data=DATA)
    assert Outcome.of_event(event) == OUTCOME
    OUTCOME.assert_matches(EXPECTED)
    OUTCOME.assert_matches(evolve(EXPECTED, sha256="AB"))
    assert OUTCOME.ended


@pytest.mark.parametrize(
    ("came", "expected", "named"),
    [
        ({"transaction_id": "txn_2"}, {}, "transaction"),
        ({}, {"transaction_id": None}, "transaction"),
        ({"kind": "registration"}, {}, "kind"),
        ({"user_id": "U1"}, {}, "user"),
        ({}, {"number": "2"}, "document number"),
        ({}, {"version": "2"}, "document version"),
        ({}, {"version": None}, "document version"),
        ({}, {"sha256": "ac"}, "document digest"),
        ({}, {"sha256": None}, "document digest"),
        ({"documents": ()}, {}, "number of documents"),
        (TWICE, {}, "number of documents"),
    ],
)
def test_anything_else_is_an_alert_that_names_what_differs(
    came: dict[str, Any], expected: dict[str, Any], named: str
) -> None:
    """A VerificationError, so nothing is changed."""
    with pytest.raises(VerificationError, match=f"the {named} that was asked for"):
        evolve(OUTCOME, **came).assert_matches(evolve(EXPECTED, **expected))


def test_a_registration_has_no_document_to_match() -> None:
    """Without an expected number only transaction, kind and user count."""
    made = evolve(OUTCOME, kind="registration", documents=())
    made.assert_matches(Expectation(transaction_id="txn_1", kind="registration", user_id="u1"))


BATCH = evolve(
    OUTCOME,
    documents=tuple(
        OutcomeDocument(number=n, version=v, sha256=d, status="completed", id=f"doc-{n}-{v}")
        for n, v, d in (("1", "1", "aa"), ("2", "1", "bb"), ("3", "2", "cc"))
    ),
)
ASKED = tuple(
    ExpectedDocument(number=n, version=v, sha256=d)
    for n, v, d in (("3", "2", "CC"), ("1", "1", "AA"), ("2", "1", "BB"))
)
SEVERAL = Expectation(transaction_id="txn_1", kind="signature", user_id="u1", documents=ASKED)


def test_several_documents_match_in_any_order() -> None:
    """Number, version and digest of each, and the set of them."""
    BATCH.assert_matches(SEVERAL)
    assert [d.id for d in BATCH.signed_documents] == ["doc-1-1", "doc-2-1", "doc-3-2"]


@pytest.mark.parametrize(
    ("documents", "named"),
    [
        (BATCH.documents[:2], "number of documents"),
        ((*BATCH.documents, BATCH.documents[0]), "number of documents"),
        ((*BATCH.documents[:2], BATCH.documents[1]), "document number"),
        ((*BATCH.documents[:2], evolve(BATCH.documents[2], number="4")), "document number"),
        ((*BATCH.documents[:2], evolve(BATCH.documents[2], version="1")), "document version"),
        ((*BATCH.documents[:2], evolve(BATCH.documents[2], version=None)), "document version"),
        ((*BATCH.documents[:2], evolve(BATCH.documents[2], sha256="aa")), "document digest"),
        (
            (
                evolve(BATCH.documents[0], sha256="bb"),
                evolve(BATCH.documents[1], sha256="aa"),
                BATCH.documents[2],
            ),
            "document digest",
        ),
        ((*BATCH.documents[:2], evolve(BATCH.documents[2], status="expired")), "status"),
        ((*BATCH.documents[:2], evolve(BATCH.documents[2], status=None)), "status"),
    ],
)
def test_one_of_several_that_differs_is_an_alert(
    documents: tuple[OutcomeDocument, ...], named: str
) -> None:
    """One too few, one twice, another, another version, digests swapped, one not signed."""
    with pytest.raises(VerificationError, match=f"the {named}"):
        evolve(BATCH, documents=documents).assert_matches(SEVERAL)


def test_a_batch_that_ended_partly_matches_and_says_what_is_signed() -> None:
    """`expired` with the first signed is no mismatch."""
    ended = Expired(
        transaction_id="txn_1",
        version=4,
        kind="signature",
        status="expired",
        user_id="u1",
        documents=(
            BATCH.documents[0],
            *(evolve(d, status="expired") for d in BATCH.documents[1:]),
        ),
    )
    ended.assert_matches(SEVERAL)
    assert [d.number for d in ended.signed_documents] == ["1"]


def test_a_signature_needs_documents_to_match_and_they_are_said_once() -> None:
    """An expectation without any would match everything; with both it is unclear."""
    with pytest.raises(VerificationError, match="number of documents"):
        OUTCOME.assert_matches(evolve(SEVERAL, documents=()))
    with pytest.raises(GatewayError) as raised:
        OUTCOME.assert_matches(evolve(EXPECTED, documents=ASKED))
    assert raised.value.code == "configuration_invalid"


@pytest.mark.parametrize(
    "change",
    [
        {"documents": None},
        {"documents": ["x"]},
        {"version": "x"},
        {"version": float("inf")},
        {"metadata": "text"},
        {"documents": [{}]},
    ],
    ids=repr,
)
def test_data_that_are_no_transactions_are_malformed(change: dict[str, Any]) -> None:
    """With one error of ours."""
    event = WebhookEvent(id="evt_1", type="x", data={**DATA, **change})
    with pytest.raises(GatewayError) as raised:
        Outcome.of_event(event)
    assert raised.value.code == "upstream_malformed"
