"""CRLs over time: refreshed before they run out, kept over a restart, imported by hand."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from moica_gateway.domain.revocation_lists import ListHead
from moica_gateway.errors import ConfigurationError
from moica_gateway.ports import EgressError, EgressReply
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordingEgress
from moica_gateway.testing.pki import MemoryPki, issuing_point
from moica_gateway.testing.random import SeededRandom
from moica_gateway.testing.store import MemoryStore
from moica_gateway.trust import CrlStore, KeptLists, authorities_by_id, import_list
from moica_gateway.trust.crl import CrlRefusedError, read_crl
from moica_gateway.trust.kept_lists import issuer_id
from moica_gateway.trust.revocation import RevocationStatus
from moica_gateway.workers.refreshing import Refreshing

PKI = MemoryPki()
ISSUER = x509.load_der_x509_certificate(PKI.issuer)
ROOT = x509.load_der_x509_certificate(PKI.root)
HOLDER = x509.load_der_x509_certificate(PKI.holder())
DAY = 86_400
AUTHORITIES = authorities_by_id((PKI.root, PKI.issuer))


class House:
    """One process after another over one store, with one network and clock."""

    def __init__(self, *, seed: int = 1) -> None:
        self.egress = RecordingEgress()
        self.clock = FrozenClock(PKI.at)
        self.kept = KeptLists(MemoryStore(clock=self.clock))
        self.seed = seed
        self.store = self.restarted()

    def restarted(self) -> CrlStore:
        """A new process: nothing in memory."""
        self.store = CrlStore(
            self.egress,
            self.clock,
            hosts=("crl.test",),
            authorities=(PKI.root, PKI.issuer),
            kept=self.kept,
            random=SeededRandom(self.seed),
        )
        return self.store

    def serve(self, body: bytes, url: str = PKI.crl_url) -> None:
        """From now on, and nothing else."""
        self.egress.clear()
        self.egress.reply(url, body)

    def unplug(self) -> None:
        """A network without Internet."""
        self.egress.clear()

    async def status(self) -> RevocationStatus:
        """Of the holder."""
        return await self.store.status(HOLDER, ISSUER)

    async def imported(self, body: bytes) -> Any:
        """By the operator."""
        return await import_list(body, AUTHORITIES, self.kept, self.clock.now())

    @property
    def asked(self) -> int:
        """How often the partition was."""
        return sum(request.url == PKI.crl_url for request in self.egress.requests)


# -- ahead of time -----------------------------------------------------------------------------


async def test_a_list_is_asked_for_again_before_it_runs_out() -> None:
    """In the third quarter of its life (here: eight days from the day before), and not before;
    whoever signs finds it."""
    house = House()
    house.serve(PKI.crl())
    assert (await house.status()).revoked is False
    house.serve(PKI.crl(0x1234, number=2, days=(3, 11)))
    await house.clock.advance(3 * DAY - 1)
    await house.store.refresh()
    assert house.asked == 0
    await house.clock.advance(2 * DAY + 1)
    await house.store.refresh()
    assert house.asked == 1
    house.unplug()
    assert (await house.status()).revoked is True
    assert house.egress.requests == []


async def test_replicas_do_not_all_ask_at_once() -> None:
    """The moment is spread over a quarter of the list's life."""
    moments = set()
    for seed in range(8):
        house = House(seed=seed)
        house.serve(PKI.crl())
        await house.status()
        house.serve(PKI.crl(number=2, days=(3, 11)))
        for hour in range(49):
            await house.store.refresh()
            if house.asked:
                moments.add(hour)
                break
            await house.clock.advance(3600 if hour else 3 * DAY)
    assert len(moments) >= 5


async def test_nobody_waits_for_the_network_while_a_valid_list_is_held() -> None:
    """The refresh hangs; a signature in the meantime is answered at once."""
    house = House()
    house.serve(PKI.crl())
    await house.status()
    asked, release = asyncio.Event(), asyncio.Event()

    class Slow(RecordingEgress):
        async def request(self, *_: Any, **__: Any) -> EgressReply:
            asked.set()
            await release.wait()
            raise EgressError("timeout", "as the test says", maybe_sent=True)

    house.store._egress = Slow()
    await house.clock.advance(6 * DAY)
    refreshing = asyncio.create_task(house.store.refresh())
    await asyncio.wait_for(asked.wait(), 10)
    found = await asyncio.wait_for(house.status(), 10)
    assert found.revoked is False
    assert not refreshing.done()
    release.set()
    await refreshing


