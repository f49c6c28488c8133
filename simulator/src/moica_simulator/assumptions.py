"""Everything about TW FidO that nobody outside the Ministry has confirmed (confidence C).

The official specification goes to registered agencies only. What two independent clients agree
on is written into the rooms of this package; what is only our guess stands here, one named
constant or function each, so that one edit corrects it. The protocol file calls these "C".
"""

import functools
import hashlib
import hmac
from datetime import datetime, timedelta, timezone

__all__ = [
    "ACTIVATION_CODE_DIGITS",
    "ACTIVATION_CODE_LIFETIME",
    "CALLBACK_RETRIES",
    "CARD_CARRIER",
    "CARD_PIN",
    "CARD_PIN_ATTEMPTS",
    "CHECKSUM_MISSING_CODE",
    "CHECK_DIGIT_CODE",
    "CMS_IS_DETACHED",
    "CRL_LIFETIME",
    "CRL_PARTITIONS",
    "DEVICE_LIMIT",
    "ERROR_ANSWERS_CARRY_CHECKSUM",
    "FIDO_ORIGIN",
    "FIDO_RP_ID",
    "FINGERPRINT_ATTEMPTS",
    "FOREIGN_RESIDENT_TYPE",
    "NFC_NONCE_LIFETIME",
    "POLL_INTERVAL_ASKED_FOR",
    "PUSH_TICKET_OP_MODE",
    "REDIRECT_ERRORS_CARRY_CHECKSUM",
    "REDIRECT_WITHOUT_CALLBACK_CODE",
    "RETURN_MEMBER",
    "TICKET_VERSION",
    "TIMESTAMP_POLICY",
    "activation_code_payload",
    "hashed_id_num",
    "redirect_asks_again",
    "ticket_expiration_text",
    "wire_error_code",
    "yes_or_no",
]

FIDO_RP_ID = "fido.simulator.invalid"
"""The relying party id of the app's FIDO2 credential. The real one is not published."""

FIDO_ORIGIN = "https://fido.simulator.invalid"
"""The origin that the app writes into its client data. The real app's is not published."""

ACTIVATION_CODE_DIGITS = 8
"""How long an activation code (註冊啟用碼) is."""

ACTIVATION_CODE_LIFETIME = timedelta(minutes=30)
"""How long an activation code can be used; one use only."""

DEVICE_LIMIT = 5
"""Bound devices a person may have before `DEV_LIM_REACHED`."""

CARD_CARRIER = "card"
"""What stands in a citizen card's certificate where a phone's has `mobile`. NFCSIGN is signed by
the card's key, and its `cert` is the card's."""

CARD_PIN = "123456"
"""The PIN of a citizen card that was given no other. (A real one's is its holder's own.)"""

CARD_PIN_ATTEMPTS = 3
"""Wrong PINs in a row after which a citizen card is locked."""

FOREIGN_RESIDENT_TYPE = "2.16.886.1.100.3.1.2"
"""What stands in a foreign resident's certificate where a citizen's says citizen: the next number
of the same arc. (Only citizens' have been seen.)"""

NFC_NONCE_LIFETIME = timedelta(minutes=1)
"""How long the nonce that a card signs when it binds a phone can be used."""

FINGERPRINT_ATTEMPTS = 5
"""Fingers in a row that a phone's sensor does not recognise before it locks."""

CHECK_DIGIT_CODE = "SPTKT_INS_ERR"
"""For a well-shaped ID number with a wrong check digit (seen so at one client); a badly shaped
one is `PM_IDN_FT_ERR`."""

CHECKSUM_MISSING_CODE = "INV_SP_CHECKSUM"
"""For a request without `sp_checksum`, which therefore does not verify."""

ERROR_ANSWERS_CARRY_CHECKSUM = False
"""Whether an envelope with an error holds a `result` with an `idp_checksum`."""

TIMESTAMP_POLICY = "2.16.886.101.0.3.3"
"""The policy of the timestamps. Which service agencies use, and under which policy, is not ours to
know: the class 3 policy of the same PKI stands in."""

PUSH_TICKET_OP_MODE = "PUSH"
"""The `op_mode` inside a ticket made by a push, where the request has none."""

REDIRECT_ERRORS_CARRY_CHECKSUM = True
"""Whether the callback of WEB-01 has an `idp_checksum` when it brings an error."""

REDIRECT_WITHOUT_CALLBACK_CODE = "TGT_INV"
"""For a redirect of a system that has registered no `callback_url`."""

CALLBACK_RETRIES = (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=30))
"""How long after a failed callback of WEB-01 it is posted again; after the last, never. Failed is
a connection that broke or an answer of 400 or more. Nothing is posted for a page on which no ID
number was typed."""

RETURN_MEMBER = "rtn_val"
"""The query member of an app link's return address in which `rtn_val` comes back."""

TICKET_VERSION = "1"
"""The `version` inside a ticket."""

POLL_INTERVAL_ASKED_FOR = timedelta(seconds=4)
"""Polls of one ticket that follow closer are answered all the same, and recorded as early."""

CMS_IS_DETACHED = False
"""Whether `PKCS#7` leaves the signed content out of the CMS SignedData."""

CRL_LIFETIME = timedelta(hours=24)
"""From `thisUpdate` to `nextUpdate`."""

CRL_PARTITIONS = 4
"""Into how many partitions the revocation list is divided."""

_TAIPEI = timezone(timedelta(hours=8))


@functools.lru_cache(maxsize=10_000)
def hashed_id_num(secret: bytes, sp_service_id: str, id_number: str) -> str:
    """Computes the opaque value that stands for a person towards one relying system.

    How the real one is computed is not published. This one is keyed with a secret of the
    simulator and differs from system to system, so that nobody comes to rely on a formula.
    """
    message = f"{sp_service_id}\0{id_number}".encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def activation_code_payload(code: str) -> str:
    """Writes what the QR code of an activation code holds.

    Assumed: the code, and nothing else.
    """
    return code


def redirect_asks_again(code: str) -> bool:
    """Says whether the Ministry's page lets the holder type the ID number again.

    Assumed: for a mistyped one. Whoever has no bound device is sent back with the code.
    """
    return code in ("PM_INV_NF", "PM_IDN_FT_ERR", CHECK_DIGIT_CODE)


def ticket_expiration_text(moment: datetime) -> str:
    """Writes `expiration_time` of a ticket: local time of Taipei, without a zone."""
    return moment.astimezone(_TAIPEI).replace(tzinfo=None).isoformat(" ", "seconds")


def wire_error_code(interface: str, code: str) -> str:
    """Writes an error code as it goes over the wire: prefixed with its interface.

    Clients have seen bare and prefixed codes; the older purely numeric ones come bare.
    """
    return code if code.isdigit() else f"{interface}-{code}"


def yes_or_no(value: bool) -> str:
    """Writes `is_fido` and `is_mcert_sign`.

    Assumed: `is_fido` is whether a device is bound, `is_mcert_sign` whether one of the bound
    devices has a signing certificate that is neither expired nor revoked; both are "N" for
    somebody whom the platform does not know.
    """
    return "Y" if value else "N"
