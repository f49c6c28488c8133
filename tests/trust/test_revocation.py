"""The CRL store: each rule by which a CRL is believed, kept, and asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import crl as asn1crl
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.ports import EgressError
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordedRequest, RecordingEgress
from moica_gateway.testing.pki import MemoryPki, issuing_point
from moica_gateway.trust import CrlStore
from moica_gateway.trust.crl import Crl, CrlRefusedError, read_crl
from moica_gateway.trust.revocation import RevocationStatus

Courts = Callable[..., Any]

PKI = MemoryPki()
POINT = (PKI.crl_url,)
ISSUER = x509.load_der_x509_certificate(PKI.issuer)
HOLDER = x509.load_der_x509_certificate(PKI.holder())
GOOD = PKI.crl()
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
_SHA256_RSA = bytes.fromhex("06092a864886f70d01010b")


def believe(body: bytes, issuer: x509.Certificate = ISSUER, *, of_authority: bool = False) -> Crl:
    """As the store does with what it fetched for the holder's partition."""
    crl = read_crl(body, issuer)
    crl.check_times(PKI.at)
    crl.check_scope(POINT, of_authority=of_authority)
    return crl


def without_next_update() -> bytes:
    """The library refuses to build one, so it is taken out; the signature is made anew."""
    crl = asn1crl.CertificateList.load(GOOD)
    crl["tbs_cert_list"]["next_update"] = None
    tbs = crl["tbs_cert_list"].dump(force=True)
    crl["signature"] = PKI.sign(tbs, key="issuer-a")
    return bytes(crl.dump(force=True))


def only(**flags: Any) -> bytes:
    """A CRL of that scope."""
    return PKI.crl(scope=issuing_point(PKI.crl_url, **flags))


def with_delta_not_critical() -> bytes:
    """As somebody would who hopes that nobody looks."""
    return PKI.crl(extra=x509.DeltaCRLIndicator(1), extra_critical=False)


RELATIVE = issuing_point(
    relative_name=x509.RelativeDistinguishedName(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, "1")]
    )
)

REFUSED: list[tuple[str, bytes, str]] = [
    ("no CRL", b"<html>", "cannot be read"),
    ("empty", b"", "cannot be read"),
    ("more behind it", GOOD + b"\x00", "cannot be read"),
    ("a certificate", PKI.issuer, "cannot be read"),
    ("another issuer", PKI.crl(by_root=True), "another issuer"),
    ("another signer", PKI.crl(signer="stranger"), "does not verify"),
    ("another hierarchy of the same name", MemoryPki(name="x").crl(), "does not verify"),
    ("a bit changed", GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "does not verify"),
    ("signed with SHA-1", GOOD.replace(_SHA256_RSA, _SHA256_RSA[:-1] + b"\x05"), "SHA-256"),
    ("of an unknown algorithm", GOOD.replace(_SHA256_RSA, _SHA256_RSA[:-1] + b"\x63"), "SHA-256"),
    ("run out", PKI.crl(days=(-9, -1 / 86_400)), "run out"),
    ("from the future", PKI.crl(days=(1, 9)), "from the future"),
    ("without nextUpdate", without_next_update(), "without nextUpdate"),
    ("without number", PKI.crl(number=None), "without number"),
    ("another distribution point", PKI.crl(url="http://crl.test/2.crl"), "distribution point"),
    ("unknown critical extension", PKI.crl(extra=UNKNOWN), "unknown critical"),
    ("a delta", PKI.crl(extra=x509.DeltaCRLIndicator(1)), "critical"),
    ("a delta that hides it", with_delta_not_critical(), "a delta CRL"),
    ("relatively named", PKI.crl(scope=RELATIVE), "distribution point"),
    ("for authorities", only(only_contains_ca_certs=True), "another scope"),
    ("for attribute certificates", only(only_contains_attribute_certs=True), "another scope"),
    ("indirect", only(indirect_crl=True), "another scope"),
    (
        "for some reasons",
        only(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})),
        "another scope",
    ),
]


