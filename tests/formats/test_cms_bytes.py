"""The bytes that the gateway writes itself are the ones that asn1crypto makes of the same."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.values import DocumentId
from moica_gateway.formats import CadesFormat
from moica_gateway.formats.attributes import signed_attributes
from moica_gateway.formats.der import object_identifier, tlv
from moica_gateway.testing.pki import MemoryPki
from tests.formats import library_attributes as library

PKI = MemoryPki()
OTHER = MemoryPki()
CERTIFICATES = (
    PKI.holder(),
    OTHER.holder(),
    PKI.holder(last_four="0000"),
    PKI.issuer,
)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))


@given(
    digest=st.binary(min_size=32, max_size=32),
    certificate=st.sampled_from(CERTIFICATES),
    hint=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300),
    at=TIMES,
)
def test_signed_attributes_are_byte_for_byte_the_library_s(
    digest: bytes, certificate: bytes, hint: str, at: datetime
) -> None:
    """Every digest, certificate, time on both sides of 2050; hints of any length and script."""
    given_ = {"digest": digest, "certificate": certificate, "hint": hint, "signing_time": at}
    assert signed_attributes(**given_) == library.signed_attributes(**given_)  # type: ignore[arg-type]


@pytest.mark.parametrize("chain", [(), *itertools.permutations((PKI.issuer, PKI.root), 2)])
def test_signed_data_is_byte_for_byte_the_library_s(chain: tuple[bytes, ...]) -> None:
    """Without a chain, and with one in any order."""
    context = SignContext(
        hint="公文文號：1153000165", at=PKI.at, certificate=PKI.holder(), chain=chain
    )
    document = Document(id=DocumentId("d"), number="1153000165", sha256="0" * 64)
    prepared = CadesFormat().prepare(document, None, context)
    message = prepared.message.message
    signature = PKI.sign(message)
    made = CadesFormat().finish(prepared, signature, context).data
    assert made == library.signed_data(message, signature, PKI.holder(), chain)


@given(st.lists(st.integers(0, 2**70), max_size=8), st.integers(0, 2), st.integers(0, 39))
def test_an_object_identifier_is_the_library_s(rest: list[int], first: int, second: int) -> None:
    """Arcs of any size."""
    dotted = ".".join(map(str, (first, second, *rest)))
    assert object_identifier(dotted) == library.core.ObjectIdentifier(dotted).dump()


@given(st.binary(max_size=70_000))
def test_an_element_of_any_length_is_the_library_s(content: bytes) -> None:
    """The short form of a length and the long ones."""
    assert tlv(0x04, content) == library.core.OctetString(content).dump()
