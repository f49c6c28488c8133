"""Binding by the citizen card (NFC 靠卡註冊綁定), as the platform sees it: a nonce, signed.

The platform gives out a nonce for one phone and one card; the card signs it once its PIN was
entered, and the signature shows who holds the phone. How app and platform exchange these is not
public: the names of the error codes are all that is known of it. A nonce lives in memory.
"""

from datetime import datetime
from typing import Protocol

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moica_simulator.assumptions import NFC_NONCE_LIFETIME
from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError, SimulatorError
from moica_simulator.platform.relying_party import Ceremony
from moica_simulator.randomness import Randomness
from moica_simulator.records import Person

__all__ = ["CardOffer", "CardProof", "CardRegister", "NfcNonces"]


@attrs.frozen
class CardOffer:
    """What the app has to answer: a nonce for the card, and a FIDO2 challenge."""

    nonce: bytes
    ceremony: Ceremony


@attrs.frozen
class CardProof:
    """A nonce signed by a card (RSASSA-PKCS1-v1_5, SHA-256), and the card's certificate, DER."""

    nonce: bytes
    certificate: bytes = attrs.field(repr=False)
    signature: bytes = attrs.field(repr=False)


class CardRegister(Protocol):
    """The CA, as the platform asks it about a card."""

    def is_card_of(self, certificate: bytes, id_number: str) -> bool:
        """Says whether a certificate is that of a person's citizen card."""

    def can_sign(self, certificate: bytes, now: datetime) -> bool:
        """Says whether a certificate is within its time and not revoked."""


@attrs.frozen
class _Given:
    device_id: str
    person: Person
    expires_at: datetime


class NfcNonces:
    """Gives out nonces and takes them back signed, each once.

    Args:
        cards: Knows the citizen cards.
        clock: For the age of nonces and the validity of cards.
        randomness: For nonces.
    """

    def __init__(self, cards: CardRegister, *, clock: Clock, randomness: Randomness) -> None:
        self._cards = cards
        self._clock = clock
        self._randomness = randomness
        self._given: dict[bytes, _Given] = {}

    def give(self, device_id: str, person: Person, certificate: bytes) -> bytes:
        """Gives a nonce for one phone and one person's card.

        Raises:
            PlatformError: `NFCNONCE_IDNUM_MISMATCH` if the card is not that person's.
            SimulatorError: `card_expired` or `card_revoked`: no code of the platform is known
                for either.
        """
        self._require_card(person.id_number, certificate)
        now = self._clock.now()
        for stale in [key for key, each in self._given.items() if each.expires_at <= now]:
            del self._given[stale]
        nonce = self._randomness.token(32)
        self._given[nonce] = _Given(device_id, person, now + NFC_NONCE_LIFETIME)
        return nonce

    def redeem(self, device_id: str, proof: CardProof) -> Person:
        """Takes a signed nonce, right or wrong only once, and returns whose card signed it.

        Raises:
            PlatformError: `NFCNONCE_NF`, `NFCNONCE_EXPIRED`, `NFCNONCE_IDNUM_MISMATCH` for
                another person's card, `PM_INV_SG` for a wrong signature.
            SimulatorError: As `give`.
        """
        given = self._given.pop(proof.nonce, None)
        if given is None or given.device_id != device_id:
            raise PlatformError("NFCNONCE_NF", "this phone was given no such nonce, or used it")
        if given.expires_at <= self._clock.now():
            raise PlatformError("NFCNONCE_EXPIRED", "the nonce is too old: hold the card again")
        self._require_card(given.person.id_number, proof.certificate)
        _verify(proof)
        return given.person

    def _require_card(self, id_number: str, certificate: bytes) -> None:
        if not self._cards.is_card_of(certificate, id_number):
            raise PlatformError("NFCNONCE_IDNUM_MISMATCH", "this is not that person's card")
        now = self._clock.now()
        if self._cards.can_sign(certificate, now):
            return
        expired = x509.load_der_x509_certificate(certificate).not_valid_after_utc < now
        raise SimulatorError(
            "card_expired" if expired else "card_revoked",
            "expected a citizen card that is valid; this one has expired (the simulated clock "
            "says so)"
            if expired
            else "expected a citizen card that is valid; this one is revoked or suspended. A "
            "suspended one is valid again after POST /sim/v1/certificates/{serial}/resume",
            status=409,
        )


def _verify(proof: CardProof) -> None:
    key = x509.load_der_x509_certificate(proof.certificate).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise PlatformError("PM_INV_SG", "the card's key is no RSA key")
    try:
        key.verify(proof.signature, proof.nonce, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise PlatformError("PM_INV_SG", "the card has signed something else") from error
