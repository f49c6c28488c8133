"""Binding a phone to a person, by an activation code (註冊啟用碼) or a citizen card; unbinding.

The app shows the code, or a nonce that the card has signed, registers a FIDO2 credential, and
hands in a certificate request for the signing key that it has made; the platform has the
certificate issued and returns it.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import attrs
from fido2.webauthn import AttestedCredentialData

from moica_simulator.assumptions import (
    ACTIVATION_CODE_DIGITS,
    ACTIVATION_CODE_LIFETIME,
    DEVICE_LIMIT,
)
from moica_simulator.ca.profile import CertificateShape
from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError
from moica_simulator.platform.nfc import CardOffer, CardProof, CardRegister, NfcNonces
from moica_simulator.platform.relying_party import Ceremony, RelyingParty
from moica_simulator.randomness import Randomness
from moica_simulator.records import (
    ActivationCode,
    DeviceProfile,
    IssuedCertificate,
    Person,
    UserProfile,
)
from moica_simulator.state import PlatformRecords

__all__ = ["Binding", "CertificateIssuer"]


def _subject(device_id: str, claim: str | bytes | CardProof) -> str:
    """Names what a FIDO2 registration is for: this phone, by this code or nonce."""
    if isinstance(claim, CardProof):
        claim = claim.nonce
    return f"{device_id}/{claim if isinstance(claim, str) else claim.hex()}"


class CertificateIssuer(CardRegister, Protocol):
    """The CA, as the platform sees it."""

    async def issue(
        self, person: Person, device_id: str, request_der: bytes, shape: CertificateShape
    ) -> IssuedCertificate:
        """Issues a certificate for a person's phone."""