@pytest.mark.parametrize(("body", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_crl_is_believed_by_its_rules_only(body: bytes, why: str) -> None:
    """Everything else is refused, each with its own words."""
    with pytest.raises(CrlRefusedError, match=why):
        believe(body)


BELIEVED: list[tuple[str, bytes]] = [
    ("the partition", GOOD),
    ("in PEM", x509.load_der_x509_crl(GOOD).public_bytes(Encoding.PEM)),
    ("a list without scope", PKI.crl(url=None)),
    ("an unknown extension, not critical", PKI.crl(extra=UNKNOWN, extra_critical=False)),
    ("for holders only", only(only_contains_user_certs=True)),
    ("a clock that is minutes behind", PKI.crl(days=(4 / 1440, 7))),
]


@pytest.mark.parametrize("body", [b[1] for b in BELIEVED], ids=[b[0] for b in BELIEVED])
def test_a_good_crl_is_believed(body: bytes) -> None:
    """Partition, complete list, and scopes that hold the certificate."""
    crl = believe(body)
    assert crl.number == 1
    assert crl.serials == frozenset()


def test_an_issuer_that_may_not_sign_crls_is_not_believed() -> None:
    """Its key usage decides, though its signature verifies."""
    pki = MemoryPki(issuer_signs_crls=False)
    issuer = x509.load_der_x509_certificate(pki.issuer)
    with pytest.raises(CrlRefusedError, match="may not sign"):
        believe(pki.crl(), issuer)


def test_a_list_for_holders_says_nothing_of_an_authority() -> None:
    """The scope is held against the kind of certificate."""
    body = only(only_contains_user_certs=True)
    with pytest.raises(CrlRefusedError, match="another scope"):
        believe(body, of_authority=True)
    body = only(only_contains_ca_certs=True)
    assert believe(body, of_authority=True).number == 1


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_and_nothing_foreign_escapes(body: bytes) -> None:
    """Whatever a CRL host answers."""
    with pytest.raises(CrlRefusedError):
        believe(body)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_mutated_crl_is_never_believed(place: int, change: int) -> None:
    """One changed byte anywhere breaks it, and raises nothing foreign."""
    body = bytearray(GOOD)
    body[place] ^= change
    with pytest.raises(CrlRefusedError):
        believe(bytes(body))


# -- the store ---------------------------------------------------------------------------------


class Shelf:
    """A store with its network and clock."""

    def __init__(self, *, hosts: tuple[str, ...] = ("crl.test",), grace: float = 0.0) -> None:
        self.egress = RecordingEgress()
        self.clock = FrozenClock(PKI.at)
        self.store = CrlStore(self.egress, self.clock, hosts=hosts, grace=timedelta(seconds=grace))

    def serve(self, *bodies: bytes, url: str = PKI.crl_url) -> None:
        """From now on; the last one stays."""
        self.egress.clear()
        for body in bodies:
            self.egress.reply(url, body)

    def fail(self, kind: Any = "connect") -> None:
        """From now on no list can be had."""
        self.egress.clear()
        for url in (PKI.crl_url, PKI.complete_url):
            self.egress.script(url, EgressError(kind, "as the test says", maybe_sent=False))

    async def status(self, certificate: x509.Certificate = HOLDER) -> RevocationStatus:
        """Of the holder."""
        return await self.store.status(certificate, ISSUER)

    @property
    def asked(self) -> list[str]:
        """Addresses, in order."""
        return [request.url for request in self.egress.requests]


async def test_a_revoked_serial_number_is_found() -> None:
    """And another one is not."""
    shelf = Shelf()
    shelf.serve(PKI.crl(0x1233, 0x1234))
    assert (await shelf.status()).revoked is True
    other = x509.load_der_x509_certificate(PKI.holder(serial=0x1235))
    assert (await shelf.status(other)).revoked is False


async def test_a_crl_is_kept_until_its_next_update() -> None:
    """One download, then none until it has run out."""
    shelf = Shelf()
    shelf.serve(PKI.crl(), PKI.crl(0x1234, number=2, days=(6, 14)))
    for _ in range(3):
        assert (await shelf.status()).revoked is False
    assert len(shelf.asked) == 1
    await shelf.clock.advance(7 * 86_400)
    assert (await shelf.status()).revoked is False
    await shelf.clock.advance(1)
    assert (await shelf.status()).revoked is True
    assert len(shelf.asked) == 2


async def test_many_who_wait_share_one_download() -> None:
    """The list is fetched once for all of them."""
    shelf = Shelf()
    shelf.serve(PKI.crl())
    found = await asyncio.gather(*(shelf.status() for _ in range(20)))
    assert {f.revoked for f in found} == {False}
    assert len(shelf.asked) == 1


async def test_the_partition_is_asked_before_the_complete_list() -> None:
    """Whatever their order in the certificate; the complete one where the partition fails."""
    points = ((PKI.complete_url,), (PKI.crl_url,))
    holder = x509.load_der_x509_certificate(PKI.holder(points=points))
    shelf = Shelf()
    shelf.serve(b"<html>")
    shelf.egress.reply(PKI.complete_url, PKI.crl(0x1234, url=None))
    assert (await shelf.status(holder)).revoked is True
    assert shelf.asked == [PKI.crl_url, PKI.complete_url]


ADDRESSES = [
    "http://evil.test/1.crl",
    "http://crl.test.evil.test/1.crl",
    "http://crl.test@evil.test/1.crl",
    "http://crl.test:8080/1.crl",
    "http://user@crl.test/1.crl",
    "ldap://crl.test/cn=x",
    "file://crl.test/etc/passwd",
    "http://[",
    "crl.test/1.crl",
    "",
]


@pytest.mark.parametrize("url", ADDRESSES)
async def test_other_hosts_are_never_asked(url: str) -> None:
    """A certificate cannot send us anywhere."""
    shelf = Shelf()
    holder = x509.load_der_x509_certificate(PKI.holder(points=((url,),)))
    assert (await shelf.status(holder)).revoked is None
    assert shelf.asked == []


async def test_a_host_is_compared_without_case() -> None:
    """And with its port."""
    shelf = Shelf(hosts=("CRL.test:8080",))
    url = "http://crl.TEST:8080/1.crl"
    shelf.serve(PKI.crl(url=url), url=url)
    holder = x509.load_der_x509_certificate(PKI.holder(points=((url,),)))
    assert (await shelf.status(holder)).revoked is False


REASONS: list[tuple[bytes, str]] = [
    (PKI.crl(url="http://crl.test/2.crl"), "another distribution point"),
    (PKI.crl(days=(-9, -1)), "run out"),
    (PKI.crl(signer="stranger"), "does not verify"),
]


@pytest.mark.parametrize(("body", "why"), REASONS)
async def test_what_was_wrong_with_a_list_is_said(body: bytes, why: str) -> None:
    """To whoever reads the report; and it is not asked for again at once."""
    shelf = Shelf()
    shelf.serve(body)
    shelf.egress.reply(PKI.complete_url, b"", status=404)
    for _ in range(2):
        found = await shelf.status()
        assert found.revoked is None
        assert why in found.detail
    assert shelf.asked.count(PKI.crl_url) == 1


async def test_any_address_of_one_point_names_its_list() -> None:
    """The list may name another address of the same distribution point."""
    second = "http://crl.test/mirror.crl"
    shelf = Shelf()
    shelf.serve(PKI.crl(url=second))
    holder = x509.load_der_x509_certificate(PKI.holder(points=((PKI.crl_url, second),)))
    assert (await shelf.status(holder)).revoked is False


BACK: list[tuple[str, bytes]] = [
    ("a lower number", PKI.crl(number=4, days=(-1, 30))),
    ("the same number, made earlier", PKI.crl(number=5, days=(-2, 30))),
]


@pytest.mark.parametrize("older", [b[1] for b in BACK], ids=[b[0] for b in BACK])
async def test_a_crl_number_never_goes_back(older: bytes) -> None:
    """An older list is refused once a newer one was seen, however long it is valid."""
    shelf = Shelf()
    shelf.serve(PKI.crl(number=5))
    assert (await shelf.status()).revoked is False
    await shelf.clock.advance(8 * 86_400)
    shelf.serve(older)
    found = await shelf.status()
    assert found.revoked is None
    assert "goes back" in found.detail


async def test_the_same_list_again_is_believed() -> None:
    """An authority may extend one without a change."""
    shelf = Shelf()
    shelf.serve(PKI.crl(0x1234, number=5))
    assert (await shelf.status()).revoked is True
    await shelf.clock.advance(8 * 86_400)
    shelf.serve(PKI.crl(0x1234, number=5, days=(-1, 30)))
    assert (await shelf.status()).revoked is True


async def test_lists_of_two_issuers_at_one_address_are_kept_apart() -> None:
    """A list that one issuer signed says nothing of another's certificates."""
    other = MemoryPki(name="b")
    shelf = Shelf()
    shelf.serve(PKI.crl())
    assert (await shelf.status()).revoked is False
    issuer = x509.load_der_x509_certificate(other.issuer)
    holder = x509.load_der_x509_certificate(other.holder())
    assert (await shelf.store.status(holder, issuer)).revoked is None


async def test_within_the_grace_the_last_list_is_used_and_said_to_be_stale() -> None:
    """Only when no newer one can be had, and no longer than configured."""
    shelf = Shelf(grace=3600)
    shelf.serve(PKI.crl(0x1234))
    assert (await shelf.status()).revoked is True
    shelf.fail()
    await shelf.clock.advance(7 * 86_400 + 3600)
    found = await shelf.status()
    assert found.revoked is True
    assert "past its nextUpdate" in found.detail
    await shelf.clock.advance(1)
    assert (await shelf.status()).revoked is None


@pytest.mark.parametrize("kind", ["address", "connect", "tls", "timeout", "reset", "too_large"])
async def test_a_line_that_fails_leaves_the_status_unknown(kind: str) -> None:
    """And its kind is said."""
    shelf = Shelf()
    shelf.fail(kind)
    found = await shelf.status()
    assert found.revoked is None
    assert kind in found.detail


async def test_a_dead_host_is_not_asked_by_everybody_who_waits() -> None:
    """One time limit for all; after a pause it is asked again."""
    shelf = Shelf()
    shelf.fail("timeout")
    found = await asyncio.gather(*(shelf.status() for _ in range(20)))
    assert {f.revoked for f in found} == {None}
    assert shelf.asked == [PKI.crl_url]
    shelf.serve(PKI.crl())
    await shelf.clock.advance(4.9)
    assert (await shelf.status()).revoked is None
    await shelf.clock.advance(0.2)
    assert (await shelf.status()).revoked is False


@pytest.mark.parametrize("status", [204, 301, 404, 500])
async def test_another_http_status_is_no_list(status: int) -> None:
    """Even with a good list as its body."""
    shelf = Shelf()
    shelf.egress.reply(PKI.crl_url, GOOD, status=status)
    found = await shelf.status()
    assert found.revoked is None
    assert f"HTTP status {status}" in found.detail


async def test_a_download_has_a_time_and_a_size_limit() -> None:
    """Shorter than the 15 s in which a transaction is settled."""
    shelf = Shelf()
    shelf.serve(PKI.crl())
    await shelf.status()
    request: RecordedRequest = shelf.egress.requests[0]
    assert request.timeout < 15
    assert request.max_bytes <= 64 * 1024 * 1024


async def test_a_large_list_is_searched_by_serial_number() -> None:
    """Five thousand entries, the last of them ours."""
    shelf = Shelf()
    shelf.serve(PKI.crl(*range(0x10000, 0x10000 + 5000), 0x1234))
    assert (await shelf.status()).revoked is True


async def test_the_judge_refuses_what_the_store_finds(court_of: Courts) -> None:
    """Revoked, and unknown under the default policy."""
    assert await court_of(crl=PKI.crl(0x1234, signer="issuer")).code() == "certificate_revoked"
    assert await court_of(crl=PKI.crl(days=(-9, -2))).code() == "revocation_unknown"


async def test_points_for_some_reasons_or_other_issuers_are_left_out() -> None:
    """Their lists could not say that a certificate is good."""
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier(PKI.crl_url)],
        None,
        frozenset({x509.ReasonFlags.key_compromise}),
        None,
    )
    builder = x509.CertificateBuilder(
        subject_name=HOLDER.subject,
        issuer_name=HOLDER.issuer,
        public_key=HOLDER.public_key(),
        serial_number=5,
        not_valid_before=HOLDER.not_valid_before_utc,
        not_valid_after=HOLDER.not_valid_after_utc,
    ).add_extension(x509.CRLDistributionPoints([point]), critical=False)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    shelf = Shelf()
    shelf.serve(PKI.crl())
    assert (await shelf.status(builder.sign(key, hashes.SHA256()))).revoked is None
    assert shelf.asked == []