async def test_a_refresh_that_fails_is_tried_again_and_changes_nothing() -> None:
    """More often the less time is left, never more than once a minute."""
    house = House()
    house.serve(PKI.crl())
    await house.status()
    house.unplug()
    await house.clock.advance(6 * DAY)
    await house.store.refresh()
    await house.store.refresh()
    assert house.asked == 1
    assert (await house.status()).revoked is False
    await house.clock.advance(1.25 * 3600)
    await house.store.refresh()
    assert house.asked == 2
    await house.clock.advance(DAY - 1.25 * 3600 - 61)
    before = house.asked
    for _ in range(3):
        await house.store.refresh()
        await house.clock.advance(1)
    assert house.asked <= before + 1


async def test_a_list_that_nobody_needs_any_more_is_not_refreshed() -> None:
    """After a week."""
    house = House()
    house.serve(PKI.crl(days=(-1, 30)))
    await house.status()
    house.serve(PKI.crl(days=(-1, 30), number=2))
    await house.clock.advance(25 * DAY)
    await house.store.refresh()
    assert house.asked == 0


async def test_an_older_list_does_not_come_in_by_the_refresh() -> None:
    """The one that is held stays."""
    house = House()
    house.serve(PKI.crl(0x1234, number=5))
    await house.status()
    house.serve(PKI.crl(number=4, days=(-1, 30)))
    await house.clock.advance(6 * DAY)
    await house.store.refresh()
    assert house.asked == 1
    assert (await house.status()).revoked is True


async def test_the_worker_goes_on_after_a_defect_and_keeps_its_rhythm() -> None:
    """Twice a minute, on the handed-in clock."""
    clock, calls = FrozenClock(), 0

    async def refresh() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a defect")

    task = asyncio.create_task(Refreshing(refresh, clock=clock).run())
    await clock.settle()
    assert calls == 1
    await clock.advance(90)
    assert calls == 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# -- over a restart ----------------------------------------------------------------------------


async def test_a_list_outlives_the_process() -> None:
    """The next one asks nobody while it is valid."""
    house = House()
    house.serve(PKI.crl(0x1234))
    assert (await house.status()).revoked is True
    house.unplug()
    house.restarted()
    assert (await house.status()).revoked is True
    assert house.egress.requests == []


@pytest.mark.parametrize(
    "older",
    [PKI.crl(number=4, days=(-1, 30)), PKI.crl(number=5, days=(-2, 30))],
    ids=["a lower number", "the same number, made earlier"],
)
async def test_a_number_never_goes_back_over_a_restart(older: bytes) -> None:
    """Also where the newer list has run out by then."""
    house = House()
    house.serve(PKI.crl(0x1234, number=5))
    assert (await house.status()).revoked is True
    await house.clock.advance(8 * DAY)
    house.restarted()
    house.serve(older)
    found = await house.status()
    assert found.revoked is None
    assert "goes back" in found.detail


async def test_an_older_complete_list_does_not_stand_in_for_a_newer_partition() -> None:
    """Their numbers cannot be compared, their times can."""
    house = House()
    house.serve(PKI.crl(0x1234, number=5))
    assert (await house.status()).revoked is True
    await house.clock.advance(8 * DAY)
    house.serve(b"<html>")
    house.egress.reply(PKI.complete_url, PKI.crl(url=None, number=900, days=(-2, 30)))
    found = await house.status()
    assert found.revoked is None
    assert "goes back" in found.detail
    house.serve(b"<html>")
    house.egress.reply(PKI.complete_url, PKI.crl(0x1234, url=None, number=901, days=(7, 30)))
    await house.clock.advance(6)
    assert (await house.status()).revoked is True