class Binding:
    """Binds phones.

    Args:
        records: The platform's tables.
        relying_party: Registers the FIDO2 credential.
        issuer: Issues the certificate, and knows the citizen cards.
        clock: For the age of codes.
        randomness: For codes and nonces.
    """

    def __init__(
        self,
        records: PlatformRecords,
        *,
        relying_party: RelyingParty,
        issuer: CertificateIssuer,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._records = records
        self._relying_party = relying_party
        self._issuer = issuer
        self._clock = clock
        self._randomness = randomness
        self._nonces = NfcNonces(issuer, clock=clock, randomness=randomness)

    def new_code(self, person: Person) -> ActivationCode:
        """Issues an activation code for a person."""
        code = self._randomness.digits(ACTIVATION_CODE_DIGITS)
        while self._records.activation_codes.get(code) is not None:
            code = self._randomness.digits(ACTIVATION_CODE_DIGITS)
        return self._records.activation_codes.put(
            ActivationCode(code, person.id_number, self._clock.now() + ACTIVATION_CODE_LIFETIME)
        )

    def begin(self, device_id: str, code: str) -> Ceremony:
        """Begins to bind a phone.

        Raises:
            PlatformError: `OTP_NF`, `OTP_EXPIRED`, `DEV_LIM_REACHED`.
        """
        person = self._person_for(code)
        return self._relying_party.begin_registration(_subject(device_id, code), person.name)

    def begin_by_card(self, device_id: str, card_number: str, certificate: bytes) -> CardOffer:
        """Begins to bind a phone by a citizen card.

        Args:
            device_id: The phone.
            card_number: The card's.
            certificate: The card's, DER.

        Raises:
            PlatformError: `NFCNONCE_IDNUM_MISMATCH`, `DEV_LIM_REACHED`.
            SimulatorError: `card_expired`, `card_revoked`.
        """
        holders = (each for each in self._records.people.all() if each.card_number == card_number)
        person = next(holders, None)
        if person is None:
            raise PlatformError("NFCNONCE_IDNUM_MISMATCH", "no person has a card of this number")
        nonce = self._nonces.give(device_id, person, certificate)
        self._require_room(person.id_number)
        ceremony = self._relying_party.begin_registration(_subject(device_id, nonce), person.name)
        return CardOffer(nonce, ceremony)

    async def complete(
        self,
        device_id: str,
        device_name: str,
        claim: str | CardProof,
        *,
        ceremony_id: str,
        response: Mapping[str, Any],
        certificate_request: bytes,
        shape: CertificateShape,
    ) -> tuple[str, bytes]:
        """Verifies the FIDO2 registration, has the certificate issued, and binds the phone.

        Args:
            device_id: The phone.
            device_name: The name that the holder gave it.
            claim: The activation code, or the nonce of `begin_by_card` signed; used up by this.
            ceremony_id: From `begin`.
            response: The authenticator's answer.
            certificate_request: PKCS#10, DER.
            shape: How the certificate differs from the rule.

        Returns:
            Whose phone it is now, and the certificate, DER.

        Raises:
            PlatformError: As `begin` and `NfcNonces.redeem`; `PM_INV_SG`, `PM_SIGDATA_ERR`,
                `DEVPROF_INS_ERR`.
            SimulatorError: `card_expired`, `card_revoked`.
        """
        credential = self._relying_party.complete_registration(
            ceremony_id, _subject(device_id, claim), response
        )
        if self._known(credential.credential_id):
            raise PlatformError("DEVPROF_INS_ERR", "this FIDO2 credential is registered already")
        if isinstance(claim, CardProof):
            person = self._nonces.redeem(device_id, claim)
        else:
            person = self._person_for(claim)
        try:
            issued = await self._issuer.issue(person, device_id, certificate_request, shape)
        except ValueError as error:
            raise PlatformError("PM_SIGDATA_ERR", "the certificate request was refused") from error
        # Time has passed: another phone may have used the code meanwhile, or the last room.
        if isinstance(claim, str):
            self._person_for(claim)
        else:
            self._require_room(person.id_number)
        profile = DeviceProfile(
            device_id=device_id,
            id_number=person.id_number,
            name=device_name,
            credential=credential.data,
            sign_count=credential.sign_count,
            user_handle=credential.user_handle,
            certificate=issued.der,
        )
        with self._records.transaction():
            found = self._records.activation_codes.get(claim) if isinstance(claim, str) else None
            if found is not None:
                self._records.activation_codes.put(attrs.evolve(found, used=True))
            self._records.users.put(UserProfile(person.id_number))
            self._records.devices.put(profile)
        return person.id_number, issued.der

    async def renew(
        self, device_id: str, certificate_request: bytes, shape: CertificateShape
    ) -> bytes:
        """Issues a new certificate over a new key for a bound phone; the one before stays valid
        until it runs out or is revoked.

        Raises:
            PlatformError: `DEVID_DEVPROF_NF`, `PM_SIGDATA_ERR`.
        """
        found = self._records.devices.get(device_id)
        person = self._records.people.get(found.id_number) if found is not None else None
        if found is None or not found.bound or person is None:
            raise PlatformError("DEVID_DEVPROF_NF", "this phone is not bound")
        try:
            issued = await self._issuer.issue(person, device_id, certificate_request, shape)
        except ValueError as error:
            raise PlatformError("PM_SIGDATA_ERR", "the certificate request was refused") from error
        self._records.devices.put(attrs.evolve(found, certificate=issued.der))
        return issued.der

    def deregister(self, id_number: str) -> list[str]:
        """Takes a person out of the users (註銷), with every phone; returns the phones unbound."""
        with self._records.transaction():
            phones = [each for each in self._records.devices.of(id_number) if each.bound]
            for each in phones:
                self._records.devices.put(attrs.evolve(each, bound=False))
            self._records.users.drop(id_number)
        return [each.device_id for each in phones]

    def unbind(self, device_id: str) -> None:
        """Unbinds a phone; its person stays a user without it.

        Raises:
            PlatformError: `DEVID_DEVPROF_NF` if it is not bound.
        """
        found = self._records.devices.get(device_id)
        if found is None or not found.bound:
            raise PlatformError("DEVID_DEVPROF_NF", "this phone is not bound")
        self._records.devices.put(attrs.evolve(found, bound=False))

    def _person_for(self, code: str) -> Person:
        found = self._records.activation_codes.get(code)
        if found is None or found.used:
            raise PlatformError("OTP_NF", "no such activation code, or it was used")
        if self._clock.now() >= found.expires_at:
            raise PlatformError("OTP_EXPIRED", "the activation code has expired")
        person = self._records.people.get(found.id_number)
        if person is None:
            raise PlatformError("OTP_IDNUM_MISMATCH", "the activation code's person is gone")
        self._require_room(person.id_number)
        return person

    def _require_room(self, id_number: str) -> None:
        bound = [each for each in self._records.devices.of(id_number) if each.bound]
        if len(bound) >= DEVICE_LIMIT:
            raise PlatformError("DEV_LIM_REACHED", f"{DEVICE_LIMIT} devices are bound already")

    def _known(self, credential_id: bytes) -> bool:
        return any(
            AttestedCredentialData(each.credential).credential_id == credential_id
            for each in self._records.devices.all()
        )
