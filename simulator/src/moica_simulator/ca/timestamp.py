"""The timestamper (RFC 3161): a signed word that a hash was there, by the simulated clock.

What is refused is answered with the reason that section 2.4.2 names. The token is CMS signed data
with the signing certificate's hash (RFC 5816), so that it cannot be passed off as another's.
"""

import hashlib
from datetime import datetime

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from moica_simulator.assumptions import TIMESTAMP_POLICY
from moica_simulator.ca.authority import Authority

__all__ = ["answer"]

_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}


class _Response(core.Sequence):  # type: ignore[misc] # asn1crypto ships no types
    # asn1crypto's own wants a token also where there is none (RFC 3161 2.4.2: OPTIONAL).
    _fields = [  # noqa: RUF012 - its way
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


class _Refused(Exception):
    """With the failure's name in `PKIFailureInfo`."""

    def __init__(self, failure: str, words: str) -> None:
        super().__init__(words)
        self.failure = failure


def answer(authority: Authority, request_der: bytes, *, number: int, now: datetime) -> bytes:
    """Answers a request.

    Args:
        authority: Whose timestamper signs.
        request_der: `TimeStampReq`, DER.
        number: The token's serial number, never used before.
        now: The moment; written to the second.

    Returns:
        `TimeStampResp`, DER: granted, or rejected with the reason.
    """
    try:
        token = _token(authority, _read(request_der), number, now)
    except _Refused as refusal:
        status = {
            "status": "rejection",
            "status_string": [str(refusal)],
            "fail_info": {refusal.failure},
        }
        rejected: bytes = _Response({"status": status}).dump()
        return rejected
    granted: bytes = _Response({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
    return granted


def _read(request_der: bytes) -> tsp.TimeStampReq:
    try:
        request = tsp.TimeStampReq.load(request_der, strict=True)
        request.native  # noqa: B018 - reads every member, to fail here and not later
        algorithm = request["message_imprint"]["hash_algorithm"]["algorithm"].native
        digest = request["message_imprint"]["hashed_message"].native
    except (TypeError, ValueError) as error:
        raise _Refused("bad_data_format", "expected a TimeStampReq, DER") from error
    if request["version"].native != "v1":
        raise _Refused("bad_request", "expected version 1")
    if algorithm not in _SIZES:
        raise _Refused("bad_alg", f"expected one of {', '.join(_SIZES)}")
    if len(digest) != _SIZES[algorithm]:
        raise _Refused("bad_data_format", "expected a hash of its algorithm's length")
    policy = request["req_policy"].native
    if policy is not None and policy != TIMESTAMP_POLICY:
        raise _Refused("unaccepted_policy", f"expected {TIMESTAMP_POLICY} or none")
    if request["extensions"].native:
        raise _Refused("unaccepted_extensions", "expected no extensions")
    return request


def _token(
    authority: Authority, request: tsp.TimeStampReq, number: int, now: datetime
) -> cms.ContentInfo:
    since = now.replace(microsecond=0)
    info = {
        "version": "v1",
        "policy": TIMESTAMP_POLICY,
        "message_imprint": request["message_imprint"],
        "serial_number": number,
        "gen_time": since,
        "accuracy": {"seconds": 1},
    }
    if request["nonce"].native is not None:
        info["nonce"] = request["nonce"]
    content = tsp.TSTInfo(info).dump()
    service = authority.timestamper
    signer = asn1_x509.Certificate.load(service.certificate.public_bytes(Encoding.DER))
    issuer = asn1_x509.Certificate.load(authority.intermediate.public_bytes(Encoding.DER))
    signed = cms.CMSAttributes(
        [
            _attribute("content_type", "tst_info"),
            _attribute("signing_time", cms.Time({"utc_time": since})),
            _attribute("message_digest", hashlib.sha256(content).digest()),
            _attribute(
                "signing_certificate_v2",
                tsp.SigningCertificateV2(
                    {"certs": [{"cert_hash": hashlib.sha256(signer.dump()).digest()}]}
                ),
            ),
        ]
    )
    signature = service.key.sign(signed.dump(), padding.PKCS1v15(), hashes.SHA256())
    sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
    data = {
        "version": "v3",
        "digest_algorithms": [sha256],
        "encap_content_info": {
            "content_type": "tst_info",
            "content": core.ParsableOctetString(content),
        },
        "signer_infos": [
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    {
                        "issuer_and_serial_number": {
                            "issuer": signer.issuer,
                            "serial_number": signer.serial_number,
                        }
                    }
                ),
                "digest_algorithm": sha256,
                "signed_attrs": signed,
                "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
                "signature": signature,
            }
        ],
    }
    if request["cert_req"].native:
        data["certificates"] = [signer, issuer]
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)})


def _attribute(kind: str, value: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": kind, "values": [value]})
