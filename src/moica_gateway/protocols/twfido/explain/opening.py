"""Opening a checksum that ``checksum.reveal`` refuses, to see how it was closed.

Tried are other spellings of the bytes, other places of IV and tag, other modes and other readings
of the key. This is for explaining only: nothing that opens here is ever believed. GCM proves by its
tag how it was closed; of a mode without a tag only what looks like a digest in text counts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, ECB, GCM

from moica_gateway.domain.models import SpKey
from moica_gateway.protocols.twfido.explain.slips import Slip

__all__ = ["open_anyhow", "suspicion"]

_IV: Final = 12
_TAG: Final = 16
_DIGEST_TEXT: Final = re.compile(
    rb"(?:[0-9a-fA-F]{32}){2,4}|[0-9a-fA-F]{40}|[A-Za-z0-9+/_-]{42,44}={0,2}"
)
_SHORT_TAGS: Final = (15, 14, 13, 12, 8, 4)

_HEX_WANTED: Final = Slip(
    "not_hex",
    "檢查碼要寫成十六進位文字，不是 base64",
    "a checksum is written in hexadecimal, not in base64",
)
_KEY_TEXT: Final = Slip(
    "key_as_text",
    "AES 金鑰的 base64 文字沒有解碼就拿來用；要先解碼成 32 個位元組",
    "the base64 text of the AES key was used undecoded; it is to be decoded to 32 bytes",
)
_KEY_HASHED: Final = Slip(
    "key_hashed",
    "用了 AES 金鑰的 SHA-256；金鑰要照原樣使用",
    "SHA-256 of the AES key was used; the key is used as it is",
)
_KEY_SHORT: Final = Slip(
    "key_short",
    "只用了金鑰的前 16 或 24 個位元組；要用 AES-256 與全部 32 個位元組",
    "only the first 16 or 24 bytes of the key were used; AES-256 takes all 32",
)
_KEY_URL_SAFE: Final = Slip(
    "key_url_safe",
    "URL-safe 的 base64 金鑰（含 - 或 _）被當成標準 base64 解碼",
    "a URL-safe base64 key (with - or _) was decoded as standard base64",
)
_KEY_PREVIOUS: Final = Slip(
    "key_previous",
    "用的是前一把金鑰；要用目前的金鑰",
    "the previous key was used; the current one is wanted",
)


def open_anyhow(keys: tuple[SpKey, ...], sent: str) -> tuple[bytes, tuple[Slip, ...]] | None:
    """What is inside, and every slip of its outside, the fewest there are; None if nothing opens.

    Args:
        keys: The current one first.
        sent: As it came.
    """
    data, spelled = _bytes_of(sent)
    if data is None:
        return None
    found = [
        (text, tuple(slip for slip in (key_slip, spelled, layout) if slip))
        for key, key_slip in _readings_of(keys)
        for text, layout in _texts(key, data)
    ]
    return min(found, key=lambda one: len(one[1]), default=None)


def suspicion(sent: str) -> Slip:
    """What the length of a checksum that does not open lets one suspect."""
    data, _ = _bytes_of(sent)
    if data is not None and len(data) == _IV + 64 + _TAG:
        return Slip(
            "key_or_tampering",
            "格式正確但解不開：金鑰與平臺的不同，或內容在途中被改過",
            "well formed, but it does not open: the key is not the platform's, or it was altered "
            "on the way",
            proved=False,
        )
    missing = {
        64 + _TAG: ("開頭的 IV", "the IV in front"),
        _IV + 64: ("結尾的 tag", "the tag at the end"),
        _IV + 32 + _TAG: (
            "雜湊值的文字形式（放的是 32 個位元組）",
            "the hash as text (32 raw bytes)",
        ),
        32: ("加密（只有雜湊值）", "the encryption (it is a bare hash)"),
    }
    zh, en = missing.get(len(data or b""), ("正確的長度", "the right length"))
    return Slip(
        "malformed",
        f"檢查碼應為 184 個十六進位字元，收到 {len(sent)} 個字元；似乎少了{zh}",
        f"a checksum has 184 hexadecimal characters, {len(sent)} characters came; it seems to "
        f"lack {en}",
        proved=False,
    )


def _bytes_of(sent: str) -> tuple[bytes | None, Slip | None]:
    bare = re.sub(r"^0[xX]|[\s:]", "", sent)
    try:
        data = bytes.fromhex(bare)
    except ValueError:
        pass
    else:
        return data, None if bare == sent and bare == bare.lower() else Slip(
            "hex_spelling",
            "檢查碼是連續的小寫十六進位文字，不含 0x、空白、冒號或大寫",
            "a checksum is lower-case hexadecimal without 0x, blanks, colons or capitals",
        )
    plain = bare.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None, None
    if re.fullmatch(rb"[0-9a-f]{184}", data):  # base64 around the hexadecimal text
        data = bytes.fromhex(data.decode("ascii"))
    return data, _HEX_WANTED


def _readings_of(keys: tuple[SpKey, ...]) -> Iterator[tuple[bytes, Slip | None]]:
    for key in keys:
        yield key.key.reveal(), None if key.current else _KEY_PREVIOUS
    for key in keys:
        raw = key.key.reveal()
        texts = {
            spelling
            for made in (base64.b64encode(raw), base64.urlsafe_b64encode(raw))
            for spelling in (made, made.rstrip(b"="))
        }
        for text in sorted(texts):
            for size in (32, 24, 16):
                yield text[:size], _KEY_TEXT
            yield hashlib.sha256(text).digest(), _KEY_HASHED
        for size in (32, 24, 16):
            yield raw.hex().encode()[:size], _KEY_TEXT
        yield hashlib.sha256(raw).digest(), _KEY_HASHED
        yield raw[:16], _KEY_SHORT
        yield raw[:24], _KEY_SHORT
        standard = base64.b64encode(raw).decode()
        if re.search(r"[+/]", standard):
            kept = re.sub(r"[+/=]", "", standard)
            dropped = base64.b64decode(kept + "A" * (-len(kept) % 4))[: len(kept) * 3 // 4]
            for size in (32, 24, 16):
                yield dropped[:size].ljust(size, b"\0"), _KEY_URL_SAFE
            swapped = standard.translate(str.maketrans("+/", "/+"))
            yield base64.b64decode(swapped), _KEY_URL_SAFE


def _texts(key: bytes, data: bytes) -> Iterator[tuple[bytes, Slip | None]]:
    for iv, sealed, tag, slip in _layouts(data):
        text = _gcm(key, iv, sealed, tag)
        if text is not None:
            yield text, slip
    for text, slip in _without_tag(key, data):
        if _DIGEST_TEXT.fullmatch(text):
            yield text, slip


def _layouts(data: bytes) -> Iterator[tuple[bytes, bytes, bytes, Slip | None]]:
    yield data[:_IV], data[_IV:-_TAG], data[-_TAG:], None
    place = Slip(
        "iv_place",
        "12 個位元組的 IV 要放在最前面",
        "the 12 bytes of the IV belong in front of everything",
    )
    yield data[-_IV:], data[: -_IV - _TAG], data[-_IV - _TAG : -_IV], place
    yield bytes(_IV), data[:-_TAG], data[-_TAG:], place
    tag_place = Slip("tag_place", "tag 要放在密文後面", "the tag belongs behind the ciphertext")
    yield data[:_IV], data[_IV + _TAG :], data[_IV : _IV + _TAG], tag_place
    yield data[_TAG : _TAG + _IV], data[_TAG + _IV :], data[:_TAG], tag_place
    yield (
        data[:16],
        data[16:-_TAG],
        data[-_TAG:],
        Slip("iv_length", "IV 是 12 個位元組，不是 16 個", "the IV has 12 bytes, not 16"),
    )
    for size in _SHORT_TAGS:
        yield (
            data[:_IV],
            data[_IV:-size],
            data[-size:],
            Slip(
                "tag_length",
                f"tag 是 16 個位元組（128 位元），這裡只有 {size} 個",
                f"the tag has 16 bytes (128 bits), here {size}",
            ),
        )


def _gcm(key: bytes, iv: bytes, sealed: bytes, tag: bytes) -> bytes | None:
    if len(iv) < _IV or len(tag) < min(_SHORT_TAGS) or not sealed:
        return None
    try:
        return _run(key, GCM(iv, tag, min_tag_length=min(_SHORT_TAGS)), sealed)
    except InvalidTag:
        return None


def _without_tag(key: bytes, data: bytes) -> Iterator[tuple[bytes, Slip]]:
    # Counter mode from IV ‖ 2 on is what GCM does beneath its tag.
    yield (
        _run(key, CTR(data[:_IV].ljust(_IV, b"\0") + b"\0\0\0\2"), data[_IV:]),
        Slip("tag_missing", "少了 16 個位元組的 tag", "the 16 bytes of the tag are missing"),
    )
    if len(data) % 16 or len(data) < 48:
        return
    for mode, sealed in (
        (CTR(data[:16]), data[16:]),
        (CTR(bytes(16)), data),
        (CBC(data[:16]), data[16:]),
        (CBC(bytes(16)), data),
        (ECB(), data),  # noqa: S305 - to recognise it
    ):
        text = _run(key, mode, sealed)
        if text and 1 <= text[-1] <= 16 and not isinstance(mode, CTR):
            text = text[: -text[-1]]
        yield (
            text,
            Slip(
                "mode",
                f"要用 AES-256-GCM，這裡用了 {mode.name}",
                f"AES-256-GCM is wanted, {mode.name} was used",
            ),
        )


def _run(key: bytes, mode: GCM | CTR | CBC | ECB, sealed: bytes) -> bytes:
    opener = Cipher(AES(key), mode).decryptor()
    return opener.update(sealed) + opener.finalize()
