"""Certificate, chain, person and signature, each proved by itself (security rules 3, 6 and 7).

The checksum covers neither certificate nor chain, so it is good in every row.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from moica_gateway.testing.ocsp import delegate_of, ocsp_answer
from moica_gateway.testing.pki import MemoryPki, issuing_point

from .hostile import Desk, Turn
from .row import Place, Row

__all__ = ["ROWS"]

RR, SR, BR = Place.REGISTRATION_RESULT, Place.SIGNATURE_RESULT, Place.BARE_RESULT
BOTH = (RR, SR)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def holder(turn: Turn, **changes: Any) -> dict[str, Any]:
    """A certificate over the holder's own key that is otherwise in one thing."""
    key = changes.get("key", "holder")
    return turn.proof(turn.desk.holder(**changes), turn.signature(key=key))


def stranger(turn: Turn, **changes: Any) -> MemoryPki:
    """A hierarchy with the same names and other keys."""
    return MemoryPki(at=turn.desk.platform.pki.at, name="stranger", **changes)


def with_crl(turn: Turn, name: str, **changes: Any) -> dict[str, Any]:
    """A good certificate that names a list of its own, which is published as it is described."""
    platform = turn.desk.platform
    name = f"{name}-{turn.desk.sp_service_id}"
    url = f"{platform.url}/crl/{name}"
    body = changes.pop("body", None)
    pki = changes.pop("pki", platform.pki)
    revoked = changes.pop("revoked", ())
    crl = pki.crl(*revoked, **{"url": url, **changes})
    platform.publish(name, crl if body is None else body)
    return holder(turn, points=((url,),), serial=SERIAL)


SERIAL = 0x5EC0


def with_ocsp(turn: Turn, **changes: Any) -> dict[str, Any]:
    """A good certificate without a CRL, whose responder answers as it is described. Of a serial
    number of its own: what was answered about a certificate before is not forgotten."""
    pki = turn.desk.platform.pki
    body = changes.pop("body", None)
    delegate = changes.pop("delegate", None)
    if delegate is not None:
        changes |= {"signer": delegate_of(pki, **delegate), "signer_key": "responder"}
    url = turn.desk.platform.respond(
        turn.desk.sp_service_id,
        lambda request: ocsp_answer(pki, request, **changes) if body is None else body,
    )
    return holder(turn, points=(), ocsp_url=url, serial=secrets.randbits(100))


def dead_crl(turn: Turn) -> dict[str, Any]:
    """On a host that refuses connections."""
    return holder(turn, points=((f"http://{turn.desk.platform.dead}/crl",),))


def small_key(turn: Turn) -> dict[str, Any]:
    """RSA-1024."""
    pki = turn.desk.platform.pki
    return turn.proof(
        turn.desk.holder(key="weak", key_bits=1024),
        b64(pki.sign(turn.message, "weak", key_bits=1024)),
    )


def pss(turn: Turn) -> str:
    """By the holder's own key, in the other padding."""
    return b64(turn.desk.platform.pki.sign_pss(turn.message))


def earlier_message(turn: Turn) -> bytes:
    """What was signed in the registration."""
    order = next(iter(turn.desk.orders.values()))
    return base64.b64decode(order.body["sign_info"]["sign_data"])


def ticket_of_the_registration(desk: Desk) -> None:
    """The ticket that is given out names an earlier one."""
    first = next(iter(desk.orders.values()))
    desk.ticket_changes = {"sp_ticket_id": first.ticket_id}


