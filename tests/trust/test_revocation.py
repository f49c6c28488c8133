"""CRLs travel over plain HTTP: what makes one believed, rule by rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from moica_gateway.ports import EgressError, EgressReply
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordingEgress
from moica_gateway.testing.pki import MemoryPki, issuing_point
from moica_gateway.trust.revocation import CrlStore, RevocationStatus, _read, _RefusedError

PKI = MemoryPki()
FIRST, SECOND = PKI.crl_url, "http://crl.test/MOICA-G3-complete.crl"
HERE = [x509.UniformResourceIdentifier(FIRST)]
SERIAL = 0x1234
ISSUER = x509.load_der_x509_certificate(PKI.issuer)
HOLDER = x509.load_der_x509_certificate(PKI.holder(urls=(FIRST, SECOND)))
ANOTHER_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
RELATIVE = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "1")])
GOOD = PKI.crl()


class Line:
    """A store with an address that answers as told."""

    def __init__(self, grace: timedelta = timedelta(0)) -> None:
        self.egress = RecordingEgress()
        clock = FrozenClock(PKI.at)
        self.store = CrlStore(self.egress, clock, hosts=["crl.test"], grace=grace)

    async def ask(
        self, body: bytes | None = None, *, days: float = 0, url: str = FIRST
    ) -> RevocationStatus:
        """So many days after the middle; ``body`` is what the address has from now on."""
        if body is not None:
            reply = EgressReply(status=200, headers={}, body=body)
            self.egress._scripts.pop(url, None)
            self.egress.script(url, reply)
        return await self.store.status(HOLDER, ISSUER, PKI.at + timedelta(days=days))

    @property
    def asked(self) -> list[str]:
        """Addresses, in order."""
        return [request.url for request in self.egress.requests]


BELIEVED = {
    "a good one": PKI.crl(),
    "as PEM": x509.load_der_x509_crl(GOOD).public_bytes(Encoding.PEM),
    "of the whole authority": PKI.crl(url=None),
    "a little ahead of our clock": PKI.crl(days=(0, 7)),
    "with an unknown extension that is not critical": PKI.crl(also=[(UNKNOWN, False)]),
    "of several names": PKI.crl(
        point=issuing_point([x509.UniformResourceIdentifier("http://x.test/"), *HERE])
    ),
}


@pytest.mark.parametrize("crl", list(BELIEVED.values()), ids=list(BELIEVED))
async def test_a_crl_that_keeps_the_rules_is_believed(crl: bytes) -> None:
    """Not listed is not revoked."""
    status = await Line().ask(crl)
    assert status.revoked is False
    assert "CRL number 1" in status.detail


async def test_a_listed_serial_is_revoked() -> None:
    """Among others."""
    assert (await Line().ask(PKI.crl(1, SERIAL, 3))).revoked is True
    assert (await Line().ask(PKI.crl(1, SERIAL + 1))).revoked is False


REFUSED = {
    "another issuer": (PKI.crl(issuer_name=ANOTHER_NAME), "another issuer"),
    "another key": (PKI.crl(signer="stranger"), "does not verify"),
    "another authority of that name": (MemoryPki(name="stranger").crl(), "does not verify"),
    "run out": (PKI.crl(days=(-9, -2)), "run out"),
    "from the future": (PKI.crl(days=(1, 9)), "the future"),
    "no number": (PKI.crl(number=None), "without number"),
    "another point": (PKI.crl(url=SECOND), "another distribution point"),
    "a relative point": (
        PKI.crl(point=issuing_point(None, relative=RELATIVE)),
        "named relatively",
    ),
    "for authorities": (PKI.crl(point=issuing_point(HERE, authorities=True)), "another scope"),
    "for attributes": (PKI.crl(point=issuing_point(HERE, attributes=True)), "another scope"),
    "indirect": (PKI.crl(point=issuing_point(HERE, indirect=True)), "another scope"),
    "for some reasons": (
        PKI.crl(point=issuing_point(HERE, reasons=frozenset({x509.ReasonFlags.key_compromise}))),
        "another scope",
    ),
    "a delta": (PKI.crl(also=[(x509.DeltaCRLIndicator(1), True)]), ""),
    "a delta that hides it": (PKI.crl(also=[(x509.DeltaCRLIndicator(1), False)]), "delta"),
    "unknown critical extension": (PKI.crl(also=[(UNKNOWN, True)]), "unknown critical"),
    "a web page": (b"<html>", "cannot be read"),
    "nothing": (b"", "cannot be read"),
    "cut off": (GOOD[:-1], "cannot be read"),
    "something behind it": (GOOD + b"\x00", "cannot be read"),
    "a certificate": (PKI.issuer, "cannot be read"),
}


@pytest.mark.parametrize(("crl", "reason"), list(REFUSED.values()), ids=list(REFUSED))
async def test_a_crl_that_breaks_a_rule_leaves_the_status_unknown(crl: bytes, reason: str) -> None:
    """Unknown, never "not revoked"; the reason is said."""
    status = await Line().ask(crl)
    assert status.revoked is None
    assert reason in status.detail


LINES = {
    "no connection": EgressError("connect", "x", maybe_sent=False),
    "too large": EgressError("too_large", "x", maybe_sent=True),
    "not found": EgressReply(status=404, headers={}, body=GOOD),
    "moved": EgressReply(status=302, headers={"location": SECOND}, body=b""),
}


@pytest.mark.parametrize("answer", list(LINES.values()), ids=list(LINES))
async def test_a_line_that_fails_leaves_the_status_unknown(
    answer: EgressError | EgressReply,
) -> None:
    """A body that comes with another status is not looked at."""
    line = Line()
    line.egress.script(FIRST, answer)
    assert (await line.ask()).revoked is None


async def test_the_next_address_is_asked_where_the_first_fails() -> None:
    """The complete CRL stands in for the partition's."""
    line = Line()
    assert (await line.ask(PKI.crl(SERIAL, url=SECOND), url=SECOND)).revoked is True
    assert line.asked == [FIRST, SECOND]


