"""A vendor's own client of the platform, as small as it can be: it pushes, and asks for the result.

It is an example of what is tested, not of how to write a client: it does not verify the answers'
`idp_checksum`, nor any certificate. Blocking, standard library and `cryptography` only.
"""

import base64
import hashlib
import json
import os
import urllib.request
import uuid
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Client"]

_PUSH = ("transaction_id", "sp_service_id", "id_num", "op_code", "hint", "sign_data")
_RESULT = ("transaction_id", "sp_service_id", "sp_ticket_id")


class Client:
    """Speaks to the platform for one relying system."""

    def __init__(self, url: str, sp_service_id: str, aes_key: str) -> None:
        self._url = url
        self._service = sp_service_id
        self._key = AESGCM(base64.b64decode(aes_key))

    def push(self, id_number: str, document: bytes) -> dict[str, str]:
        """Asks a person to sign; returns what `result` needs."""
        transaction = str(uuid.uuid4())
        answer = self._call(
            "requestAthOrSignPush",
            _PUSH,
            transaction_id=transaction,
            id_num=id_number,
            op_code="SIGN",
            hint="公文簽核",
            time_limit=60,
            sign_info={
                "sign_type": "PKCS#1",
                "sign_data": base64.b64encode(document).decode(),
                "tbs_encoding": "base64",
                "hash_algorithm": "SHA256",
            },
        )
        self._require_success(answer)
        first = answer["result"]["sp_ticket"].split(".")[0]
        ticket = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
        return {"transaction_id": transaction, "sp_ticket_id": ticket["sp_ticket_id"]}

    def result(self, asked: dict[str, str]) -> dict[str, Any]:
        """Asks for the result: signature and certificate.

        Raises:
            RuntimeError: With the platform's code, e.g. that nobody has decided yet.
        """
        answer = self._call("getAthOrSignResult", _RESULT, **asked)
        self._require_success(answer)
        result: dict[str, Any] = answer["result"]
        return result

    def _call(self, method: str, order: tuple[str, ...], **body: Any) -> dict[str, Any]:
        body["sp_service_id"] = self._service
        fields = {**body.get("sign_info", {}), **body}
        digest = hashlib.sha256("".join(fields[name] for name in order).encode()).hexdigest()
        nonce = os.urandom(12)
        body["sp_checksum"] = (nonce + self._key.encrypt(nonce, digest.encode(), None)).hex()
        request = urllib.request.Request(  # noqa: S310 - the address is the test's own
            f"{self._url}/moise/sp/{method}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310 - the same
            answer: dict[str, Any] = json.load(reply)
        return answer

    @staticmethod
    def _require_success(answer: dict[str, Any]) -> None:
        if str(answer["error_code"]) != "0":
            raise RuntimeError(answer["error_code"])
