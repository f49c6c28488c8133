"""CRL and OCSP together: who is asked under each policy, and what a disagreement comes to."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from moica_gateway.domain.models import CertificateSignature, Expected
from moica_gateway.domain.values import Tbs
from moica_gateway.ports import EgressReply
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordedRequest, RecordingEgress
from moica_gateway.testing.ocsp import OCSP_URL, ocsp_answer
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.testing.random import SeededRandom
from moica_gateway.trust import (
    CertificateJudge,
    CrlStore,
    OcspClient,
    Revocation,
    RevocationPolicy,
    TrustAnchors,
)

PKI = MemoryPki()
HOLDER = PKI.holder(ocsp_url=OCSP_URL)
CERTIFICATE = x509.load_der_x509_certificate(HOLDER)
ISSUER = x509.load_der_x509_certificate(PKI.issuer)
MESSAGE = b"what the key has to cover"


class Line:
    """Both sources with what they say: a word, or None for nobody there."""

    def __init__(self, policy: RevocationPolicy, crl: str | None, ocsp: str | None) -> None:
        self.egress, self.clock = RecordingEgress(), FrozenClock(PKI.at)
        self.crls = CrlStore(self.egress, self.clock, hosts=("crl.test",))
        hosts = ("crl.test",)
        client = OcspClient(self.egress, self.clock, SeededRandom(), hosts=hosts, crls=self.crls)
        self.revocation = Revocation(self.crls, client, policy)
        self.serve(crl, ocsp)

    def serve(self, crl: str | None, ocsp: str | None, **changes: Any) -> None:
        """From now on. Who is not there answers with 404, which pauses no host."""
        self.egress.clear()
        self.egress.reply(PKI.root_crl_url, PKI.root_crl())
        revoked = (0x1234,) if crl == "revoked" else ()
        for url, body in (
            (PKI.crl_url, PKI.crl(*revoked, **changes)),
            (PKI.complete_url, PKI.crl(*revoked, url=None, **changes)),
        ):
            self.egress.reply(url, body, status=200 if crl else 404)

        def responder(request: RecordedRequest) -> EgressReply:
            status: Any = ocsp or "good"
            body = ocsp_answer(PKI, request.body or b"", status=status)
            return EgressReply(status=200 if ocsp else 404, headers={}, body=body)

        self.egress.script(OCSP_URL, responder)

    async def revoked(self) -> bool | None:
        """Of the holder."""
        return (await self.revocation.status(CERTIFICATE, ISSUER)).revoked

    @property
    def asked(self) -> list[str]:
        """Who was, once each, in order."""
        names = {PKI.crl_url: "crl", OCSP_URL: "ocsp"}
        found = (names.get(request.url) for request in self.egress.requests)
        return [name for name in dict.fromkeys(found) if name]


P = RevocationPolicy
ROWS: list[tuple[RevocationPolicy, str | None, str | None, bool | None, list[str]]] = [
    (P.CRL, "good", "revoked", False, ["crl"]),
    (P.CRL, "revoked", "good", True, ["crl"]),
    (P.CRL, None, "good", None, ["crl"]),
    (P.CRL_IF_AVAILABLE, None, "good", None, ["crl"]),
    (P.CRL_IF_AVAILABLE, "revoked", "good", True, ["crl"]),
    (P.OCSP, "revoked", "good", False, ["ocsp"]),
    (P.OCSP, "good", "revoked", True, ["ocsp"]),
    (P.OCSP, "good", None, None, ["ocsp"]),
    (P.OCSP, "good", "unknown", None, ["ocsp"]),
    (P.CRL_THEN_OCSP, "good", None, False, ["crl"]),
    (P.CRL_THEN_OCSP, None, "good", False, ["crl", "ocsp"]),
    (P.CRL_THEN_OCSP, None, "revoked", True, ["crl", "ocsp"]),
    (P.CRL_THEN_OCSP, None, "unknown", None, ["crl", "ocsp"]),
    (P.CRL_THEN_OCSP, None, None, None, ["crl", "ocsp"]),
    (P.OCSP_THEN_CRL, None, "good", False, ["ocsp"]),
    (P.OCSP_THEN_CRL, "good", None, False, ["ocsp", "crl"]),
    (P.OCSP_THEN_CRL, "revoked", "unknown", True, ["ocsp", "crl"]),
    (P.OCSP_THEN_CRL, None, None, None, ["ocsp", "crl"]),
    (P.CRL_AND_OCSP, "good", "good", False, ["crl", "ocsp"]),
    (P.CRL_AND_OCSP, "revoked", "good", True, ["crl", "ocsp"]),
    (P.CRL_AND_OCSP, "good", "revoked", True, ["crl", "ocsp"]),
    (P.CRL_AND_OCSP, "good", "unknown", None, ["crl", "ocsp"]),
    (P.CRL_AND_OCSP, None, "good", None, ["crl", "ocsp"]),
    (P.CRL_AND_OCSP, "good", None, None, ["crl", "ocsp"]),
    (P.CRL_AND_OCSP, None, "revoked", True, ["crl", "ocsp"]),
]


@pytest.mark.parametrize(("policy", "crl", "ocsp", "revoked", "asked"), ROWS)
async def test_a_policy_says_who_is_asked_and_what_follows(
    policy: RevocationPolicy,
    crl: str | None,
    ocsp: str | None,
    revoked: bool | None,
    asked: list[str],
) -> None:
    """Every policy with every word that matters to it."""
    line = Line(policy, crl, ocsp)
    assert await line.revoked() is revoked
    assert sorted(line.asked) == sorted(asked)
    if policy is not P.CRL_AND_OCSP:
        assert line.asked == asked


async def test_what_ocsp_has_said_before_is_not_forgotten_when_a_crl_says_otherwise() -> None:
    """Where the two disagree, it is revoked, also if only the CRL was asked this time."""
    line = Line(P.CRL_THEN_OCSP, None, "revoked")
    assert await line.revoked() is True
    line.serve("good", None)
    await line.clock.advance(6)
    assert await line.revoked() is True
    assert line.asked == ["crl"]


async def test_what_a_crl_says_is_not_forgotten_when_ocsp_says_otherwise() -> None:
    """The same the other way round."""
    line = Line(P.OCSP_THEN_CRL, "revoked", None)
    assert await line.revoked() is True
    line.serve(None, "good")
    assert await line.revoked() is True


async def judged(line: Line) -> str | None:
    """The code of a verdict over a good signature, None where it is accepted."""
    judge = CertificateJudge(
        anchors=TrustAnchors((PKI.root,), (PKI.issuer,)), revocation=line.revocation
    )
    proof = CertificateSignature(
        unverified_certificate=HOLDER,
        unverified_signatures=(PKI.sign(MESSAGE),),
        hashed_id_num="h1",
        raw=b"",
    )
    expected = Expected(messages=(Tbs(message=MESSAGE),), last_four="6789", at=line.clock.now())
    problem = (await judge.judge(proof, expected)).problem
    return problem.code if problem else None


@pytest.mark.parametrize("policy", [p for p in P if p not in (P.OCSP, P.CRL_AND_OCSP)])
async def test_every_policy_but_the_named_relaxation_fails_where_nothing_is_known(
    policy: RevocationPolicy,
) -> None:
    """Hard-fail is the rule; the intermediate's CRL is there."""
    line = Line(policy, None, None)
    assert await judged(line) == (None if policy.relaxed else "revocation_unknown")
    assert policy.relaxed is (policy is P.CRL_IF_AVAILABLE)