async def test_a_crl_is_kept_until_its_next_update() -> None:
    """One request for many signatures; then it is asked for again."""
    line = Line()
    await line.ask(PKI.crl(number=1))
    await line.ask(days=6)
    assert line.asked == [FIRST]
    status = await line.ask(PKI.crl(SERIAL, number=2, days=(7, 14)), days=8)
    assert (status.revoked, line.asked) == (True, [FIRST, FIRST])


async def test_a_number_that_goes_back_is_refused() -> None:
    """Somebody replays an older list that is still in time; the same number again is none."""
    line = Line()
    await line.ask(PKI.crl(SERIAL, number=5))
    replayed = await line.ask(PKI.crl(number=4, days=(-1, 30)), days=8)
    assert replayed.revoked is None
    assert "goes back" in replayed.detail
    assert (await line.ask(PKI.crl(SERIAL, number=5, days=(-1, 30)), days=8)).revoked is True


async def test_within_its_grace_an_old_crl_still_counts() -> None:
    """Only where no newer one can be had, and what it lists stays revoked."""
    line = Line(grace=timedelta(days=1))
    await line.ask(PKI.crl(SERIAL))
    assert (await line.ask(b"<html>", days=7.5)).revoked is True
    assert (await line.ask(days=8.5)).revoked is None


async def test_hosts_outside_the_configured_ones_are_never_asked() -> None:
    """Whatever a certificate names: no request leaves."""
    line = Line()
    names = ("http://crl.test.evil.test/1", "http://crl.test@evil.test/", "http://[/", "x")
    for name in names:
        certificate = x509.load_der_x509_certificate(PKI.holder(urls=[name]))
        status = await line.store.status(certificate, ISSUER, PKI.at)
        assert status.revoked is None
    assert line.asked == []


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_mutated_crl_is_believed(place: int, change: int) -> None:
    """One changed byte anywhere is refused, and nothing foreign is raised."""
    # The count of unused bits in front of the signature says nothing.
    assume(place != len(GOOD) - 257)
    mutated = bytearray(GOOD)
    mutated[place] ^= change
    with pytest.raises(_RefusedError):
        _read(bytes(mutated), FIRST, ISSUER, PKI.at)
