"""A software FIDO2 authenticator: one ES256 key a credential, a counter, user verification.

It answers options as a browser's `navigator.credentials` would (WebAuthn JSON), with client data
of its own origin. Attestation is `none`. There is no PIN and no biometric: the user is verified.
"""

import functools
import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

import attrs
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from moica_simulator.randomness import Randomness

__all__ = ["Credential", "get_assertion", "make_credential"]

_FLAG = AuthenticatorData.FLAG
_SEEN = int(_FLAG.UP | _FLAG.UV)


@attrs.frozen
class Credential:
    """A credential as the authenticator keeps it. `sign_count` is the last counter given out."""

    credential_id: bytes
    private_key: bytes = attrs.field(repr=False)
    sign_count: int


def make_credential(
    options: Mapping[str, Any], *, origin: str, randomness: Randomness
) -> tuple[Credential, dict[str, Any]]:
    """Makes a credential for the relying party in `options`.

    Args:
        options: WebAuthn creation options, JSON form.
        origin: Whose client data this is.
        randomness: For the credential id.

    Returns:
        The credential, and the RegistrationResponse, JSON form.
    """
    public = options["publicKey"]
    key = ec.generate_private_key(ec.SECP256R1())
    credential_id = randomness.token(32)
    attested = AttestedCredentialData.create(
        Aaguid.NONE, credential_id, _cose_key(key.public_key())
    )
    auth_data = AuthenticatorData.create(
        _rp_id_hash(public["rp"]["id"]), _FLAG.UP | _FLAG.UV | _FLAG.AT, 0, attested
    )
    client_data = CollectedClientData.create(
        CollectedClientData.TYPE.CREATE, public["challenge"], origin
    )
    attestation = AttestationObject.create("none", auth_data, {})
    response = {
        "clientDataJSON": websafe_encode(client_data),
        "attestationObject": websafe_encode(attestation),
    }
    der = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Credential(credential_id, der, 0), _wrap(credential_id, response)


def get_assertion(
    credential: Credential, options: Mapping[str, Any], *, origin: str
) -> tuple[Credential, dict[str, Any]]:
    """Signs a challenge and raises the counter.

    Args:
        credential: Which one.
        options: WebAuthn request options, JSON form.
        origin: Whose client data this is.

    Returns:
        The credential to keep instead, and the AuthenticationResponse, JSON form.
    """
    public = options["publicKey"]
    used = attrs.evolve(credential, sign_count=credential.sign_count + 1)
    auth_data = _rp_id_hash(public["rpId"]) + struct.pack(">BI", _SEEN, used.sign_count)
    client_data = json.dumps(
        {
            "type": "webauthn.get",
            "challenge": public["challenge"],
            "origin": origin,
            "crossOrigin": False,
        }
    ).encode()
    signature = _loaded(credential.private_key).sign(
        auth_data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256())
    )
    response = {
        "clientDataJSON": websafe_encode(client_data),
        "authenticatorData": websafe_encode(auth_data),
        "signature": websafe_encode(signature),
    }
    return used, _wrap(credential.credential_id, response)


@functools.lru_cache(maxsize=1024)
def _loaded(private_key: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_der_private_key(private_key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the credential's key is no EC key: the state folder is damaged")
    return key


def _cose_key(key: ec.EllipticCurvePublicKey) -> ES256:
    numbers = key.public_numbers()
    # RFC 9053: key type EC2, algorithm, curve P-256, then the point.
    point = {-2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
    return ES256({1: 2, 3: ES256.ALGORITHM, -1: 1, **point})


def _rp_id_hash(rp_id: str) -> bytes:
    return hashlib.sha256(rp_id.encode()).digest()


def _wrap(credential_id: bytes, response: dict[str, str]) -> dict[str, Any]:
    name = websafe_encode(credential_id)
    return {
        "id": name,
        "rawId": name,
        "type": "public-key",
        "response": response,
        "clientExtensionResults": {},
    }
