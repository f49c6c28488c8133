"""How the app gets its keys and certificate: 註冊個人裝置, renewal, 取消綁定.

Both ways of 「請選擇下列註冊綁定方式」 are here: an activation code, and the citizen card held to
the phone (NFC 靠卡註冊綁定). They differ in how the holder proves to be who they are; what follows
is the same FIDO2 registration and the same certificate request.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import attrs

from moica_simulator.assumptions import FIDO_ORIGIN
from moica_simulator.ca.profile import CertificateShape
from moica_simulator.phone import authenticator, signer
from moica_simulator.phone.camera import read_qr_code
from moica_simulator.phone.card import CardCase
from moica_simulator.phone.handsets import Handsets
from moica_simulator.phone.signing_key import SigningKey, certificate_request
from moica_simulator.platform.binding import Binding
from moica_simulator.platform.nfc import CardProof
from moica_simulator.platform.relying_party import Ceremony
from moica_simulator.randomness import Randomness
from moica_simulator.records import Handset

__all__ = ["Enrolment"]

_RULE = CertificateShape()


class Enrolment:
    """Binds, renews and unbinds phones.

    Args:
        handsets: The phones.
        binding: The platform's side.
        cards: The citizen cards that holders have at hand.
        new_key: Makes a signing key; called off the event loop.
        randomness: For credential ids.
        executor: Where RSA work is done.
    """

    def __init__(
        self,
        handsets: Handsets,
        *,
        binding: Binding,
        cards: CardCase,
        new_key: Callable[[], SigningKey],
        randomness: Randomness,
        executor: Executor,
    ) -> None:
        self._handsets = handsets
        self._binding = binding
        self._cards = cards
        self._new_key = new_key
        self._randomness = randomness
        self._executor = executor

    async def bind(
        self, device_id: str, activation_code: str | bytes, shape: CertificateShape = _RULE
    ) -> Handset:
        """Binds a phone by an activation code.

        Args:
            device_id: The phone.
            activation_code: One that the platform gave out, or a picture of its QR code.
            shape: How the certificate differs from the rule.

        Raises:
            SimulatorError: If there is no such phone, it is bound, or a picture shows no code.
            PlatformError: If the platform refuses, e.g. `OTP_NF`.
        """
        self._handsets.unbound(device_id)
        if isinstance(activation_code, bytes):
            activation_code = await asyncio.get_running_loop().run_in_executor(
                self._executor, read_qr_code, activation_code
            )
        ceremony = self._binding.begin(device_id, activation_code)
        return await self._register(device_id, activation_code, ceremony, shape)

    async def bind_by_nfc(
        self, device_id: str, card_number: str, pin: str, shape: CertificateShape = _RULE
    ) -> Handset:
        """Binds a phone by a citizen card held to it, which signs the platform's nonce.

        Args:
            device_id: The phone.
            card_number: Printed on the card; 16 digits.
            pin: Typed by the holder.
            shape: How the phone's certificate differs from the rule.

        Raises:
            SimulatorError: If there is no such phone or card, the phone is bound, the PIN is wrong
                (which is counted), or the card is locked, expired or revoked.
            PlatformError: If the platform refuses, e.g. `DEV_LIM_REACHED`.
        """
        self._handsets.unbound(device_id)
        card = await self._cards.open(card_number, pin)
        offer = self._binding.begin_by_card(device_id, card_number, card.certificate)
        signature = await asyncio.get_running_loop().run_in_executor(
            self._executor, signer.sign_nonce, offer.nonce, card.signing_key
        )
        proof = CardProof(offer.nonce, card.certificate, signature)
        return await self._register(device_id, proof, offer.ceremony, shape)

    async def renew(self, device_id: str, shape: CertificateShape = _RULE) -> Handset:
        """Renews the certificate: a new key in the same phone, for the same person.

        Raises:
            SimulatorError: If there is no such phone, or it is not bound.
            PlatformError: If the platform refuses.
        """
        self._handsets.bound(device_id)
        key_der, request = await self._signing_key()
        certificate = await self._binding.renew(device_id, request, shape)
        found = self._handsets.bound(device_id)
        return self._handsets.put(attrs.evolve(found, signing_key=key_der, certificate=certificate))

    def unbind(self, device_id: str) -> Handset:
        """Unbinds a phone (取消綁定): the platform lets it go, the app forgets its keys.

        Raises:
            SimulatorError: If there is no such phone, or it is not bound.
        """
        self._handsets.bound(device_id)
        self._binding.unbind(device_id)
        return self._handsets.forget(device_id)

    async def _register(
        self,
        device_id: str,
        claim: str | CardProof,
        ceremony: Ceremony,
        shape: CertificateShape,
    ) -> Handset:
        credential, response = authenticator.make_credential(
            ceremony.options, origin=FIDO_ORIGIN, randomness=self._randomness
        )
        key_der, request = await self._signing_key()
        handset = self._handsets.unbound(device_id)
        id_number, certificate = await self._binding.complete(
            device_id,
            handset.name,
            claim,
            ceremony_id=ceremony.ceremony_id,
            response=response,
            certificate_request=request,
            shape=shape,
        )
        return self._handsets.put(
            attrs.evolve(
                self._handsets.get(device_id),
                id_number=id_number,
                credential_id=credential.credential_id,
                credential_key=credential.private_key,
                sign_count=credential.sign_count,
                signing_key=key_der,
                certificate=certificate,
            )
        )

    async def _signing_key(self) -> tuple[bytes, bytes]:
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._make_signing_key
        )

    def _make_signing_key(self) -> tuple[bytes, bytes]:
        key = self._new_key()
        return key.store(), certificate_request(key)