async def test_a_list_that_was_changed_in_the_store_is_not_believed() -> None:
    """It is removed, and fetched anew."""
    house = House()
    house.serve(PKI.crl(0x1234))
    await house.status()
    (head,) = await house.kept.heads()
    changed = bytearray(PKI.crl())
    changed[-1] ^= 1
    await house.kept.keep(head, bytes(changed))
    house.restarted()
    house.serve(PKI.crl(0x1234))
    assert (await house.status()).revoked is True
    assert house.asked == 1
    assert await house.kept.body(head) == PKI.crl(0x1234)


async def test_what_does_not_verify_is_removed_from_the_store() -> None:
    """Also where nothing better can be had."""
    house = House()
    house.serve(PKI.crl())
    await house.status()
    (head,) = await house.kept.heads()
    await house.kept.keep(head, b"rubbish")
    house.unplug()
    house.restarted()
    assert (await house.status()).revoked is None
    assert await house.kept.heads() == ()


async def test_a_row_that_lies_about_its_number_takes_nothing_back() -> None:
    """What counts stands in the list, under its issuer's signature."""
    house = House()
    house.serve(PKI.crl(0x1234, number=5))
    assert (await house.status()).revoked is True
    (head,) = await house.kept.heads()
    older = PKI.crl(number=4)
    await house.kept.keep(evolve(head, number=99), older)
    await house.store.refresh()
    assert (await house.status()).revoked is True


async def test_a_signature_under_a_valid_list_reads_nothing_from_the_store() -> None:
    """Neither network nor database stands between it and its answer."""
    house = House()
    house.serve(PKI.crl())
    await house.status()

    class Counted(KeptLists):
        async def heads(self) -> list[ListHead]:
            raise AssertionError("it was read")

    house.store._kept = Counted(MemoryStore(clock=house.clock))
    house.store._log = None
    assert (await house.status()).revoked is False


async def test_a_store_that_fails_keeps_nobody_from_signing() -> None:
    """What was fetched counts; only a restart would lose it."""
    house = House()

    class Broken(KeptLists):
        async def heads(self) -> list[ListHead]:
            raise RuntimeError("down")

        async def keep(self, head: ListHead, body: bytes) -> bool:
            raise RuntimeError("down")

    house.kept = Broken(MemoryStore(clock=house.clock))
    house.restarted()
    house.serve(PKI.crl())
    assert (await house.status()).revoked is False
    await house.store.refresh()


# -- by hand -----------------------------------------------------------------------------------


async def test_an_imported_list_is_used_by_a_running_process() -> None:
    """Without a restart and without asking anybody."""
    house = House()
    house.unplug()
    assert (await house.status()).revoked is None
    made = await house.imported(PKI.crl(0x1234))
    assert (made.crl.number, made.issuer) == (1, ISSUER)
    house.egress.clear()
    assert (await house.status()).revoked is True
    assert house.egress.requests == []


async def test_an_imported_newer_list_takes_the_place_of_one_that_is_still_valid() -> None:
    """At the next refresh: what was revoked since is revoked."""
    house = House()
    house.serve(PKI.crl())
    assert (await house.status()).revoked is False
    await house.imported(PKI.crl(0x1234, number=2, days=(-0.5, 7)))
    await house.store.refresh()
    assert (await house.status()).revoked is True


async def test_an_imported_complete_list_holds_every_certificate_of_its_issuer() -> None:
    """Also one that names no address at all; and nobody else's."""
    house = House()
    await house.imported(PKI.crl(0x1234, url=None))
    bare = x509.load_der_x509_certificate(PKI.holder(points=()))
    assert (await house.store.status(bare, ISSUER)).revoked is True
    other = MemoryPki(name="b")
    stranger = x509.load_der_x509_certificate(other.holder(points=()))
    issuer = x509.load_der_x509_certificate(other.issuer)
    assert (await house.store.status(stranger, issuer)).revoked is None


