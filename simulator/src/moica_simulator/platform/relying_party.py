"""The platform as FIDO2 relying party: registration and assertion, each with a fresh challenge.

python-fido2 checks type, origin, challenge, RP id, user presence, user verification and signature.
What it leaves to its caller is done here: nothing of another site's frame, backup flags that can
be, an attestation statement that is the empty `none`, an ES256 key, a credential id of at most 1023
bytes, the user handle where one is sent, and **a counter that has grown**. Whether a credential is
new, its caller knows.

A challenge lives in memory for a minute and is consumed by the first answer, right or wrong.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    UserVerificationRequirement,
)

from moica_simulator.assumptions import FIDO_ORIGIN, FIDO_RP_ID
from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError
from moica_simulator.platform.assertion import (
    attested,
    read_assertion,
    request_options,
    server_state,
)
from moica_simulator.randomness import Randomness

__all__ = ["Ceremony", "RegisteredCredential", "RelyingParty"]

_LIFETIME = timedelta(minutes=1)
_LONGEST_CREDENTIAL_ID = 1023
"""WebAuthn level 3, 7.1."""


@attrs.frozen
class Ceremony:
    """A begun registration or assertion: what the app has to answer, as a browser would get it."""

    ceremony_id: str
    options: Mapping[str, Any]


@attrs.frozen
class RegisteredCredential:
    """What the platform keeps: attested credential data (public), the counter, the user handle."""

    data: bytes
    sign_count: int
    user_handle: bytes = b""

    @property
    def credential_id(self) -> bytes:
        """The credential's id."""
        return AttestedCredentialData(self.data).credential_id


@attrs.frozen
class _Begun:
    subject: str
    state: Any
    user_handle: bytes
    expires_at: datetime


