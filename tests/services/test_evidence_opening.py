"""A ZIP that says it is evidence: whatever it is, one clear error, within bounds."""

from __future__ import annotations

import io
import warnings
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.errors import GatewayError
from moica_gateway.services.evidence import open_evidence
from moica_gateway.services.evidence.archive import pack
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.seals import FixedSeals

FILES = {"transaction.json": b"{}", "documents/1/signed.p7s": b"0" * 3000}
SEALS = FixedSeals()
GOOD = pack(FILES, {"tenant": "t1"}, SEALS, FrozenClock().now())


def refused(data: bytes) -> str:
    """Why it cannot be read."""
    with pytest.raises(GatewayError) as caught:
        open_evidence(data, SEALS.signed_by)
    assert caught.value.code == "artifact_unreadable"
    return str(caught.value)


def zipped(*files: tuple[str, bytes]) -> bytes:
    """As it is not made by us."""
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files:
                archive.writestr(name, data)
    return out.getvalue()


def test_what_was_packed_opens_without_problems() -> None:
    """Every file is there, and the key is that of the seals."""
    opened = open_evidence(GOOD, SEALS.signed_by)
    assert opened.problems == ()
    assert opened.files.items() >= FILES.items()
    assert opened.public_key == SEALS.public_key
    assert opened.member("transaction.json") == {}
    assert opened.member("nothing.json") is None


def test_a_bomb_is_not_unpacked() -> None:
    """What its directory says of its size is not asked."""
    assert "more than the limit" in refused(zipped(("manifest.json", bytes(64 * 1_048_576))))


def test_too_many_files_and_a_name_twice_are_refused() -> None:
    """Readers would choose differently between two of one name."""
    assert "more than 5000 files" in refused(zipped(*((str(n), b"") for n in range(5001))))
    assert "twice" in refused(zipped(("a", b"1"), ("a", b"2")))


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b'{"public_key": "zz", "files": []}',
        b'{"public_key": "00", "files": [1]}',
        b"[" * 100_000,
    ],
)
def test_a_manifest_that_is_none_is_refused(manifest: bytes) -> None:
    """With the one error, whatever it is instead."""
    refused(zipped(("manifest.json", manifest)))


@given(st.data())
def test_a_changed_byte_is_found_or_changes_nothing(data: st.DataObject) -> None:
    """No foreign exception; where it still opens without a problem the files are the same."""
    meddled = bytearray(GOOD)
    meddled[data.draw(st.integers(0, len(GOOD) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        opened = open_evidence(bytes(meddled), SEALS.signed_by)
    except GatewayError:
        return
    if not opened.problems:
        assert {name: opened.files[name] for name in FILES} == FILES
