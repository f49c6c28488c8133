"""A judge anchored at a PKI in memory, with its CRLs scripted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import define

from moica_gateway.domain.models import CertificateSignature, Expected, Verdict
from moica_gateway.domain.values import Tbs
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordingEgress
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.trust import (
    CertificateJudge,
    CrlStore,
    Revocation,
    RevocationPolicy,
    TrustAnchors,
)

MESSAGE = b"what the key has to cover"


@define
class Court:
    """Judge, network and clock of one test."""

    pki: MemoryPki
    egress: RecordingEgress
    clock: FrozenClock
    judge: CertificateJudge

    def proof(
        self, certificate: bytes | None = None, *signatures: bytes, hashed_id_num: str = "h1"
    ) -> CertificateSignature:
        """As an upstream gives it; good where nothing is given."""
        return CertificateSignature(
            unverified_certificate=self.pki.holder() if certificate is None else certificate,
            unverified_signatures=signatures or (self.pki.sign(MESSAGE),),
            hashed_id_num=hashed_id_num,
            raw=b"",
        )

    def expected(self) -> Expected:
        """What a registration expects."""
        return Expected(messages=(Tbs(message=MESSAGE),), last_four="6789", at=self.clock.now())

    async def verdict(
        self, proof: CertificateSignature | None = None, expected: Expected | None = None
    ) -> Verdict:
        """Of a good proof where none is given."""
        return await self.judge.judge(proof or self.proof(), expected or self.expected())

    async def code(
        self, proof: CertificateSignature | None = None, expected: Expected | None = None
    ) -> str | None:
        """The problem's, None where it is accepted."""
        problem = (await self.verdict(proof, expected)).problem
        return problem.code if problem else None


@pytest.fixture(scope="session")
def pki() -> MemoryPki:
    """One for all: it has no state but its certificates."""
    return MemoryPki()


@pytest.fixture
def court_of(pki: MemoryPki) -> Callable[..., Court]:
    """``court_of(crl=…, root_crl=…, policy=…)``: a court where those CRLs are served."""

    def make(
        *,
        of: MemoryPki = pki,
        crl: bytes | None = None,
        root_crl: bytes | None = None,
        policy: RevocationPolicy = RevocationPolicy.CRL,
    ) -> Court:
        egress, clock = RecordingEgress(), FrozenClock(of.at)
        egress.reply(of.crl_url, of.crl() if crl is None else crl)
        egress.reply(of.root_crl_url, of.root_crl() if root_crl is None else root_crl)
        judge = CertificateJudge(
            anchors=TrustAnchors((of.root,), (of.issuer,)),
            revocation=Revocation(CrlStore(egress, clock, hosts=["crl.test"]), policy=policy),
        )
        return Court(of, egress, clock, judge)

    return make


@pytest.fixture
def court(court_of: Callable[..., Court]) -> Court:
    """With good CRLs."""
    return court_of()
