"""What stands inside an opened checksum: which hash, in which spelling.

The lower-case hex text of SHA-256 is wanted. Others are recognised by their length and alphabet;
whether they were made of the right payload is for `explain.payloads` to say.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator

import attrs

from moica_simulator.explain.mistake import Mistake

__all__ = ["Reading", "is_written_hash", "readings"]

Hash = Callable[[bytes], bytes]

_LOWER = re.compile(r"[0-9a-f]+")
_HEX = re.compile(r"[0-9a-fA-F]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_SIZES = {16: "MD5", 20: "SHA-1", 28: "SHA-224", 32: "SHA-256", 48: "SHA-384", 64: "SHA-512"}


@attrs.frozen
class Reading:
    """One way to read the text inside: a digest, what may have made it, and what is wrong so far.

    `common` is False for a hash that is tried on the right payload only.
    """

    digest: bytes = attrs.field(repr=False)
    hash: Hash = attrs.field(repr=False)
    mistakes: tuple[Mistake, ...] = ()
    common: bool = True


def readings(text: bytes, key: bytes) -> Iterator[Reading]:
    """Returns every way to read the text inside a checksum, the wanted one first.

    Args:
        text: What was encrypted.
        key: The AES key, since some make a keyed hash.
    """
    for digest, spelling in _spellings(text):
        for made, hashed, common in _hashes(len(digest), key):
            wrong = tuple(each for each in (spelling, made) if each is not None)
            yield Reading(digest, hashed, wrong, common)
    yield Reading(
        text,
        lambda payload: payload,
        (
            Mistake(
                "payload_itself",
                "加密的是串接的欄位本身；應加密其 SHA-256 的十六進位文字",
                "the joined fields themselves were encrypted; the hex text of their SHA-256 is "
                "wanted",
            ),
        ),
    )


def is_written_hash(text: bytes) -> bool:
    """Says whether it is a hash written as text: hex or base64 of a known length."""
    return any(digest != text for digest, _ in _spellings(text))


def _spellings(text: bytes) -> Iterator[tuple[bytes, Mistake | None]]:
    if len(text) in _SIZES:
        yield (
            text,
            Mistake(
                "hash_raw",
                f"加密的是雜湊值的 {len(text)} 個位元組；應加密其 64 個字元的小寫十六進位文字",
                f"the {len(text)} raw bytes of the hash were encrypted; its 64 characters of "
                "lower-case hex text are wanted",
            ),
        )
    written = text.decode("latin-1")
    bare = written.strip("\r\n\t \0\"'").removeprefix("0x")
    around = (
        Mistake(
            "hash_decorated",
            "雜湊值的文字前後多了換行、空白、引號或 0x",
            "a line break, blank, quotation mark or 0x stands around the text of the hash",
        )
        if bare != written
        else None
    )
    if _HEX.fullmatch(bare) and len(bare) // 2 in _SIZES and len(bare) % 2 == 0:
        lower = _LOWER.fullmatch(bare) is not None
        upper = Mistake(
            "hash_upper_case",
            "雜湊值的十六進位文字要用小寫；這裡有大寫",
            "the hex text of the hash is lower-case; upper-case came",
        )
        yield bytes.fromhex(bare), around if lower else upper
        inner = bytes.fromhex(bare).decode("latin-1")
        if _HEX.fullmatch(inner) and len(inner) // 2 in _SIZES:
            yield (
                bytes.fromhex(inner),
                Mistake(
                    "hash_hex_twice",
                    "雜湊值轉成十六進位文字兩次；一次就好",
                    "the hash was turned into hex twice; once is wanted",
                ),
            )
    if _BASE64.fullmatch(bare) and bare:
        digest = _from_base64(bare)
        if len(digest) in _SIZES:
            yield (
                digest,
                Mistake(
                    "hash_base64",
                    "雜湊值要以小寫十六進位文字表示；這裡是 base64",
                    "the hash is written as lower-case hex text; base64 came",
                ),
            )


def _from_base64(text: str) -> bytes:
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return b""


def _hashes(size: int, key: bytes) -> Iterator[tuple[Mistake | None, Hash, bool]]:
    if size != 32:
        name = _SIZES[size]
        yield (
            Mistake(
                "hash_algorithm",
                f"檢查碼一律用 SHA-256；這裡用了 {name}（hash_algorithm 只管簽章）",
                f"a checksum always uses SHA-256; {name} was used (hash_algorithm is about the "
                "signature only)",
            ),
            lambda payload: hashlib.new(
                name.replace("-", "").lower(), payload, usedforsecurity=False
            ).digest(),
            False,
        )
        return
    yield None, _sha256, True
    yield (
        Mistake(
            "hash_keyed",
            "檢查碼用 SHA-256，不帶金鑰；這裡用了 HMAC-SHA-256",
            "the hash is a plain SHA-256; HMAC-SHA-256 was used",
        ),
        lambda payload: hmac.digest(key, payload, "sha256"),
        False,
    )
    yield (
        Mistake(
            "hash_algorithm",
            "檢查碼一律用 SHA-256；這裡用了 SHA3-256",
            "a checksum always uses SHA-256; SHA3-256 was used",
        ),
        lambda payload: hashlib.sha3_256(payload).digest(),
        False,
    )
    twice = Mistake(
        "hash_twice",
        "SHA-256 算了兩次；一次就好",
        "SHA-256 was applied twice; once is wanted",
    )
    yield twice, lambda payload: _sha256(_sha256(payload)), False
    yield twice, lambda payload: _sha256(_sha256(payload).hex().encode()), False


def _sha256(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()