def spare_bits(text: str) -> str:
    """Another spelling of the same bytes: the last character has bits that nothing reads."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    return body[:-1] + alphabet[alphabet.index(body[-1]) + 1] + text[len(body) :]


# fmt: off
SIGNATURES: list[Row] = [
    Row(name="signature over other bytes", rule="3", code="upstream_tampered", places=(RR, SR, BR),
        forge=lambda t: t.result(signed_response=t.signature(b"a payment order"))),
    Row(name="signature over our bytes with SHA-512", rule="3", code="upstream_tampered",
        places=(RR,),
        forge=lambda t: t.result(signed_response=t.signature(algorithm=hashes.SHA512()))),
    Row(name="signature over the digest of our bytes", rule="3", code="upstream_tampered",
        places=(RR,), forge=lambda t: t.result(signed_response=t.signature(_sha256(t.message)))),
    Row(name="an earlier transaction's signature, sealed anew", rule="3", code="upstream_tampered",
        places=(SR,),
        forge=lambda t: t.result(signed_response=t.desk.said[0]["result"]["signed_response"])),
    Row(name="ticket that names an earlier one, and its signature", rule="3",
        code="upstream_tampered", places=(SR,), prepare=ticket_of_the_registration,
        forge=lambda t: t.result(signed_response=t.signature(earlier_message(t)))),
    Row(name="signature by another key", rule="3", code="signature_invalid", places=BOTH,
        forge=lambda t: t.result(signed_response=t.signature(key="other"))),
    Row(name="signature of random bytes", rule="3", code="signature_invalid", places=(RR,),
        forge=lambda t: t.result(signed_response=b64(b"\x01" * 256))),
    Row(name="signature in another padding (PSS)", rule="3", code="signature_invalid", places=(RR,),
        forge=lambda t: t.result(signed_response=pss(t))),
    Row(name="signature cut short", rule="3", code="signature_malformed", places=(RR,),
        forge=lambda t: t.result(signed_response=b64(base64.b64decode(t.signature())[:-1]))),
    Row(name="signature with a byte behind", rule="3", code="signature_malformed", places=(RR,),
        forge=lambda t: t.result(signed_response=b64(base64.b64decode(t.signature()) + b"\0"))),
    Row(name="signature empty", rule="3", code="answer_incomplete", places=BOTH,
        forge=lambda t: t.result(signed_response="")),
    Row(name="signature that is no base64", rule="3", code="answer_invalid", places=(RR,),
        forge=lambda t: t.result(signed_response="not base64!")),
    Row(name="signature in hexadecimal with a colon", rule="3", code="answer_invalid", places=(RR,),
        forge=lambda t: t.result(signed_response=base64.b64decode(t.signature()).hex(":"))),
    Row(name="signature with a line end", rule="3", code="answer_invalid", places=(RR,),
        forge=lambda t: t.result(signed_response=t.signature()[:76] + "\n" + t.signature()[76:])),
    Row(name="signature with spare bits", rule="3", code="answer_invalid", places=(RR,),
        forge=lambda t: t.result(signed_response=spare_bits(t.signature()))),
    Row(name="signature of a kilobyte and more", rule="3", code="answer_invalid", places=(RR,),
        forge=lambda t: t.result(signed_response="AAAA" * 400)),
]

CERTIFICATES: list[Row] = [
    Row(name="certificate left out", rule="3", code="answer_incomplete", places=(RR,),
        forge=lambda t: t.result(cert=...)),
    Row(name="certificate as PEM", rule="3", code="answer_invalid", places=(RR,),
        forge=lambda t: t.result(cert=f"-----BEGIN CERTIFICATE-----\n{b64(t.desk.certificate)}")),
    Row(name="certificate as a list", rule="3", code="answer_invalid", places=(RR,),
        forge=lambda t: t.result(cert=[b64(t.desk.certificate)])),
    Row(name="certificate that is no DER", rule="3", code="certificate_malformed", places=(RR,),
        forge=lambda t: t.result(cert=b64(b"certificate"))),
    Row(name="certificate with a byte behind", rule="3", code="certificate_malformed", places=(RR,),
        forge=lambda t: t.proof(t.desk.certificate + b"\0")),
    Row(name="another person's certificate with our holder's signature", rule="3",
        code="signature_invalid", places=(RR,),
        forge=lambda t: t.proof(t.desk.holder(key="other", last_four="0000"))),
    Row(name="another person's certificate and signature", rule="3",
        code="certificate_person_mismatch", places=BOTH,
        forge=lambda t: holder(t, key="other", last_four="0000", common_name="王大明")),
    Row(name="certificate of an unknown authority over the holder's key", rule="3",
        code="certificate_untrusted", places=BOTH,
        forge=lambda t: t.proof(t.desk.holder(stranger(t, marked=True)))),
    Row(name="certificate of an authority of the same name with another key", rule="3",
        code="certificate_untrusted", places=BOTH,
        forge=lambda t: t.proof(t.desk.holder(stranger(t)))),
    Row(name="self-signed certificate", rule="3", code="certificate_untrusted", places=BOTH,
        forge=lambda t: holder(t, self_signed=True)),
    Row(name="certificate changed by a bit in its name", rule="3", code="certificate_untrusted",
        places=(RR,),
        forge=lambda t: t.proof(t.desk.certificate.replace("明".encode(), "朋".encode()))),
    Row(name="certificate with an unknown critical extension", rule="3",
        code="certificate_untrusted", places=(RR,),
        forge=lambda t: holder(t, unknown_critical=True)),
    Row(name="certificate of the authority itself", rule="3", code="signature_malformed",
        places=(RR,), forge=lambda t: t.proof(t.desk.platform.pki.issuer, "AAAA")),
    Row(name="certificate with a key of 1024 bits", rule="3", code="certificate_profile",
        places=(RR,), forge=small_key),
    Row(name="certificate of an organisation", rule="3", code="certificate_profile", places=(RR,),
        forge=lambda t: holder(t, holder_type="2.16.886.1.100.3.2.1")),
    Row(name="certificate for encipherment", rule="3", code="certificate_usage", places=BOTH,
        forge=lambda t: holder(t, signing=False)),
    Row(name="certificate whose key usage is not critical", rule="3", code="certificate_usage",
        places=(RR,), forge=lambda t: holder(t, usage_critical=False)),
    Row(name="certificate that may sign certificates", rule="3", code="certificate_usage",
        places=(RR,), forge=lambda t: holder(t, authority=True)),
    Row(name="certificate of another policy", rule="3", code="certificate_policy", places=BOTH,
        forge=lambda t: holder(t, policy="2.16.886.101.0.3.1")),
    Row(name="certificate without a policy", rule="3", code="certificate_policy", places=(RR,),
        forge=lambda t: holder(t, policy=None)),
    Row(name="certificate that has run out", rule="3", code="certificate_expired", places=BOTH,
        who="holder", forge=lambda t: holder(t, valid=(-400, -1))),
    Row(name="certificate that is not valid yet", rule="3", code="certificate_not_yet_valid",
        places=BOTH, forge=lambda t: holder(t, valid=(1, 300))),
    Row(name="certificate with other last four", rule="3", code="certificate_person_mismatch",
        places=BOTH, forge=lambda t: holder(t, last_four="0000")),
    Row(name="certificate with last four in full-width digits", rule="3",
        code="certificate_person_mismatch", places=(RR,),
        forge=lambda t: holder(t, last_four=_wide(t.desk.id_number[-4:]))),
    Row(name="certificate without last four", rule="3", code="certificate_person_missing",
        places=BOTH, forge=lambda t: holder(t, last_four=None)),
    Row(name="certificate of another name than the user's", rule="7", code="name_mismatch",
        places=(RR,), who="holder", user_name="王大明", forge=lambda t: t.honest()),
    Row(name="certificate of another person with the same last four", rule="7",
        code="name_mismatch", places=(RR,), who="holder", user_name="王小明",
        forge=lambda t: holder(t, key="other", common_name="王大明")),
    Row(name="another person with the same last four and name", rule="7",
        code="certificate_changed", places=(SR, BR), who="holder",
        forge=lambda t: holder(t, key="other", card_number="1061720472004810")),
    Row(name="renewed certificate over the registered key", rule="7", code="certificate_changed",
        places=(SR, BR), who="holder", forge=lambda t: holder(t, serial=SERIAL)),
    Row(name="renewed certificate over a new key", rule="7", code="certificate_changed",
        places=(SR, BR), who="holder", forge=lambda t: holder(t, serial=SERIAL, key="other")),
]

REVOCATION: list[Row] = [
    Row(name="certificate that is revoked", rule="6", code="certificate_revoked", places=(RR,),
        who="holder", forge=lambda t: with_crl(t, "revoked", revoked=(SERIAL,))),
    Row(name="CRL on a host that does not answer", rule="6", code="revocation_unknown",
        places=(RR,), forge=dead_crl),
    Row(name="CRL on a host that is not ours to ask", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: holder(t, points=(("http://attacker.test/crl",),))),
    Row(name="CRL that is not there", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: holder(t, points=((f"{t.desk.platform.url}/crl/none",),))),
    Row(name="certificate without a CRL address", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: holder(t, points=())),
    Row(name="CRL that is a web page", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "page", body=b"<html>")),
    Row(name="CRL by another key", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "forged", signer="other")),
    Row(name="CRL of another authority", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "root", by_root=True)),
    Row(name="CRL that has run out", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "old", days=(-9, -1))),
    Row(name="CRL from the future", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "future", days=(1, 7))),
    Row(name="CRL of another distribution point", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: with_crl(t, "point", url="http://crl.test/other.crl")),
    Row(name="CRL for authorities only", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "scope", scope=issuing_point(only_contains_ca_certs=True))),
    Row(name="CRL without a number", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "number", number=None)),
    Row(name="delta CRL", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "delta", extra=x509.DeltaCRLIndicator(1))),
    Row(name="indirect CRL", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_crl(t, "indirect", scope=issuing_point(indirect_crl=True))),
    Row(name="certificate that OCSP knows as revoked", rule="6", code="certificate_revoked",
        places=(RR,), who="holder", forge=lambda t: with_ocsp(t, status="revoked")),
    Row(name="certificate that OCSP does not know", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: with_ocsp(t, status="unknown")),
    Row(name="OCSP on a host that is not ours to ask", rule="6", code="revocation_unknown",
        places=(RR,),
        forge=lambda t: holder(t, points=(), ocsp_url="http://attacker.test/ocsp")),
    Row(name="OCSP answer that is a web page", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_ocsp(t, body=b"<html>")),
    Row(name="OCSP answer by another key", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_ocsp(t, signer_key="other")),
    Row(name="OCSP answer about another certificate", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: with_ocsp(t, serial=SERIAL + 1)),
    Row(name="OCSP answer that says two things", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: with_ocsp(t, status="revoked", parts=2)),
    Row(name="OCSP answer without our nonce", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_ocsp(t, nonce=None)),
    Row(name="OCSP answer with another nonce", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_ocsp(t, nonce=b"m" * 32)),
    Row(name="OCSP answer that has run out", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_ocsp(t, this=-2, until=-1)),
    Row(name="OCSP answer from the future", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_ocsp(t, this=1, until=2)),
    Row(name="OCSP answer signed with SHA-1", rule="6", code="revocation_unknown", places=(RR,),
        forge=lambda t: with_ocsp(t, algorithm="sha1")),
    Row(name="OCSP responder of another authority", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: with_ocsp(t, delegate={"by": "other"})),
    Row(name="OCSP responder without that purpose", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: with_ocsp(t, delegate={"purpose": None})),
    Row(name="OCSP responder that has run out", rule="6", code="revocation_unknown",
        places=(RR,), forge=lambda t: with_ocsp(t, delegate={"valid": (-400, -1)})),
    Row(name="OCSP responder that nobody says need not be asked about", rule="6",
        code="revocation_unknown", places=(RR,),
        forge=lambda t: with_ocsp(t, delegate={"no_check": False})),
]
# fmt: on

ROWS = [*SIGNATURES, *CERTIFICATES, *REVOCATION]


def _sha256(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()


def _wide(digits: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) for c in digits)
