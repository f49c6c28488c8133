"""RSA-2048 keys of eight primes instead of two: the same public key to the world, made and used in
a fraction of the time.

RFC 8017 allows any number of primes; a signature by eight of 256 bits takes an eighth of the work
of two of 1024. Nobody who holds the public key can tell, and the signatures are PKCS#1 v1.5 like
any other. They are easier to break (a factor of 256 bits is within sight of the elliptic curve
method) and signing takes no precaution against somebody who measures its time, both of which only
a simulator may do. OpenSSL reads at most five primes and python-cryptography two, so the arithmetic
is done by GMP; without it keys can still be used, slowly.
"""

import hashlib
import math
import secrets
from typing import Any

import attrs
from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives.asymmetric import rsa

try:
    import gmpy2 as _gmp
except ImportError:  # pragma: no cover - an extra of the package
    _gmp = None

__all__ = ["MultiPrimeKey", "available"]

_PRIMES = 8
_BITS = 2048
_EXPONENT = 65537
_DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def available() -> bool:
    """Says whether keys can be made here: whether gmpy2 is installed."""
    return _gmp is not None


@attrs.frozen
class _Part:
    """One prime: `exponent` is d modulo p-1, `coefficient` the inverse of the product of the
    primes before it."""

    prime: Any = attrs.field(repr=False)
    exponent: Any = attrs.field(repr=False)
    coefficient: Any = attrs.field(repr=False)


@attrs.frozen
class MultiPrimeKey:
    """A private key."""

    modulus: int = attrs.field(repr=False)
    parts: tuple[_Part, ...] = attrs.field(repr=False)

    @classmethod
    def generate(cls) -> "MultiPrimeKey":
        """Makes a key, in about a hundredth of a second.

        Raises:
            ValueError: If gmpy2 is not installed.
        """
        if _gmp is None:
            raise ValueError("expected gmpy2, which makes prepared keys; it is not installed")
        primes: list[int] = []
        while len(primes) < _PRIMES:
            # The four highest bits set: eight such numbers multiply to exactly 2048 bits.
            start = secrets.randbits(_BITS // _PRIMES) | 0xF << (_BITS // _PRIMES - 4)
            prime = int(_gmp.next_prime(start))
            fits = prime.bit_length() == _BITS // _PRIMES and (prime - 1) % _EXPONENT
            if fits and prime not in primes:
                primes.append(prime)
        return cls.of(primes)

    @classmethod
    def load(cls, der: bytes) -> "MultiPrimeKey | None":
        """Reads PKCS#8, DER; None if it holds a key of two primes.

        Raises:
            ValueError: If it is no RSA key.
        """
        private = asn1_keys.PrivateKeyInfo.load(der)["private_key"].parsed
        if not isinstance(private, asn1_keys.RSAPrivateKey):
            raise ValueError("expected an RSA key")
        if private["version"].native != "multi":
            return None
        others = [each["prime"].native for each in private["other_prime_infos"]]
        return cls.of([private["prime1"].native, private["prime2"].native, *others])

    @classmethod
    def of(cls, primes: list[int]) -> "MultiPrimeKey":
        """Makes the key of these primes, in their order."""
        number = _gmp.mpz if _gmp else int
        d = pow(_EXPONENT, -1, math.lcm(*(prime - 1 for prime in primes)))
        parts, product = [], 1
        for prime in primes:
            coefficient = pow(product, -1, prime)
            parts.append(_Part(number(prime), number(d % (prime - 1)), number(coefficient)))
            product *= prime
        return cls(product, tuple(parts))

    def store(self) -> bytes:
        """Writes PKCS#8, DER (RFC 8017, appendix A.1.2, version `multi`)."""
        primes = [int(part.prime) for part in self.parts]
        d = pow(_EXPONENT, -1, math.lcm(*(prime - 1 for prime in primes)))
        first, second, *others = self.parts
        private = asn1_keys.RSAPrivateKey(
            {
                "version": "multi",
                "modulus": self.modulus,
                "public_exponent": _EXPONENT,
                "private_exponent": d,
                "prime1": int(first.prime),
                "prime2": int(second.prime),
                "exponent1": int(first.exponent),
                "exponent2": int(second.exponent),
                "coefficient": pow(int(second.prime), -1, int(first.prime)),
                "other_prime_infos": [
                    {
                        "prime": int(each.prime),
                        "exponent": int(each.exponent),
                        "coefficient": int(each.coefficient),
                    }
                    for each in others
                ],
            }
        )
        return bytes(asn1_keys.PrivateKeyInfo.wrap(private, "rsa").dump())

    def public_key(self) -> rsa.RSAPublicKey:
        """Returns the public key, which is like any other."""
        return rsa.RSAPublicNumbers(_EXPONENT, self.modulus).public_key()

    def sign(self, message: bytes, hash_name: str) -> bytes:
        """Makes an RSASSA-PKCS1-v1_5 signature; `hash_name` is e.g. `sha256`."""
        return self.sign_digest_info(
            _DIGEST_INFO[hash_name] + hashlib.new(hash_name, message).digest()
        )

    def sign_digest_info(self, digest_info: bytes) -> bytes:
        """Pads (block type 1) and signs what is given, hashing nothing.

        Raises:
            ValueError: If it is too long for the key.
        """
        filler = _BITS // 8 - 3 - len(digest_info)
        if filler < 8:
            raise ValueError(f"at most {_BITS // 8 - 11} bytes can be signed with this key")
        padded = b"\x00\x01" + b"\xff" * filler + b"\x00" + digest_info
        return self._power(int.from_bytes(padded)).to_bytes(_BITS // 8)

    def _power(self, number: int) -> int:
        """Raises a number to the private exponent: prime by prime, then put together (Garner)."""
        power = _gmp.powmod if _gmp else pow
        value, product = 0, 1
        for part in self.parts:
            prime = part.prime
            root = power(number, part.exponent, prime)
            value = value + (root - value) * part.coefficient % prime * product
            product *= prime
        return int(value)
