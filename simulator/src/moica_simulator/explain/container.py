"""Opening a checksum in every way in which it may have been closed by mistake.

`hex(IV || AES-256-GCM(key, IV, text) || tag)` is wanted. Other encodings, modes, places of the IV
and the tag, and other keys are tried in turn, the right way first. An authenticated mode proves
itself by its tag; of the others only what is `recognised` counts, since they open anything.
What the text says is `digests`' business.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from moica_simulator.checksum import AesKey
from moica_simulator.explain.mistake import Mistake

__all__ = ["KeyGuess", "Opened", "guessed_keys", "length_hint", "open_somehow"]

_IV, _TAG, _BLOCK = 12, 16, 16
_SHORT_TAGS = (15, 14, 13, 12, 8, 4)
_WANTED_LENGTH = 184
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


@attrs.frozen
class KeyGuess:
    """A key that may have been used, and what was wrong about using it."""

    raw: bytes = attrs.field(repr=False)
    mistake: Mistake | None = None


@attrs.frozen
class Opened:
    """A checksum that came open: the text inside, and what was wrong with its outside."""

    text: bytes = attrs.field(repr=False)
    mistakes: tuple[Mistake, ...] = ()


def guessed_keys(key: AesKey, others: Mapping[str, AesKey]) -> tuple[KeyGuess, ...]:
    """Returns the right key, and then the keys that are used for it by mistake.

    Args:
        key: The right one.
        others: Further keys that are known, by what to call them.
    """
    guesses = [KeyGuess(key.raw), *_misread(key.raw)]
    guesses += [
        KeyGuess(
            other.raw,
            Mistake(
                "key_of_another",
                f"用的是另一個需用機關的 AES 金鑰：{name}",
                f"the AES key of another relying system was used: {name}",
            ),
        )
        for name, other in others.items()
    ]
    seen: dict[bytes, KeyGuess] = {}
    for guess in guesses:
        seen.setdefault(guess.raw, guess)
    return tuple(seen.values())


def _misread(key: bytes) -> Iterator[KeyGuess]:
    standard, url_safe = base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()
    texts = dict.fromkeys((standard, url_safe, standard.rstrip("="), url_safe.rstrip("=")))
    as_text = Mistake(
        "key_as_text",
        "AES 金鑰是 base64 文字，要先解碼成 32 個位元組；這裡直接用了文字（或截取其前段）",
        "the AES key is base64 and must be decoded to 32 bytes; its text was used (or cut)",
    )
    hashed = Mistake(
        "key_hashed",
        "AES 金鑰要直接使用；這裡先對它（或它的文字）算了 SHA-256",
        "the AES key is used as it is; here SHA-256 of it (or of its text) was used",
    )
    for text in texts:
        for size in (32, 24, 16):
            yield KeyGuess(text.encode()[:size], as_text)
        yield KeyGuess(hashlib.sha256(text.encode()).digest(), hashed)
    for size in (32, 24, 16):
        yield KeyGuess(key.hex().encode()[:size], as_text)
    yield KeyGuess(hashlib.sha256(key).digest(), hashed)
    short = Mistake(
        "key_cut",
        "要用 AES-256：金鑰有 32 個位元組；這裡只用了前面一段（AES-128 或 AES-192）",
        "AES-256 is wanted, with all 32 bytes of the key; only its first bytes were used",
    )
    yield KeyGuess(key[:16], short)
    yield KeyGuess(key[:24], short)
    damaged = Mistake(
        "key_url_safe",
        "金鑰的 base64 是 URL-safe（- 與 _），卻以標準 base64（+ 與 /）解碼，有字元被丟掉或換錯",
        "the key's base64 is URL-safe (- and _) but was decoded as standard base64: characters "
        "were dropped or exchanged",
    )
    for text in (url_safe, standard):
        kept = re.sub(r"[-_+/=]", "", text)
        lenient = base64.b64decode(kept + "A" * (-len(kept) % 4))[: len(kept) * 3 // 4]
        for size in (32, 24, 16):
            yield KeyGuess(lenient[:size].ljust(size, b"\0"), damaged)
    swapped = url_safe.translate(str.maketrans("-_", "/+"))
    yield KeyGuess(base64.b64decode(swapped), damaged)


def open_somehow(
    sent: str,
    keys: Sequence[KeyGuess],
    recognised: Callable[[bytes], bool],
    associated: Mapping[str, str],
) -> Opened | None:
    """Opens a checksum with the fewest mistakes that explain it.

    Args:
        sent: As it came.
        keys: The right one first.
        recognised: Says of a text whether it is one that somebody may have put in.
        associated: Values that may have been given as additional authenticated data, by name.

    Returns:
        None if it opens in no known way.
    """
    raw, outside = _decoded(sent)
    if raw is None:
        return None
    found: list[Opened] = []
    for key in keys:
        for text, inside in _opened(raw, key.raw, recognised, associated):
            wrong = (key.mistake, outside, inside)
            found.append(Opened(text, tuple(each for each in wrong if each is not None)))
    return min(found, key=lambda each: len(each.mistakes), default=None)


def length_hint(sent: str) -> Mistake | None:
    """Says what the length of a checksum that does not open suggests."""
    raw, _ = _decoded(sent)
    hints = {
        80: ("沒有把 12 個位元組的 IV 放在最前面", "the 12 bytes of IV are missing in front"),
        76: ("沒有 16 個位元組的驗證標籤（tag）", "the 16 bytes of the tag are missing"),
        64: ("沒有 IV 也沒有驗證標籤（tag）", "IV and tag are missing"),
        60: ("加密的是 32 個位元組的雜湊值", "32 raw bytes were encrypted"),
        32: ("只有雜湊值，沒有加密", "it is a bare hash, not encrypted"),
    }
    if raw is None:
        return Mistake(
            "no_hex",
            f"檢查碼應為 {_WANTED_LENGTH} 個十六進位字元；收到的不是（或字數為奇數）",
            f"a checksum has {_WANTED_LENGTH} hex characters; others, or an odd number, came",
        )
    if len(raw) * 2 == _WANTED_LENGTH:
        return None
    zh, en = hints.get(len(raw), ("長度不對", "its length is wrong"))
    return Mistake(
        "length",
        f"檢查碼應為 {_WANTED_LENGTH} 個十六進位字元，收到 {len(sent)} 個字元，看來是{zh}",
        f"a checksum has {_WANTED_LENGTH} hex characters, not {len(sent)}; it seems that {en}",
        sure=False,
    )


def _decoded(sent: str) -> tuple[bytes | None, Mistake | None]:
    if _HEX.fullmatch(sent):
        return bytes.fromhex(sent), None
    tidy = re.sub(r"^0[xX]|[\s:-]", "", sent)
    if _HEX.fullmatch(tidy):
        return bytes.fromhex(tidy), Mistake(
            "hex_decorated",
            "檢查碼是連續的十六進位字元；收到的夾有空白、換行、冒號、連字號或開頭的 0x",
            "a checksum is bare hex; blanks, line breaks, colons, hyphens or a leading 0x came",
        )
    joined = re.sub(r"\s", "", sent)
    if not _BASE64.fullmatch(joined):
        return None, None
    plain = joined.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return None, None
    mistake = Mistake(
        "container_base64",
        "檢查碼要以十六進位表示；收到的是 base64",
        "a checksum is written in hex; base64 came",
    )
    if _HEX.fullmatch(raw.decode("latin-1")):
        return bytes.fromhex(raw.decode("ascii")), mistake
    return raw, mistake


def _opened(
    raw: bytes,
    key: bytes,
    recognised: Callable[[bytes], bool],
    associated: Mapping[str, str],
) -> Iterator[tuple[bytes, Mistake | None]]:
    for iv, sealed, tag, mistake in _gcm_layouts(raw):
        for name, value in ({"": ""} | dict(associated)).items():
            text = _gcm(key, iv, sealed, tag, value.encode())
            if text is not None:
                # Found by its tag: this is what was done. One of two wrong layouts at once is rare.
                yield text, _with_associated(name) if name else mistake
    for text, mistake in _unauthenticated(raw, key):
        if recognised(text):
            yield text, mistake


def _with_associated(name: str) -> Mistake:
    return Mistake(
        "associated_data",
        f"AES-GCM 不可帶附加驗證資料（AAD）；這裡帶了 {name}",
        f"AES-GCM takes no additional authenticated data here; {name} was given",
    )


def _gcm_layouts(raw: bytes) -> Iterator[tuple[bytes, bytes, bytes, Mistake | None]]:
    yield raw[:_IV], raw[_IV:-_TAG], raw[-_TAG:], None
    yield (
        raw[-_IV:],
        raw[: -_IV - _TAG],
        raw[-_IV - _TAG : -_IV],
        Mistake(
            "iv_behind",
            "IV 要放在密文前面；這裡放在最後面",
            "the IV stands in front of the ciphertext; here it stands at the end",
        ),
    )
    order = Mistake(
        "tag_in_front",
        "順序是 IV、密文、驗證標籤（tag）；這裡把驗證標籤放在密文前面",
        "the order is IV, ciphertext, tag; here the tag stands before the ciphertext",
    )
    yield raw[:_IV], raw[_IV + _TAG :], raw[_IV : _IV + _TAG], order
    yield raw[_TAG : _TAG + _IV], raw[_TAG + _IV :], raw[:_TAG], order
    for iv in (bytes(_IV), bytes(16)):
        yield (
            iv,
            raw[:-_TAG],
            raw[-_TAG:],
            Mistake(
                "iv_missing",
                "沒有把 IV 放在最前面（加密用的是全為零的 IV）",
                "the IV was not put in front (an all-zero IV was used)",
            ),
        )
    yield (
        raw[:16],
        raw[16:-_TAG],
        raw[-_TAG:],
        Mistake(
            "iv_length",
            "IV 應為 12 個位元組；這裡用了 16 個",
            "the IV has 12 bytes; 16 were used",
        ),
    )
    for size in _SHORT_TAGS:
        yield (
            raw[:_IV],
            raw[_IV:-size],
            raw[-size:],
            Mistake(
                "tag_length",
                f"驗證標籤（tag）應為 16 個位元組（128 位元）；這裡只有 {size} 個",
                f"the tag has 16 bytes (128 bits); here it has {size}",
            ),
        )


def _gcm(key: bytes, iv: bytes, sealed: bytes, tag: bytes, associated: bytes) -> bytes | None:
    if len(iv) < _IV or len(tag) < min(_SHORT_TAGS) or not sealed:
        return None
    opener = Cipher(
        algorithms.AES(key), modes.GCM(iv, tag, min_tag_length=min(_SHORT_TAGS))
    ).decryptor()
    opener.authenticate_additional_data(associated)
    try:
        return opener.update(sealed) + opener.finalize()
    except InvalidTag:
        return None


def _unauthenticated(raw: bytes, key: bytes) -> Iterator[tuple[bytes, Mistake]]:
    no_tag = Mistake(
        "tag_missing",
        "沒有附上 16 個位元組的 GCM 驗證標籤（tag）",
        "the 16 bytes of the GCM tag are missing",
    )
    # GCM without its tag is counter mode that begins at IV || 2.
    yield _plain(key, modes.CTR(raw[:_IV].ljust(_IV, b"\0") + b"\0\0\0\2"), raw[_IV:]), no_tag
    wanted_zh, wanted_en = "要用 AES-256-GCM；這裡用了", "AES-256-GCM is wanted; it was"
    for iv, sealed in ((raw[:_BLOCK], raw[_BLOCK:]), (bytes(_BLOCK), raw)):
        if len(iv) < _BLOCK:
            continue
        yield (
            _plain(key, modes.CTR(iv), sealed),
            Mistake("mode_ctr", f"{wanted_zh} CTR 模式", f"{wanted_en} CTR mode"),
        )
        if not sealed or len(sealed) % _BLOCK:
            continue
        for mode, name in ((modes.CBC(iv), "CBC"), (modes.ECB(), "ECB")):  # noqa: S305 - opened, to name it
            text = _unpadded(_plain(key, mode, sealed))
            yield (
                text,
                Mistake(
                    f"mode_{name.lower()}", f"{wanted_zh} {name} 模式", f"{wanted_en} {name} mode"
                ),
            )


def _plain(key: bytes, mode: modes.CTR | modes.CBC | modes.ECB, sealed: bytes) -> bytes:
    opener = Cipher(algorithms.AES(key), mode).decryptor()
    return opener.update(sealed) + opener.finalize()


def _unpadded(text: bytes) -> bytes:
    remover = padding.PKCS7(128).unpadder()
    try:
        return remover.update(text) + remover.finalize()
    except ValueError:
        return text.rstrip(b"\0")
