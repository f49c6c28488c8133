"""Is it the right person, and the right certificate of theirs? (security rules 4 and 7)

What links a certificate to an ID number are its last four characters; what links it to the person
who registered are the platform's own identifier and the registered certificate. Another
certificate is a renewal only by all that can be compared, and only where the tenant's policy takes
one: nothing in a certificate says "renewed".
"""

from __future__ import annotations

import hmac
import unicodedata

from moica_gateway.domain.models import CertificateSignature, Expected
from moica_gateway.trust.profile import HolderCertificate, parse_holder_certificate
from moica_gateway.trust.report import Refusal, Unchecked

__all__ = [
    "check_last_four",
    "check_name",
    "check_same_person",
    "find_renewal",
]


def check_last_four(holder: HolderCertificate, expected: Expected) -> str:
    """What was found good. Raises `Refusal` or `Unchecked`."""
    if expected.last_four is None:
        raise Unchecked("not checked: nobody in particular was expected")
    found = holder.info.last_four
    if found is None:
        raise Refusal(
            "certificate_person_missing",
            "expected a certificate with the last four characters of its holder's ID number, "
            "it has none, so nothing links it to a person; the operator tells the platform's "
            "support",
        )
    if not _same(_ascii_upper(found), _ascii_upper(expected.last_four)):
        raise Refusal(
            "certificate_person_mismatch",
            "expected the certificate of the ID number that was asked for, its last four "
            "characters are others; the operator looks at the line to the platform",
        )
    return "the last four characters of the ID number agree"


def check_same_person(proof: CertificateSignature, expected: Expected) -> str:
    """What was found good. Raises `Refusal` or `Unchecked`."""
    registered = expected.hashed_id_num
    if registered is None:
        raise Unchecked("not checked: the platform's identifier is not known before this")
    if proof.hashed_id_num is None:
        raise Unchecked(
            "not checked: the answer named the ID number itself, which was the expected one"
        )
    if not _same(registered, proof.hashed_id_num):
        raise Refusal(
            "hashed_id_num_mismatch",
            "expected the platform's identifier of the registered person, came another",
        )
    return "the platform's identifier of the person is the registered one"


def check_name(holder: HolderCertificate, expected: Expected) -> str:
    """What was found good. Raises `Refusal` or `Unchecked`."""
    name = expected.user_name
    if name is None:
        raise Unchecked("not checked: the document system gave no name")
    if _nfc(name) != _nfc(holder.info.subject_name):
        raise Refusal(
            "name_mismatch",
            "expected the certificate of the user's name, it bears another; an administrator "
            "compares both",
        )
    return "the name is the certificate's"


def find_renewal(
    holder: HolderCertificate, proof: CertificateSignature, expected: Expected
) -> bool:
    """Whether it is another certificate than the registered one, and may stand in its place.

    Raises:
        Refusal: ``certificate_changed`` where it may not.
        Unchecked: where none was registered.
    """
    pinned = expected.pinned_certificate
    if pinned is None:
        raise Unchecked("not checked: no certificate was registered before this")
    if hmac.compare_digest(pinned, proof.unverified_certificate):
        return False
    if not expected.renewal_accepted:
        raise _changed("the holder registers again")
    registered = parse_holder_certificate(pinned)
    if expected.hashed_id_num is None or proof.hashed_id_num is None:
        raise _changed("the platform named nobody to compare; the holder registers again")
    if not _same(expected.hashed_id_num, proof.hashed_id_num):
        raise _changed("the platform names another person; the holder registers again")
    if (
        registered.certificate.subject != holder.certificate.subject
        or registered.certificate.issuer != holder.certificate.issuer
        or registered.holder_type != holder.holder_type
        or registered.info.last_four != holder.info.last_four
    ):
        raise _changed("it says another thing of its holder; the holder registers again")
    if holder.info.not_before < registered.info.not_before:
        raise _changed("it is older than that; the holder signs with the newest certificate")
    return True


def _changed(rest: str) -> Refusal:
    return Refusal(
        "certificate_changed", f"expected the registered certificate, came another; {rest}"
    )


def _same(expected: str, came: str) -> bool:
    """In constant time, for whatever text came (a lone surrogate has no UTF-8)."""
    return hmac.compare_digest(
        expected.encode("utf-8", "surrogatepass"), came.encode("utf-8", "surrogatepass")
    )


def _ascii_upper(text: str) -> str:
    """Letters of an ID number are ASCII; `str.upper` alone would make one of others."""
    return text.upper() if text.isascii() else text


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()
