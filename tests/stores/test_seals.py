"""Keyed functions: separated by tenant, purpose and use, and equal in every process."""

from __future__ import annotations

import hmac
import itertools

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.stores import DerivedSeals
from moica_gateway.testing.seals import FixedSeals

KEY = Secret(bytes(range(32)))


@pytest.mark.parametrize("seals", [DerivedSeals(KEY), FixedSeals()])
def test_values_of_different_questions_differ(seals: DerivedSeals | FixedSeals) -> None:
    """Tenant, purpose and value each count, and cannot run into one another."""
    a, ab = TenantId("a"), TenantId("ab")
    values = [
        seals.lookup_hash(a, "p", "v"),
        seals.lookup_hash(ab, "p", "v"),
        seals.lookup_hash(a, "bp", "v"),
        seals.lookup_hash(a, "p", "w"),
        seals.lookup_hash(a, "pv", ""),
        seals.mac("p", b"v"),
        seals.mac("pv", b""),
        seals.mac("", b"pv"),
        seals.mac("a", b"pv"),
    ]
    assert all(len(value) == 32 for value in values)
    assert all(one != other for one, other in itertools.combinations(values, 2))
    assert seals.lookup_hash(a, "p", "v") == values[0]


def test_two_instances_over_one_key_agree() -> None:
    """A value survives a restart; another master key gives another value."""
    tenant = TenantId("t")
    ours = DerivedSeals(KEY).lookup_hash(tenant, "p", "A123456789")
    assert DerivedSeals(KEY).lookup_hash(tenant, "p", "A123456789") == ours
    other = DerivedSeals(Secret(b"?" * 32))
    assert other.lookup_hash(tenant, "p", "A123456789") != ours


def test_mac_is_hmac_under_an_hkdf_subkey() -> None:
    """The construction is RFC 5869 and RFC 2104, written out once more by hand."""
    subkey = HKDF(SHA256(), 32, None, b"moica-gateway/1/mac").derive(KEY.reveal())
    data = b"\x00\x00\x00\x06cursor\x00\x00\x00\x01x"
    assert DerivedSeals(KEY).mac("cursor", b"x") == hmac.digest(subkey, data, "sha256")
