"""Checksums of one push, made rightly and in every wrong way: what the tests of explain share."""

import base64
import functools
import hashlib
from typing import Any

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moica_simulator.checksum import AesKey
from moica_simulator.explain import Explanation, explain_request
from moica_simulator.platform.wire import SP_ORDER, Interface

# With both of base64's special characters, so that the URL-safe spelling differs.
KEY = base64.b64decode("+/oRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw=")
OTHER = bytes(range(32))
IV = bytes(range(12))
PUSH = Interface.REQUEST_PUSH
ORDER = SP_ORDER[PUSH]
HINT = "核對碼 37 公文文號：1153000165"
BODY: dict[str, Any] = {
    "transaction_id": "41570c02-5226-4d2e-8391-839ed31123cf",
    "sp_service_id": "02026112309000000001",
    "sp_checksum": "",
    "id_num": "A123456789",
    "op_code": "SIGN",
    "hint": HINT,
    "time_limit": 60,
    "device_user_def_desc": "我的手機",
    "sign_info": {
        "sign_type": "PKCS#1",
        "sign_data": base64.b64encode("公文內容 + / ".encode() * 6).decode(),
        "tbs_encoding": "base64",
        "hash_algorithm": "SHA256",
    },
}
DATA: str = BODY["sign_info"]["sign_data"]
FIELDS: dict[str, str] = {**BODY["sign_info"], **BODY}
BARE = {name: value for name, value in BODY.items() if name != "device_user_def_desc"}
"""The same to every device: one covered field is absent."""


def joined(*names: str, between: str = "", **changed: str) -> str:
    """The fields' values, some of them changed."""
    return between.join({**FIELDS, **changed}[name] for name in names)


def right(**changed: str) -> str:
    """In the right order."""
    return joined(*ORDER, **changed)


def sealed(text: bytes | str, *, key: bytes = KEY) -> str:
    """A container as it should be, around any text."""
    raw = text.encode() if isinstance(text, str) else text
    return (IV + AESGCM(key).encrypt(IV, raw, None)).hex()


def of(payload: bytes | str) -> str:
    """As it should be, around the hash of any payload."""
    raw = payload.encode() if isinstance(payload, str) else payload
    return sealed(hashlib.sha256(raw).hexdigest())


@functools.cache
def of_push(sent: str) -> Explanation:
    """Explains the push, with another system's key at hand; once, since it takes its time."""
    return explained(sent, other_keys={"某機關": AesKey(OTHER)})


def explained(sent: str, body: dict[str, Any] = BODY, **more: Any) -> Explanation:
    """Explains a push."""
    return explain_request(PUSH, {**body, "sp_checksum": sent}, AesKey(KEY), **more)


def named(found: Explanation) -> list[tuple[str, ...]]:
    """The names of each diagnosis."""
    assert not found.right
    return [tuple(each.name for each in diagnosis) for diagnosis in found.diagnoses]


def digest() -> bytes:
    """SHA-256 of the right payload."""
    return hashlib.sha256(right().encode()).digest()


TEXT = digest().hex().encode()
"""What is to be encrypted."""


def gcm(
    *, iv: bytes = IV, key: bytes = KEY, aad: bytes = b"", tag: int = 16
) -> tuple[bytes, bytes]:
    """Ciphertext and tag, however they are put together."""
    made = Cipher(algorithms.AES(key), modes.GCM(iv, min_tag_length=4)).encryptor()
    made.authenticate_additional_data(aad)
    ciphertext = made.update(TEXT) + made.finalize()
    return ciphertext, made.tag[:tag]


def by_mode(mode: Any, *, pad: bool = True) -> bytes:
    """The text under another mode of AES."""
    made = Cipher(algorithms.AES(KEY), mode).encryptor()
    padder = padding.PKCS7(128).padder()
    text = padder.update(TEXT) + padder.finalize() if pad else TEXT
    return made.update(text) + made.finalize()


def container(*parts: bytes) -> str:
    """Parts in hex."""
    return b"".join(parts).hex()


KEY_TEXT = base64.b64encode(KEY).decode()
DROPPED = base64.b64decode(KEY_TEXT.translate(str.maketrans("", "", "+/="))[:40])
"""As a lenient decoder of standard base64 reads the URL-safe spelling."""
