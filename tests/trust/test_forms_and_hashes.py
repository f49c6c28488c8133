"""The judge believes a signature under the hash and in the form that was asked for only."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives import hashes

from moica_gateway.domain.values import HashAlgorithm, SignatureForm, Tbs

MESSAGE = b"what was asked for"
LIBRARY = {
    HashAlgorithm.SHA1: hashes.SHA1(),  # noqa: S303 - the platform offers it
    HashAlgorithm.SHA256: hashes.SHA256(),
    HashAlgorithm.SHA384: hashes.SHA384(),
    HashAlgorithm.SHA512: hashes.SHA512(),
}


def digest_of(algorithm: HashAlgorithm) -> Tbs:
    digest = hashlib.new(algorithm.value, MESSAGE).digest()
    return Tbs(digest, SignatureForm.DIGEST, algorithm)


async def code_of(court: Any, asked: Tbs, signature: bytes) -> Any:
    expected = evolve(court.expected(), messages=(asked,))
    return await court.code(court.proof(None, signature), expected)


@pytest.mark.parametrize("asked", list(HashAlgorithm))
@pytest.mark.parametrize("made", list(HashAlgorithm))
async def test_a_signature_counts_under_the_hash_that_was_asked_for(
    court: Any, asked: HashAlgorithm, made: HashAlgorithm
) -> None:
    """Over the message, or over its digest; under another hash it covers other bytes."""
    signature = court.pki.sign(MESSAGE, algorithm=LIBRARY[made])
    expected = None if asked is made else "upstream_tampered"
    tbs = Tbs(MESSAGE, hash_algorithm=asked)
    assert await code_of(court, tbs, signature) == expected
    assert await code_of(court, digest_of(asked), signature) == expected


async def test_a_digest_is_not_hashed_again(court: Any) -> None:
    """A signature over the digest as a message is another one."""
    tbs = digest_of(HashAlgorithm.SHA256)
    signature = court.pki.sign(tbs.message)
    assert await code_of(court, tbs, signature) == "upstream_tampered"


async def test_a_digest_of_the_wrong_size_covers_nothing(court: Any) -> None:
    """No foreign exception leaves."""
    tbs = Tbs(b"short", SignatureForm.DIGEST)
    assert await code_of(court, tbs, court.pki.sign(MESSAGE)) == "upstream_tampered"


async def test_a_bare_signature_is_no_cms(court: Any) -> None:
    """Where a CMS was asked for, nothing of this judge's is accepted."""
    tbs = Tbs(MESSAGE, SignatureForm.CMS)
    assert await code_of(court, tbs, court.pki.sign(MESSAGE)) == "signature_malformed"


async def test_the_report_names_the_hash(court: Any) -> None:
    """So that nobody reads SHA-256 where it was another."""
    expected = evolve(
        court.expected(), messages=(Tbs(MESSAGE, hash_algorithm=HashAlgorithm.SHA512),)
    )
    signature = court.pki.sign(MESSAGE, algorithm=hashes.SHA512())
    found = await court.verdict(court.proof(None, signature), expected)
    (check,) = [c for c in found.report if c.name == "covers_our_bytes"]
    assert "SHA512" in check.detail


async def test_a_person_named_by_id_number_is_not_compared_by_hash(court: Any) -> None:
    """The redirect has no hashed_id_num; the report says that it was not checked, and why."""
    expected = evolve(court.expected(), hashed_id_num="h1")
    found = await court.verdict(evolve(court.proof(), hashed_id_num=None), expected)
    assert found.problem is None
    (check,) = [c for c in found.report if c.name == "same_person_as_registered"]
    assert check.passed is None
    assert "ID number" in check.detail
    assert await court.code(evolve(court.proof(), hashed_id_num="h2"), expected) == (
        "hashed_id_num_mismatch"
    )
