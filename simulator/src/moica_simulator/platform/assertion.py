"""A FIDO2 assertion on its way in and out, for `Fido2Server`, which judges it.

python-fido2's own readers look up the type hints of their classes for every object they make:
three thousandths of a second for each assertion, more than all its cryptography. The parts are
put together here instead; everything that is decided stays with the library.
"""

import functools
from collections.abc import Mapping
from typing import Any

from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    AuthenticatorData,
    CollectedClientData,
    UserVerificationRequirement,
)

__all__ = ["attested", "read_assertion", "request_options", "server_state"]

_TYPE = "public-key"
_REQUIRED = UserVerificationRequirement.REQUIRED


@functools.lru_cache(maxsize=1024)
def attested(credential: bytes) -> AttestedCredentialData:
    """Reads attested credential data; raises `ValueError`."""
    return AttestedCredentialData(credential)


def request_options(challenge: bytes, rp_id: str, credential_id: bytes) -> dict[str, Any]:
    """Returns WebAuthn request options, JSON form, that ask one credential for one assertion."""
    return {
        "publicKey": {
            "challenge": websafe_encode(challenge),
            "rpId": rp_id,
            "allowCredentials": [{"type": _TYPE, "id": websafe_encode(credential_id)}],
            "userVerification": _REQUIRED.value,
        }
    }


def server_state(challenge: bytes) -> dict[str, Any]:
    """Returns what `Fido2Server.authenticate_complete` wants to be told of the challenge."""
    return {"challenge": websafe_encode(challenge), "user_verification": _REQUIRED}


def read_assertion(response: Mapping[str, Any]) -> AuthenticationResponse:
    """Reads an AuthenticationResponse, JSON form.

    Raises:
        ValueError, LookupError, TypeError, struct.error: If it is malformed.
    """
    if response.get("id", response["rawId"]) != response["rawId"]:
        raise ValueError("id and rawId differ")
    if response.get("type", _TYPE) != _TYPE:
        raise ValueError("the credential's type is not public-key")
    inner = response["response"]
    handle = inner.get("userHandle")
    return _Read(
        raw_id=_decoded(response["rawId"]),
        response=_ReadAssertion(
            client_data=CollectedClientData(_decoded(inner["clientDataJSON"])),
            authenticator_data=AuthenticatorData(_decoded(inner["authenticatorData"])),
            signature=_decoded(inner["signature"]),
            user_handle=None if handle is None else _decoded(handle),
        ),
    )


class _Read(AuthenticationResponse):
    """The library's class with its parts as they are given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", websafe_encode(self.raw_id))


class _ReadAssertion(AuthenticatorAssertionResponse):
    """The same for what is inside."""

    def __post_init__(self) -> None:
        pass


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"expected base64url text; a {type(value).__name__} came")
    return websafe_decode(value)
