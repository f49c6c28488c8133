"""OCSP: each rule by which an answer is believed, and how responders are asked."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.ports import EgressError, EgressReply
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordedRequest, RecordingEgress
from moica_gateway.testing.ocsp import OCSP_URL, delegate_of, ocsp_answer
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.testing.random import SeededRandom
from moica_gateway.trust import CrlStore, OcspClient
from moica_gateway.trust.ocsp import OcspRefusedError, make_request, read_response
from moica_gateway.trust.revocation import RevocationStatus

PKI = MemoryPki()
STRANGER = MemoryPki(name="stranger")
ISSUER = x509.load_der_x509_certificate(PKI.issuer)
HOLDER = x509.load_der_x509_certificate(PKI.holder(ocsp_url=OCSP_URL))
REQUEST = make_request(HOLDER, ISSUER, b"n" * 32)
GOOD = ocsp_answer(PKI, REQUEST)
DELEGATE = delegate_of(PKI)


def answer(**changes: Any) -> bytes:
    """To our request."""
    return ocsp_answer(PKI, REQUEST, **changes)


def delegated(**changes: Any) -> bytes:
    """By a responder whose certificate has those changes."""
    return answer(signer=delegate_of(PKI, **changes), signer_key="responder")


def read(body: bytes, **changes: Any) -> Any:
    """With our request, now."""
    return read_response(body, request=REQUEST, issuer=ISSUER, now=PKI.at, **changes)


def unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    """An answer that is none."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


REFUSED: list[tuple[str, bytes, str]] = [
    ("no answer", b"<html>", "cannot be read"),
    ("empty", b"", "cannot be read"),
    ("more behind it", GOOD + b"\x00", "cannot be read"),
    ("try later", unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER), "try_later"),
    ("unauthorised", unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED), "unauthorized"),
    ("about another certificate", answer(serial=0x1235), "another certificate"),
    ("about another authority's", answer(of=STRANGER), "another certificate"),
    ("saying two things", answer(status="revoked", parts=2), "another certificate"),
    ("without our nonce", answer(nonce=None), "without our nonce"),
    ("with another nonce", answer(nonce=b"m" * 32), "another nonce"),
    ("with a nonce cut short", answer(nonce=b"n" * 31), "another nonce"),
    ("with an unknown critical extension", answer(critical=True), "unknown critical"),
    ("from the future", answer(this=1 / 24, until=2), "from the future"),
    ("made in the future", answer(produced=1 / 24), "from the future"),
    ("run out", answer(this=-2, until=-1 / 86_400), "run out"),
    ("old, and without nextUpdate", answer(this=-6 / 1440, until=None), "run out"),
    ("a week old", answer(this=-8, until=30), "run out"),
    ("made before it was known", answer(produced=-1), "made before"),
    ("signed with SHA-1", answer(algorithm="sha1"), "SHA-256"),
    ("by another key", answer(signer_key="stranger"), "does not verify"),
    ("a bit changed", GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "does not verify"),
    (
        "by a delegate whose certificate is left out",
        answer(signer=DELEGATE, signer_key="responder", certificates=[]),
        "nobody whose certificate",
    ),
    (
        "by a delegate of another authority of the same name",
        answer(signer=delegate_of(PKI, by="stranger"), signer_key="responder"),
        "another authority",
    ),
    (
        "by a certificate that signed itself",
        answer(signer=delegate_of(PKI, by="responder"), signer_key="responder"),
        "another authority",
    ),
    ("by a delegate without a purpose", delegated(purpose=None), "not authorised"),
    (
        "by a delegate for any purpose",
        delegated(purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
        "not authorised",
    ),
    (
        "by the timestamper",
        delegated(purpose=ExtendedKeyUsageOID.TIME_STAMPING),
        "not authorised",
    ),
    ("by a delegate that may not sign", delegated(signing=False), "not authorised"),
    ("by a delegate that has run out", delegated(valid=(-400, -1)), "outside its validity"),
    ("by a delegate not valid yet", delegated(valid=(1, 300)), "outside its validity"),
    (
        "by a delegate with an unknown critical extension",
        delegated(unknown_critical=True),
        "unknown critical",
    ),
    (
        "by the holder",
        answer(signer=HOLDER, signer_key="responder", certificates=[HOLDER]),
        "does not verify",
    ),
]


