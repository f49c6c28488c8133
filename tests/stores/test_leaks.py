"""Whoever has the database file, and nothing else, has nobody's data (security.md 14, 15, 18)."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from moica_gateway.domain.values import PersonId
from moica_gateway.stores import migrate


def spellings(value: bytes) -> set[bytes]:
    """The value as it might be written: raw, hexadecimal, base64 in both alphabets, UTF-16."""
    encoded = {
        value,
        value.hex().encode(),
        value.hex().upper().encode(),
        base64.b64encode(value).rstrip(b"="),
        base64.urlsafe_b64encode(value).rstrip(b"="),
    }
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return encoded
    return encoded | {text.encode("utf-16-le"), ascii(text)[1:-1].encode()}


def secrets_of(make: Any) -> dict[str, bytes]:
    """Everything that must not be found."""
    found = {
        "certificate": make.certificate,
        "issuer": make.issuer,
        "AES key": make.aes_key,
        "previous AES key": make.aes_key[::-1],
        "webhook secret": make.webhook_secret,
        "ticket": make.ticket.encode(),
        "ticket id": b"TICKET-ID",
        "checksum": b"CHECKSUM-1",
        "hashed_id_num": make.hashed_id_num.encode(),
        "name": "王大同".encode(),
        "device": "我的手機".encode(),
        "hint": "配對碼 42".encode(),
        "title": "秘密主旨".encode(),
        "reason": "主管出差".encode(),
        "metadata": "草稿".encode(),
        "masked": b"******6789",
        "event": b"BODY-OF-AN-EVENT",
        "content": b"CONTENT-OF-BLOB-1",
        "return address": b"SESSION-OF-THE-BROWSER",
        "master key": bytes(range(32)),
    }
    for n in (0, 1):
        number = make.id_number(n).reveal().encode()
        found[f"ID number {n}"] = number
        for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"):
            found[f"{name} of ID number {n}"] = hashlib.new(name, number).digest()
        found[f"lower-case ID number {n}"] = number.lower()
    return found


def content(file: Path) -> bytes:
    """The database with its write-ahead log."""
    return b"".join(part.read_bytes() for part in sorted(file.parent.glob(file.name + "*")))


async def test_nothing_personal_is_in_the_file(filled: Path, make: Any) -> None:
    """After everything was stored, no spelling of anything personal or secret is in the bytes."""
    data = content(filled)
    assert b"1153000161" in data, "the search must be able to find what does stand in clear"
    leaked = {
        name
        for name, value in secrets_of(make).items()
        if any(spelling in data for spelling in spellings(value))
    }
    assert leaked == set()


async def test_nothing_personal_is_in_the_log_of_a_running_store(
    sqlite: Any, make: Any, tmp_path: Path
) -> None:
    """While the store runs its write-ahead log holds as little."""
    await sqlite.write(lambda u: u.add_transaction(make.transaction()))
    assert (tmp_path / "gateway.db-wal").stat().st_size > 0
    data = content(tmp_path / "gateway.db")
    assert b"1153000161" in data
    for name, value in secrets_of(make).items():
        assert not any(spelling in data for spelling in spellings(value)), name


async def test_an_erased_persons_key_is_gone_from_the_file(
    sqlite: Any, make: Any, tmp_path: Path
) -> None:
    """After the erasure neither database nor write-ahead log holds the wrapped key any more."""
    file = tmp_path / "gateway.db"
    await sqlite.write(lambda u: u.add_transaction(make.transaction()))
    query = "SELECT wrapped FROM person_keys WHERE tenant = 'ours' AND person_id = 'per_0'"
    with closing(sqlite3.connect(file)) as connection:
        (wrapped,) = connection.execute(query).fetchone()
        (lookup,) = connection.execute(
            "SELECT lookup_hash FROM persons WHERE tenant = 'ours' AND id = 'per_0'"
        ).fetchone()
    assert wrapped in content(file)
    await sqlite.write(lambda u: u.erase_person(make.ours, PersonId("per_0")))
    assert await sqlite.read(lambda u: u.person(make.ours, PersonId("per_0"))) is None
    assert wrapped not in content(file)
    assert lookup not in content(file)


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    """Migrating makes the file with mode 600."""
    migrate(f"sqlite:///{tmp_path / 'gateway.db'}")
    assert (tmp_path / "gateway.db").stat().st_mode & 0o777 == 0o600
