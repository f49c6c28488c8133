"""A path that was found is kept, and hides nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import moica_gateway.trust.path
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.trust import TrustAnchors
from moica_gateway.trust.path import PathFinder

PKI = MemoryPki()
ANCHORS = TrustAnchors((PKI.root,), (PKI.issuer,))
LEAF = PKI.holder()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the library was asked to validate."""
    asked: list[bytes] = []
    real = moica_gateway.trust.path.CertificateValidator

    def counted(certificate: Any, **more: Any) -> Any:
        asked.append(certificate.dump())
        return real(certificate, **more)

    monkeypatch.setattr(moica_gateway.trust.path, "CertificateValidator", counted)
    return asked


async def test_a_path_is_validated_once(made: list[bytes]) -> None:
    """Equal each time."""
    finder = PathFinder(ANCHORS)
    found = [await finder.find(LEAF, PKI.at + timedelta(hours=n)) for n in range(5)]
    assert made == [LEAF]
    assert {(f.root, f.chain, f.failure) for f in found} == {(PKI.root, (PKI.issuer,), None)}


async def test_it_counts_only_while_every_certificate_of_it_is_valid(made: list[bytes]) -> None:
    """A moment outside is validated anew, and fails; inside, to the second, the kept one counts."""
    finder = PathFinder(ANCHORS)
    begin, end = PKI.at - timedelta(days=30), PKI.at + timedelta(days=335)
    for at in (PKI.at, begin, end):
        assert (await finder.find(LEAF, at)).failure is None
    assert len(made) == 1
    for at in (begin - timedelta(seconds=1), end + timedelta(seconds=1)):
        assert (await finder.find(LEAF, at)).failure is not None
    assert len(made) == 3
    # A leaf that outlives its issuer: the path ends with the issuer.
    lasting = PKI.holder(valid=(-30, 9000))
    assert (await finder.find(lasting, PKI.at)).failure is None
    assert (await finder.find(lasting, PKI.at + timedelta(days=3001))).failure is not None


async def test_it_is_that_certificates_and_those_anchors(made: list[bytes]) -> None:
    """One more byte, or other anchors, and it is another question."""
    finder = PathFinder(ANCHORS)
    assert (await finder.find(LEAF, PKI.at)).failure is None
    changed = LEAF[:-1] + bytes([LEAF[-1] ^ 1])
    assert (await finder.find(changed, PKI.at)).failure is not None
    stranger = MemoryPki(name="stranger")
    others = PathFinder(TrustAnchors((stranger.root,), (stranger.issuer,)))
    assert (await others.find(LEAF, PKI.at)).failure is not None
    assert len(made) == 3


async def test_a_failure_is_not_kept(made: list[bytes]) -> None:
    """What nobody vouches for costs its sender the same each time, and takes no room here."""
    finder = PathFinder(ANCHORS)
    junk = MemoryPki(name="stranger").holder()
    for _ in range(3):
        assert (await finder.find(junk, PKI.at)).failure is not None
    assert len(made) == 3
    assert len(finder._kept) == 0


async def test_no_more_than_so_many_are_kept(made: list[bytes]) -> None:
    """The one that was not used for the longest time goes."""
    finder = PathFinder(ANCHORS, kept=2)
    one, two, three = (PKI.holder(serial=n) for n in (1, 2, 3))
    for leaf in (one, two, one, three, one):
        await finder.find(leaf, PKI.at)
    assert made == [one, two, three]
    assert len(finder._kept) == 2
    await finder.find(two, PKI.at)
    assert made[-1] == two