async def test_lists_for_holders_and_for_authorities_are_kept_apart() -> None:
    """Two complete lists of one issuer, each for its own kind, with numbers of their own."""
    house = House()
    await house.imported(
        PKI.crl(0x1234, number=9, scope=issuing_point(only_contains_user_certs=True))
    )
    await house.imported(PKI.crl(number=1, scope=issuing_point(only_contains_ca_certs=True)))
    assert (await house.status()).revoked is True
    as_authority = await house.store.status(HOLDER, ISSUER, of_authority=True)
    assert as_authority.revoked is False


IMPORTS: list[tuple[str, bytes, str]] = [
    ("no CRL", b"hello", "cannot be read"),
    ("a certificate", PKI.issuer, "cannot be read"),
    ("of an unknown authority", MemoryPki(name="x").crl(), "does not verify"),
    ("by a holder", PKI.crl(signer="holder"), "does not verify"),
    ("run out", PKI.crl(days=(-9, -1)), "run out"),
    ("from the future", PKI.crl(days=(1, 9)), "from the future"),
    ("without a number", PKI.crl(number=None), "without number"),
    ("indirect", PKI.crl(scope=issuing_point(indirect_crl=True)), "another scope"),
    ("older than known", PKI.crl(number=1), "older than one that is known"),
]


@pytest.mark.parametrize(("body", "why"), [i[1:] for i in IMPORTS], ids=[i[0] for i in IMPORTS])
async def test_an_import_counts_only_under_a_configured_authority(body: bytes, why: str) -> None:
    """Its signature, its times, its number; what is refused changes nothing."""
    house = House()
    await house.imported(PKI.crl(0x1234, number=2))
    with pytest.raises(ConfigurationError, match=why):
        await house.imported(body)
    assert (await house.status()).revoked is True
    assert [head.number for head in await house.kept.heads()] == [2]


async def test_the_roots_list_can_be_imported_too() -> None:
    """The intermediate's status is needed as well."""
    house = House()
    made = await house.imported(PKI.root_crl(PKI.issuer_serial))
    assert made.issuer == ROOT
    assert (await house.store.status(ISSUER, ROOT, of_authority=True)).revoked is True
    assert [head.issuer for head in await house.kept.heads()] == [issuer_id(ROOT)]


# -- a judge that is not us --------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize(
    ("changes", "revoked"),
    [
        ({}, False),
        ({"revoked": True}, True),
        ({"signer": "stranger"}, None),
        ({"days": (-9, -1)}, None),
        ({"days": (1, 9)}, None),
        ({"url": "http://crl.test/other.crl"}, None),
        ({"by_root": True}, None),
        ({"extra": x509.DeltaCRLIndicator(1)}, None),
    ],
)
def test_openssl_verify_says_the_same(
    tmp_path: Path, changes: dict[str, Any], revoked: Any
) -> None:
    """``openssl verify -crl_check`` over the same certificates and list; its clock is today's."""
    pki = MemoryPki(at=datetime.now(UTC) - timedelta(minutes=1))
    issuer = x509.load_der_x509_certificate(pki.issuer)
    holder = x509.load_der_x509_certificate(pki.holder())
    serials = (0x1234,) if changes.get("revoked") else ()
    body = pki.crl(*serials, **{k: v for k, v in changes.items() if k != "revoked"})
    for name, data in (
        ("root.pem", pki.root_pem),
        ("issuer.pem", issuer.public_bytes(Encoding.PEM)),
        ("holder.pem", holder.public_bytes(Encoding.PEM)),
        ("list.pem", x509.load_der_x509_crl(body).public_bytes(Encoding.PEM)),
    ):
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [
            *("openssl", "verify", "-crl_check", "-extended_crl", "-CAfile", "root.pem"),
            *("-untrusted", "issuer.pem", "-CRLfile", "list.pem", "holder.pem"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    theirs = False if done.returncode == 0 else None
    if "certificate revoked" in done.stderr:
        theirs = True
    try:
        crl = read_crl(body, issuer)
        crl.check_times(pki.at)
        crl.check_scope((pki.crl_url,), of_authority=False)
        ours = 0x1234 in crl.serials
    except CrlRefusedError:
        ours = None
    assert ours is revoked
    assert theirs is revoked, done.stderr
