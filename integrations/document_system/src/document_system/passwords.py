"""Password hashes: scrypt with its parameters in the text, so that they can be raised later."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from attrs import frozen

__all__ = ["Passwords"]

_KEY_BYTES = 32


@frozen
class Passwords:
    """Makes and checks ``scrypt$n$r$p$salt$key``.

    Attributes:
        n: CPU and memory cost; 2**14 with r = 8 takes 16 MiB and some 50 ms.
    """

    n: int = 2**14
    r: int = 8
    p: int = 1

    def hash(self, password: str) -> str:
        """A fresh hash with a fresh salt. Blocks for tens of milliseconds."""
        salt = secrets.token_bytes(16)
        return "$".join(
            (
                "scrypt",
                str(self.n),
                str(self.r),
                str(self.p),
                base64.b64encode(salt).decode(),
                base64.b64encode(_derive(password, salt, self.n, self.r, self.p)).decode(),
            )
        )

    def verify(self, password: str, expected_hash: str | None) -> bool:
        """Whether the password fits. Blocks as `hash` does.

        Without a hash (an unknown user) the same work is done, so that the time that an answer
        takes does not tell which users exist.
        """
        if expected_hash is None:
            _derive(password, b"no such user    ", self.n, self.r, self.p)
            return False
        try:
            _, n, r, p, salt, key = expected_hash.split("$")
            expected = base64.b64decode(key, validate=True)
            made = _derive(password, base64.b64decode(salt, validate=True), int(n), int(r), int(p))
        except (ValueError, binascii.Error):
            return False
        return hmac.compare_digest(made, expected)


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # A password cut by a form may hold lone surrogates; they must not raise here.
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=_KEY_BYTES)