@pytest.mark.parametrize(("body", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_an_answer_is_believed_by_its_rules_only(body: bytes, why: str) -> None:
    """Everything else is refused, each with its own words."""
    with pytest.raises(OcspRefusedError, match=why):
        read(body)


def test_a_delegate_certified_with_sha1_is_refused() -> None:
    """The algorithm list holds for certificates, too; the library makes none, so it is changed."""
    oid = bytes.fromhex("06092a864886f70d01010b")
    weak = x509.load_der_x509_certificate(
        DELEGATE.public_bytes(Encoding.DER).replace(oid, oid[:-1] + b"\x05")
    )
    with pytest.raises(OcspRefusedError, match="not certified"):
        read(answer(signer=weak, signer_key="responder"))


BELIEVED: list[tuple[str, bytes]] = [
    ("by the issuer", GOOD),
    ("by the issuer, by name", answer(by_name=True)),
    ("by a delegate", delegated()),
    ("by a delegate, by name", answer(signer=DELEGATE, signer_key="responder", by_name=True)),
    ("with SHA-512", answer(algorithm="sha512")),
    ("without nextUpdate, of now", answer(this=-4 / 1440, until=None)),
    ("by a clock that is minutes ahead", answer(this=4 / 1440, produced=4 / 1440)),
]


@pytest.mark.parametrize("body", [b[1] for b in BELIEVED], ids=[b[0] for b in BELIEVED])
def test_a_good_answer_is_believed(body: bytes) -> None:
    """The issuer's own, and a delegate's."""
    found = read(body)
    assert (found.revoked, found.delegate) == (False, None)


@pytest.mark.parametrize(
    ("status", "revoked"), [("good", False), ("revoked", True), ("unknown", None)]
)
def test_the_three_words_are_told_apart(status: Any, revoked: bool | None) -> None:
    """What the responder does not know is never good."""
    assert read(answer(status=status)).revoked is revoked


def test_an_answer_without_a_nonce_counts_only_where_that_is_allowed() -> None:
    """And one with another nonce never."""
    assert read(answer(nonce=None), nonce_required=False).revoked is False
    with pytest.raises(OcspRefusedError, match="another nonce"):
        read(answer(nonce=b"m" * 32), nonce_required=False)


def test_a_delegate_that_may_be_revoked_is_handed_back_to_be_checked() -> None:
    """Without id-pkix-ocsp-nocheck somebody has to ask."""
    found = read(delegated(no_check=False))
    assert found.delegate is not None
    assert found.delegate.serial_number == 0x0C5B


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_and_nothing_foreign_escapes_ocsp(body: bytes) -> None:
    """Whatever a responder answers."""
    with pytest.raises(OcspRefusedError):
        read(body)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_mutated_answer_is_never_believed(place: int, change: int) -> None:
    """One changed byte anywhere breaks it, and raises nothing foreign."""
    body = bytearray(GOOD)
    body[place] ^= change
    with pytest.raises(OcspRefusedError):
        read(bytes(body))


# -- asking ------------------------------------------------------------------------------------


class Desk:
    """A client with its network and clock, and what the responder answers."""

    def __init__(self, *, hosts: tuple[str, ...] = ("crl.test",), required: bool = True) -> None:
        self.egress = RecordingEgress()
        self.clock = FrozenClock(PKI.at)
        self.crls = CrlStore(self.egress, self.clock, hosts=hosts)
        self.client = OcspClient(
            self.egress,
            self.clock,
            SeededRandom(),
            hosts=hosts,
            crls=self.crls,
            nonce_required=required,
        )

    def says(self, make: Callable[[bytes], bytes] | None = None, **changes: Any) -> None:
        """From now on."""

        def reply(request: RecordedRequest) -> EgressReply:
            body = make(request.body or b"") if make else b""
            body = body or ocsp_answer(PKI, request.body or b"", **changes)
            return EgressReply(status=200, headers={}, body=body)

        self.egress.clear()
        self.egress.script(OCSP_URL, reply)

    async def status(self, certificate: x509.Certificate = HOLDER) -> RevocationStatus:
        """Of the holder."""
        return await self.client.status(certificate, ISSUER)

    @property
    def asked(self) -> int:
        """How often the responder was."""
        return sum(request.url == OCSP_URL for request in self.egress.requests)


async def test_a_revoked_certificate_is_told() -> None:
    """And a good one, and one that the responder does not know."""
    desk = Desk()
    for status, revoked in (("revoked", True), ("good", False), ("unknown", None)):
        desk = Desk()
        desk.says(status=status)
        assert (await desk.status()).revoked is revoked


async def test_the_question_is_posted_with_limits_and_a_fresh_nonce() -> None:
    """As RFC 6960 says, small and short, and never the same twice."""
    desk = Desk()
    desk.says()
    await desk.status()
    await desk.clock.advance(3601)
    await desk.status()
    first, second = desk.egress.requests
    assert (first.method, first.headers["Content-Type"]) == ("POST", "application/ocsp-request")
    assert first.timeout + 8 < 15
    assert first.max_bytes <= 65_536
    nonces = [
        ocsp.load_der_ocsp_request(r.body or b"").extensions[0].value.nonce  # type: ignore[attr-defined]
        for r in (first, second)
    ]
    assert len(set(nonces)) == 2
    assert {len(nonce) for nonce in nonces} == {32}


async def test_an_answer_is_kept_an_hour_and_shared() -> None:
    """Many who wait ask once; after an hour it is asked again."""
    desk = Desk()
    desk.says()
    found = await asyncio.gather(*(desk.status() for _ in range(20)))
    assert {f.revoked for f in found} == {False}
    assert desk.asked == 1
    await desk.clock.advance(3599)
    await desk.status()
    assert desk.asked == 1
    await desk.clock.advance(1)
    desk.says(status="revoked", this=0)
    assert (await desk.status()).revoked is True


async def test_an_answer_that_was_kept_is_used_until_its_own_end_where_nobody_answers() -> None:
    """Not a second longer, whatever the grace for CRLs is."""
    desk = Desk()
    desk.says(until=2 / 24)
    assert (await desk.status()).revoked is False
    desk.egress.clear()
    desk.egress.script(OCSP_URL, EgressError("timeout", "as the test says", maybe_sent=True))
    await desk.clock.advance(7200)
    assert (await desk.status()).revoked is False
    await desk.clock.advance(6)
    assert (await desk.status()).revoked is None


async def test_a_dead_responder_is_not_asked_by_everybody() -> None:
    """After a pause it is."""
    desk = Desk()
    desk.egress.script(OCSP_URL, EgressError("timeout", "as the test says", maybe_sent=True))
    others = [
        x509.load_der_x509_certificate(PKI.holder(serial=n, ocsp_url=OCSP_URL)) for n in (7, 8, 9)
    ]
    for other in others:
        found = await desk.status(other)
        assert found.revoked is None
        assert "timeout" in found.detail
    assert desk.asked == 1
    await desk.clock.advance(5.1)
    await desk.status()
    assert desk.asked == 2


@pytest.mark.parametrize("status", [204, 301, 404, 500])
async def test_another_http_status_is_no_answer(status: int) -> None:
    """Whatever its body is."""
    desk = Desk(required=False)
    body = ocsp_answer(PKI, REQUEST, nonce=None)
    desk.egress.reply(OCSP_URL, body, status=status)
    assert (await desk.status()).revoked is None


@pytest.mark.parametrize(
    "url", ["http://evil.test/ocsp", "http://crl.test@evil.test/", "ldap://crl.test/", "http://["]
)
async def test_other_responders_are_never_asked(url: str) -> None:
    """A certificate cannot send us anywhere."""
    desk = Desk()
    holder = x509.load_der_x509_certificate(PKI.holder(ocsp_url=url))
    assert (await desk.status(holder)).revoked is None
    assert desk.egress.requests == []


async def test_a_certificate_without_a_responder_is_of_unknown_status() -> None:
    """And nobody is asked."""
    desk = Desk()
    found = await desk.status(x509.load_der_x509_certificate(PKI.holder()))
    assert found.revoked is None
    assert "no OCSP address" in found.detail


@pytest.mark.parametrize(
    ("crl", "revoked", "words"),
    [
        (PKI.crl(), False, "OCSP answer"),
        (PKI.crl(0x0C5B), None, "responder that is revoked"),
        (b"<html>", None, "unknown standing"),
    ],
)
async def test_a_delegate_without_nocheck_is_looked_up_in_the_crl(
    crl: bytes, revoked: bool | None, words: str
) -> None:
    """Revoked, or of unknown standing: its answer does not count."""
    delegate = delegate_of(PKI, no_check=False)
    desk = Desk()
    desk.says(signer=delegate, signer_key="responder")
    desk.egress.reply(PKI.crl_url, crl)
    found = await desk.status()
    assert found.revoked is revoked
    assert words in found.detail


# -- a judge that is not us --------------------------------------------------------------------

ANSWER = ("-respin", "answer", "-CAfile", "root.pem", "-verify_other", "issuer.pem")
STATUS = (*ANSWER, "-issuer", "issuer.pem", "-cert", "holder.pem", "-no_nonce")


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One ``openssl ocsp``."""
    return subprocess.run(
        ["openssl", "ocsp", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "good"),
        ({"status": "revoked"}, "revoked"),
        ({"status": "unknown"}, "unknown"),
        ({"delegate": {}}, "good"),
        ({"signer_key": "stranger"}, None),
        ({"serial": 0x1235}, None),
        ({"delegate": {"purpose": None}}, None),
        ({"delegate": {"by": "stranger"}}, None),
        ({"nonce": b"m" * 32}, None),
        ({"this": -2, "until": -1}, None),
    ],
)
def test_openssl_says_the_same(tmp_path: Path, changes: dict[str, Any], verdict: Any) -> None:
    """``openssl ocsp`` over the same request, answer and certificates; its clock is today's."""
    pki = MemoryPki(at=datetime.now(UTC) - timedelta(minutes=1))
    issuer = x509.load_der_x509_certificate(pki.issuer)
    holder = x509.load_der_x509_certificate(pki.holder())
    request = make_request(holder, issuer, b"n" * 32)
    if "delegate" in changes:
        changes = {"signer": delegate_of(pki, **changes["delegate"]), "signer_key": "responder"}
    body = ocsp_answer(pki, request, **changes)
    for name, data in (
        ("request", request),
        ("answer", body),
        ("root.pem", pki.root_pem),
        ("issuer.pem", issuer.public_bytes(Encoding.PEM)),
        ("holder.pem", holder.public_bytes(Encoding.PEM)),
    ):
        (tmp_path / name).write_bytes(data)
    done, nonce = openssl(tmp_path, *STATUS), openssl(tmp_path, "-reqin", "request", *ANSWER)
    said = done.stdout.partition("holder.pem: ")[2].partition("\n")[0]
    believed = (
        done.returncode == 0
        and "Response verify OK" in done.stderr
        and "Status times invalid" not in done.stdout
        and "Nonce Verify error" not in nonce.stderr
    )
    theirs = (said or None) if believed else None
    try:
        found = read_response(body, request=request, issuer=issuer, now=pki.at)
        ours = {False: "good", True: "revoked", None: "unknown"}[found.revoked]
    except OcspRefusedError:
        ours = None
    assert ours == verdict
    assert theirs == verdict, done.stderr + nonce.stderr
