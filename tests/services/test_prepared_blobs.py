"""A prepared message keeps what is asked of the key, through the store and back."""

from __future__ import annotations

import pytest

from moica_gateway.domain.models import Prepared
from moica_gateway.domain.values import HashAlgorithm, SignatureForm, Tbs
from moica_gateway.errors import RequestError, VerificationError
from moica_gateway.services.prepared import prepared_from_blob, prepared_to_blob


@pytest.mark.parametrize("form", list(SignatureForm))
@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
def test_form_and_hash_survive(form: SignatureForm, algorithm: HashAlgorithm) -> None:
    """A further challenge asks for the same signature as the first."""
    prepared = Prepared(message=Tbs(b"message", form, algorithm), state=b"state")
    assert prepared_from_blob(prepared_to_blob(prepared)) == prepared


def test_a_plain_message_is_stored_as_it_always_was() -> None:
    """Blobs of an older program are read, and it reads ours."""
    blob = b"\x00\x00\x00\x07messagestate"
    prepared = Prepared(message=Tbs(b"message"), state=b"state")
    assert prepared_to_blob(prepared) == blob
    assert prepared_from_blob(blob) == prepared


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x02m",
        b"\x30\x00\x00\x01m",
        b"\x04\x00\x00\x01m",
        b"\xff\x00\x00\x01m",
    ],
)
def test_a_blob_that_is_none_of_ours_is_refused(blob: bytes) -> None:
    """Cut short, empty, or of a form or hash that nobody knows."""
    with pytest.raises(VerificationError) as caught:
        prepared_from_blob(blob)
    assert caught.value.code == "vault_tampered"


def test_a_message_that_the_head_cannot_count_is_refused() -> None:
    """Three bytes of length."""
    with pytest.raises(RequestError) as caught:
        prepared_to_blob(Prepared(message=Tbs(b"x" * 2**24), state=b""))
    assert caught.value.code == "document_too_large"
