"""A renewed certificate: when the judge takes it for the registered one's successor."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki()
REGISTERED = PKI.holder(valid=(-300, 65))
MESSAGE = b"what the key has to cover"


def renewed(**changes: Any) -> tuple[bytes, str]:
    """A newer certificate of the same person over another key, and that key's name."""
    key = changes.pop("key", "renewed")
    return PKI.holder(**{"key": key, "serial": 0x77, **changes}), key


async def verdict(court: Any, certificate: bytes, key: str, **changes: Any) -> Any:
    """Where renewals are accepted and everything is known of the registered person."""
    proof = court.proof(certificate, PKI.sign(MESSAGE, key=key))
    if "came" in changes:
        proof = evolve(proof, hashed_id_num=changes.pop("came"))
    known = {"hashed_id_num": "h1", "pinned_certificate": REGISTERED, "renewal_accepted": True}
    return await court.verdict(proof, evolve(court.expected(), **{**known, **changes}))


@pytest.mark.parametrize("key", ["renewed", "holder"])
@pytest.mark.parametrize("kind", ["2.16.886.1.100.3.1.1", "2.16.886.1.100.3.1.2"])
async def test_a_newer_certificate_of_the_same_person_is_a_renewal(
    court: Any, key: str, kind: str
) -> None:
    """Over a new key or the old one, of a citizen or a foreign resident; the report says so."""
    certificate, key = renewed(key=key, holder_type=kind)
    pinned = PKI.holder(valid=(-300, 65), holder_type=kind)
    found = await verdict(court, certificate, key, pinned_certificate=pinned)
    assert (found.problem, found.renewed) == (None, True)
    (check,) = [c for c in found.report if c.name == "right_credential"]
    assert check.passed is True
    assert "newer certificate" in check.detail


async def test_the_registered_certificate_itself_is_no_renewal(court: Any) -> None:
    """Nothing follows from it."""
    found = await verdict(court, REGISTERED, "holder")
    assert (found.problem, found.renewed) == (None, False)


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("renewals are not accepted", {}, {"renewal_accepted": False}, "certificate_changed"),
    ("the platform named nobody before", {}, {"hashed_id_num": None}, "certificate_changed"),
    ("the platform names nobody now", {}, {"came": None}, "certificate_changed"),
    ("the platform names another", {}, {"came": "h2"}, "hashed_id_num_mismatch"),
    ("another name", {"common_name": "王大明"}, {}, "certificate_changed"),
    ("another card number", {"card_number": "1061720472004810"}, {}, "certificate_changed"),
    ("another kind of holder", {"holder_type": "2.16.886.1.100.3.1.2"}, {}, "certificate_changed"),
    ("another issuer", {"by_root": True}, {}, "certificate_changed"),
    ("older than the registered one", {"valid": (-301, 65)}, {}, "certificate_changed"),
    ("other last four", {"last_four": "0000"}, {}, "certificate_person_mismatch"),
    ("run out", {"valid": (-200, -1)}, {}, "certificate_expired"),
    ("without policy", {"policy": None}, {}, "certificate_policy"),
]


@pytest.mark.parametrize(
    ("certificate", "expectation", "code"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
async def test_what_cannot_be_compared_is_no_renewal(
    court: Any, certificate: dict[str, Any], expectation: dict[str, Any], code: str
) -> None:
    """Any other certificate is refused as it always was."""
    made, key = renewed(**certificate)
    found = await verdict(court, made, key, **expectation)
    assert found.problem.code == code
    assert found.renewed is False


async def test_a_revoked_renewal_is_refused_and_none(court_of: Any) -> None:
    """A renewal is taken only where everything else holds."""
    court = court_of(of=PKI, crl=PKI.crl(0x77))
    made, key = renewed()
    found = await verdict(court, made, key)
    assert found.problem.code == "certificate_revoked"
    assert found.renewed is False


async def test_the_last_four_are_compared_with_the_registered_certificates_too(court: Any) -> None:
    """The registered certificate decides, should what is expected have been changed since."""
    made, key = renewed(last_four="0000")
    found = await verdict(court, made, key, last_four="0000")
    assert found.problem.code == "certificate_changed"
