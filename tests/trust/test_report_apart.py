"""The report keeps its checks apart: each can be false alone, and the others are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.testing.pki import MemoryPki
from moica_gateway.trust.report import CheckName

Courts = Callable[..., Any]
PKI = MemoryPki()
N = CheckName
STRANGER = MemoryPki(name="stranger")


def told(found: Any) -> dict[str, bool | None]:
    """By name."""
    return {check.name: check.passed for check in found.report}


def expecting(court: Any, certificate: bytes, **changes: Any) -> Any:
    """Everything that can be compared is, and all of it holds but for the changes."""
    return evolve(
        court.expected(),
        **{
            "user_name": "王小明",
            "hashed_id_num": "h1",
            "pinned_certificate": certificate,
            **changes,
        },
    )


ROWS: list[tuple[CheckName, str, dict[str, Any], dict[str, Any], tuple[CheckName, ...]]] = [
    # what fails, its code, the certificate's changes, the expectation's, what cannot be told then
    (N.PROFILE, "certificate_policy", {"policy": None}, {}, ()),
    (N.VALID_AT_SIGNING, "certificate_expired", {"valid": (-9, -1)}, {}, (N.NOT_REVOKED,)),
    (N.VALID_AT_SIGNING, "certificate_not_yet_valid", {"valid": (1, 9)}, {}, (N.NOT_REVOKED,)),
    (N.RIGHT_PERSON, "certificate_person_mismatch", {"last_four": "0000"}, {}, ()),
    (N.SAME_PERSON_AS_REGISTERED, "hashed_id_num_mismatch", {}, {"hashed_id_num": "h2"}, ()),
    (N.RIGHT_NAME, "name_mismatch", {}, {"user_name": "王大明"}, ()),
    (N.RIGHT_CREDENTIAL, "certificate_changed", {}, {"pinned_certificate": b"another"}, ()),
]


@pytest.mark.parametrize(("name", "code", "certificate", "expectation", "untold"), ROWS)
async def test_a_check_is_false_alone(
    court: Any,
    name: CheckName,
    code: str,
    certificate: dict[str, Any],
    expectation: dict[str, Any],
    untold: tuple[CheckName, ...],
) -> None:
    """The others hold, and are said to; only what rests on it is not told, with the reason."""
    holder = PKI.holder(**certificate)
    found = await court.verdict(court.proof(holder), expecting(court, holder, **expectation))
    assert found.problem.code == code
    expected = {n.value: True for n in N} | {name.value: False} | {n.value: None for n in untold}
    assert told(found) == expected
    for check in found.report:
        if check.passed is None:
            assert f"it needs {name.value}" in check.detail


async def test_intact_is_false_alone(court: Any) -> None:
    """Whose bytes a broken signature covers cannot be told; all about the certificate can."""
    holder = PKI.holder()
    proof = court.proof(holder, PKI.sign(b"x", key="somebody else"))
    found = await court.verdict(proof, expecting(court, holder))
    assert found.problem.code == "signature_invalid"
    assert told(found) == {n.value: True for n in N} | {
        N.INTACT.value: False,
        N.COVERS_OUR_BYTES.value: None,
    }


async def test_covers_our_bytes_is_false_alone(court: Any) -> None:
    """A good signature over other bytes by the right, trusted, unrevoked certificate."""
    holder = PKI.holder()
    found = await court.verdict(
        court.proof(holder, PKI.sign(b"other bytes")), expecting(court, holder)
    )
    assert found.problem.code == "upstream_tampered"
    assert told(found) == {n.value: True for n in N} | {N.COVERS_OUR_BYTES.value: False}


async def test_trusted_path_is_false_alone(court: Any) -> None:
    """Nobody is asked whether a certificate that nobody vouches for is revoked."""
    holder = STRANGER.holder()
    found = await court.verdict(court.proof(holder), expecting(court, holder))
    assert found.problem.code == "certificate_untrusted"
    assert told(found) == {n.value: True for n in N} | {
        N.TRUSTED_PATH.value: False,
        N.NOT_REVOKED.value: None,
        N.ISSUER_NOT_REVOKED.value: None,
    }
    assert court.egress.requests == []


@pytest.mark.parametrize(
    ("lists", "code", "name"),
    [
        ({"crl": PKI.crl(0x1234)}, "certificate_revoked", N.NOT_REVOKED),
        ({"crl": b"<html>"}, "revocation_unknown", N.NOT_REVOKED),
        ({"root_crl": b"<html>"}, "revocation_unknown", N.ISSUER_NOT_REVOKED),
        (
            {"root_crl": PKI.root_crl(PKI.issuer_serial)},
            "certificate_untrusted",
            N.ISSUER_NOT_REVOKED,
        ),
    ],
)
async def test_a_revocation_is_false_alone(
    court_of: Courts, lists: dict[str, bytes], code: str, name: CheckName
) -> None:
    """Of the holder, and of the intermediate."""
    court, holder = court_of(of=PKI, **lists), PKI.holder()
    found = await court.verdict(court.proof(holder), expecting(court, holder))
    assert found.problem.code == code
    assert told(found) == {n.value: True for n in N} | {name.value: False}


async def test_nothing_is_told_of_what_cannot_be_read(court: Any) -> None:
    """But the platform's identifier, which does not stand in the certificate."""
    found = await court.verdict(court.proof(b"junk"), expecting(court, b"junk"))
    marks = told(found)
    assert marks.pop(N.CERTIFICATE_READABLE.value) is False
    assert marks.pop(N.SAME_PERSON_AS_REGISTERED.value) is True
    assert set(marks.values()) == {None}


async def test_several_that_fail_are_all_told_and_the_first_decides(court: Any) -> None:
    """In the order of the list: a forged certificate is an alarm before it is another person's."""
    holder = STRANGER.holder(last_four="0000", policy=None)
    at = PKI.at + timedelta(days=999)
    found = await court.verdict(court.proof(holder), expecting(court, holder, at=at))
    assert found.problem.code == "certificate_policy"
    failed = [check.name for check in found.report if check.passed is False]
    assert failed == ["profile", "trusted_path", "valid_at_signing", "right_person"]
