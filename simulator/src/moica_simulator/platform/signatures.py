"""Whether what the phone returned is a signature over what the relying system asked for.

The platform would hand any signature on; a real one checks (codes `CERT_SIGNDATA_MISMATCH` and
`CERT_SIGNDATA_ERR` exist), and a simulator that did not would hide a broken phone.
"""

import base64
import binascii
import functools
import hashlib

from asn1crypto import cms
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moica_simulator.errors import PlatformError
from moica_simulator.platform.wire import hash_algorithm, to_be_signed
from moica_simulator.records import SignRequest

__all__ = ["verify", "verify_all"]


def verify_all(
    sign: SignRequest, signed_responses: tuple[str, ...], certificate_der: bytes
) -> None:
    """Accepts one signature for each document asked for, in the order asked for.

    Raises:
        PlatformError: `CERT_SIGNDATA_ERR` if their number is another; else as `verify`.
    """
    messages = to_be_signed(sign)
    if len(signed_responses) != len(messages):
        raise PlatformError(
            "CERT_SIGNDATA_ERR",
            f"{len(messages)} signatures were asked for, {len(signed_responses)} came",
        )
    for message, response in zip(messages, signed_responses, strict=True):
        verify(sign, message, response, certificate_der)


def verify(sign: SignRequest, message: bytes, signed_response: str, certificate_der: bytes) -> None:
    """Accepts a signature over exactly `message` by the certificate's key.

    Raises:
        PlatformError: `CERT_SIGNDATA_ERR` if it cannot be read, `CERT_SIGNDATA_MISMATCH` if it
            covers something else or was made with another key.
    """
    try:
        raw = base64.b64decode(signed_response, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PlatformError("CERT_SIGNDATA_ERR", "signed_response is no base64") from error
    key = _public_key(certificate_der)
    if not isinstance(key, rsa.RSAPublicKey):
        raise PlatformError("CERT_SIGNDATA_ERR", "the certificate's key is no RSA key")
    try:
        match sign.sign_type:
            case "PKCS#1":
                key.verify(raw, message, padding.PKCS1v15(), hash_algorithm(sign))
            case "RAW":
                if key.recover_data_from_signature(raw, padding.PKCS1v15(), None) != message:
                    raise InvalidSignature
            case _:
                _verify_cms(sign, raw, message, key)
    except InvalidSignature as error:
        raise PlatformError(
            "CERT_SIGNDATA_MISMATCH", "the signature does not cover the data asked for"
        ) from error


@functools.lru_cache(maxsize=1024)
def _public_key(certificate_der: bytes) -> object:
    return x509.load_der_x509_certificate(certificate_der).public_key()


def _verify_cms(sign: SignRequest, raw: bytes, message: bytes, key: rsa.RSAPublicKey) -> None:
    try:
        signed_data = cms.ContentInfo.load(raw, strict=True)["content"]
        (signer,) = signed_data["signer_infos"]
        attributes = {each["type"].native: each["values"][0] for each in signer["signed_attrs"]}
        digest = attributes["message_digest"].native
        covered = signer["signed_attrs"].untag().dump(force=True)
        signature = signer["signature"].native
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise PlatformError("CERT_SIGNDATA_ERR", "signed_response is no CMS SignedData") from error
    if digest != hashlib.new(sign.hash_algorithm, message).digest():
        raise InvalidSignature
    key.verify(signature, covered, padding.PKCS1v15(), hash_algorithm(sign))