class RelyingParty:
    """Runs FIDO2 ceremonies.

    Args:
        clock: For the age of challenges.
        randomness: For challenges and ids.
    """

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self._clock = clock
        self._randomness = randomness
        self._begun: dict[str, _Begun] = {}
        self._server = Fido2Server(
            PublicKeyCredentialRpEntity(id=FIDO_RP_ID, name="TW FidO (simulated)"),
            attestation=AttestationConveyancePreference.NONE,
            verify_origin=lambda origin: origin == FIDO_ORIGIN,
        )
        self._server.allowed_algorithms = [
            PublicKeyCredentialParameters(
                type=PublicKeyCredentialType.PUBLIC_KEY, alg=ES256.ALGORITHM
            )
        ]

    def begin_registration(self, subject: str, user_name: str) -> Ceremony:
        """Begins to register a credential.

        Args:
            subject: What the ceremony is for; completing it must name the same.
            user_name: Shown by authenticators; never an ID number.
        """
        user_handle = self._randomness.token(16)
        options, state = self._server.register_begin(
            PublicKeyCredentialUserEntity(id=user_handle, name=user_name, display_name=user_name),
            user_verification=UserVerificationRequirement.REQUIRED,
            challenge=self._randomness.token(32),
        )
        return self._remember(subject, dict(options), state, user_handle)

    def complete_registration(
        self, ceremony_id: str, subject: str, response: Mapping[str, Any]
    ) -> RegisteredCredential:
        """Verifies an attestation.

        Raises:
            PlatformError: `PM_INV_SG` if anything in it is wrong, `PM_SIGDATA_ERR` if it cannot
                be read.
        """
        begun = self._consume(ceremony_id, subject)
        with _refusing():
            registration = RegistrationResponse.from_dict(response)
            attestation = registration.response.attestation_object
            auth_data = self._server.register_complete(begun.state, registration)
            _require_public_key_type(registration)
            _require_own_frame(registration.response.client_data)
            _require_possible_backup(auth_data)
            if attestation.fmt != "none" or attestation.att_stmt:
                raise PlatformError("PM_INV_SG", "the attestation is not the empty 'none'")
            data = auth_data.credential_data
            if data is None or data.credential_id != registration.raw_id:
                raise PlatformError("PM_INV_SG", "the attested credential is not the one named")
            if len(data.credential_id) > _LONGEST_CREDENTIAL_ID:
                raise PlatformError("PM_INV_SG", "the credential's id is too long")
            _require_es256(data.public_key)
            return RegisteredCredential(bytes(data), auth_data.counter, begun.user_handle)

    def begin_assertion(self, subject: str, credential: bytes) -> Ceremony:
        """Begins to assert a credential for one subject, e.g. one ticket on one device."""
        challenge = self._randomness.token(32)
        options = request_options(challenge, FIDO_RP_ID, attested(credential).credential_id)
        return self._remember(subject, options, server_state(challenge))

    def complete_assertion(
        self,
        ceremony_id: str,
        subject: str,
        credential: RegisteredCredential,
        response: Mapping[str, Any],
    ) -> int:
        """Verifies an assertion and returns the counter to keep from now on.

        Raises:
            PlatformError: `PM_INV_SG` if anything in it is wrong, `PM_SIGDATA_ERR` if it cannot
                be read.
        """
        begun = self._consume(ceremony_id, subject)
        with _refusing():
            assertion = read_assertion(response)
            self._server.authenticate_complete(begun.state, [attested(credential.data)], assertion)
            _require_own_frame(assertion.response.client_data)
            _require_possible_backup(assertion.response.authenticator_data)
            handle = assertion.response.user_handle
            if handle is not None and handle != credential.user_handle:
                raise PlatformError("PM_INV_SG", "the user handle is somebody else's")
            counter = assertion.response.authenticator_data.counter
        if counter <= credential.sign_count:
            # Ours grow from 1: a counter that stands still belongs to a cloned authenticator.
            raise PlatformError("PM_INV_SG", "the authenticator's counter did not grow")
        return counter

    def _remember(
        self, subject: str, options: Mapping[str, Any], state: object, user_handle: bytes = b""
    ) -> Ceremony:
        now = self._clock.now()
        for stale in [key for key, each in self._begun.items() if each.expires_at <= now]:
            del self._begun[stale]
        ceremony_id = self._randomness.uuid()
        self._begun[ceremony_id] = _Begun(subject, state, user_handle, now + _LIFETIME)
        return Ceremony(ceremony_id, options)

    def _consume(self, ceremony_id: str, subject: str) -> _Begun:
        begun = self._begun.pop(ceremony_id, None)
        if begun is None or begun.subject != subject or begun.expires_at <= self._clock.now():
            raise PlatformError("PM_INV_SG", "no open challenge: begin again")
        return begun


def _require_public_key_type(response: RegistrationResponse) -> None:
    if response.type != PublicKeyCredentialType.PUBLIC_KEY:
        raise PlatformError("PM_INV_SG", "the credential's type is not public-key")


def _require_own_frame(client_data: CollectedClientData) -> None:
    if client_data.cross_origin:
        raise PlatformError("PM_INV_SG", "the app was asked from within another site's frame")


def _require_possible_backup(auth_data: AuthenticatorData) -> None:
    flags = AuthenticatorData.FLAG
    if auth_data.flags & flags.BS and not auth_data.flags & flags.BE:
        raise PlatformError("PM_INV_SG", "backed up, though it cannot be")


def _require_es256(key: Mapping[int, Any]) -> None:
    # RFC 9053: key type EC2, algorithm, curve P-256, then the point, which must be on it.
    if (key.get(1), key.get(3), key.get(-1)) != (2, ES256.ALGORITHM, 1):
        raise PlatformError("PM_INV_SG", "the credential's key is not ES256")
    x, y = key[-2], key[-3]
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
    numbers.public_key()


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns what python-fido2 raises on a wrong or unreadable response into the platform's code."""
    try:
        yield
    except ValueError as error:
        raise PlatformError("PM_INV_SG", "the FIDO2 response was refused") from error
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        UnsupportedAlgorithm,
        struct.error,
    ) as error:
        raise PlatformError("PM_SIGDATA_ERR", "the FIDO2 response cannot be read") from error
