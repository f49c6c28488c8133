"""Keys that stand in public test data, and the file of the master key."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from moica_gateway.domain.values import Secret
from moica_gateway.errors import ConfigurationError
from moica_gateway.settings import KNOWN_WEAK_KEYS, read_master_key, refuse_weak_key

VECTORS = Path(__file__).parents[1] / "protocols" / "vectors.json"
VECTOR_KEY = base64.b64decode("AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw=")
WEAK = [VECTOR_KEY, bytes(32), b"a" * 32, b"0123456" * 4 + b"0123"]


def test_the_listed_fingerprint_is_that_of_the_vectors_key() -> None:
    """So that a change of the vectors is noticed here."""
    import json

    published = base64.b64decode(json.loads(VECTORS.read_text())["aes_key_base64"])
    assert published == VECTOR_KEY
    assert hashlib.sha256(published).hexdigest() in KNOWN_WEAK_KEYS


@pytest.mark.parametrize("environment", ["production", "uat", "anything"])
@pytest.mark.parametrize("key", WEAK)
def test_a_known_or_typed_key_is_refused_outside_the_simulator(
    key: bytes, environment: str
) -> None:
    """Without showing it."""
    with pytest.raises(ConfigurationError) as raised:
        refuse_weak_key(Secret(key), environment)
    assert base64.b64encode(key).decode() not in str(raised.value)


@pytest.mark.parametrize(
    ("key", "environment"),
    [(VECTOR_KEY, "simulator"), (hashlib.sha256(b"a key").digest(), "production")],
)
def test_another_key_and_the_simulator_are_let_pass(key: bytes, environment: str) -> None:
    """Nothing is raised."""
    refuse_weak_key(Secret(key), environment)


def test_a_good_master_key_is_read(tmp_path: Path) -> None:
    """With the line end that an editor leaves."""
    path = tmp_path / "master.key"
    path.write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    path.chmod(0o600)
    assert read_master_key(path).reveal() == bytes(range(32))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_master_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    """The mode is said, and what to run."""
    path = tmp_path / "master.key"
    path.write_bytes(base64.b64encode(bytes(32)))
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as raised:
        read_master_key(path)
    assert "chmod 600" in raised.value.problem.detail
    assert f"{mode:o}" in raised.value.problem.detail


@pytest.mark.parametrize("content", [b"", b"not base64!", base64.b64encode(bytes(33)), b"A" * 9999])
def test_what_is_no_master_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """Too short, too long, of another form."""
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        read_master_key(path)


def test_a_missing_master_key_says_which_command_makes_one(tmp_path: Path) -> None:
    """A folder in its place is none either."""
    for path in (tmp_path / "master.key", tmp_path):
        with pytest.raises(ConfigurationError) as raised:
            read_master_key(path)
        assert "moica-gateway init" in raised.value.problem.detail
    assert os.listdir(tmp_path) == []