@pytest.mark.parametrize("policy", [P.OCSP, P.CRL_AND_OCSP])
async def test_a_policy_that_wants_ocsp_wants_it_of_the_intermediate_too(
    policy: RevocationPolicy,
) -> None:
    """Which names no responder here: the holder is good, the path is not known to be."""
    assert await judged(Line(policy, "good", "good")) == "revocation_unknown"


async def test_a_revocation_in_a_new_list_is_seen_at_the_next_signature() -> None:
    """Nothing that was kept of the certificate hides it: neither path nor verdict."""
    line = Line(P.CRL_THEN_OCSP, "good", None)
    for _ in range(3):
        assert await judged(line) is None
    line.serve("revoked", None, number=2, days=(3, 30))
    await line.clock.advance(6 * 86_400)
    await line.crls.refresh()
    assert await judged(line) == "certificate_revoked"


def test_a_policy_that_asks_ocsp_needs_a_client() -> None:
    """A mistake in the composition is no silent relaxation."""
    crls = CrlStore(RecordingEgress(), FrozenClock(), hosts=())
    for policy in P:
        if policy in (P.CRL, P.CRL_IF_AVAILABLE):
            assert Revocation(crls, policy=policy).policy is policy
        else:
            with pytest.raises(ValueError, match="OCSP"):
                Revocation(crls, policy=policy)
