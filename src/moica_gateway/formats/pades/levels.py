"""From B-B upwards, for the last signature of a PDF (ETSI EN 319 142-1, 6.2 and 6.3).

B-T puts a timestamp over the signature's value among the CMS's unsigned attributes, into the room
that was kept for it; what is signed does not change. B-LT appends the validation material as
document security store, B-LTA a timestamp over the whole document. A B-LTA gets both again.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any, Final

from asn1crypto import cms, crl, ocsp, x509
from pyhanko.sign.ades import cades_asn1
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers import PdfTimeStamper
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from moica_gateway.domain.readings import ValidationMaterial
from moica_gateway.errors import GatewayError, error
from moica_gateway.formats.pades.opening import open_for_reading, open_for_signing, readable
from moica_gateway.formats.pades.reading import level_of, timestamp_token
from moica_gateway.ports import Timestamper

__all__ = ["LEVELS", "raise_level"]

_CADES_ATTRIBUTES: Final = cades_asn1  # imported for what it registers
LEVELS: Final = ("B-B", "B-T", "B-LT", "B-LTA")
_RESERVED: Final = 32_768
_WHO: Final = "the operator keeps the artifact at the level that it has"


class _Ours(TimeStamper):
    """pyHanko's timestamper by way of the port."""

    def __init__(self, timestamper: Timestamper) -> None:
        super().__init__(include_nonce=False)  # type: ignore[no-untyped-call]  # typed in part
        self._timestamper = timestamper

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """A token over a SHA-256 digest."""
        if md_algorithm != "sha256":
            raise error("internal_error", f"expected SHA-256, came {md_algorithm}")
        return cms.ContentInfo.load(await self._timestamper.timestamp(message_digest))

    async def async_request_tsa_response(self, req: Any) -> Any:
        """Never: whole tokens come from the port."""
        del req
        raise error("internal_error", "expected a token to be asked for, not a response")


async def raise_level(
    artifact: bytes, level: str, timestamper: Timestamper, material: ValidationMaterial
) -> bytes:
    """See the port."""
    if level not in LEVELS[1:]:
        raise _unreachable(f"expected one of {', '.join(LEVELS[1:])}, came another level")
    data = await _with_timestamp(artifact, timestamper)
    if level == "B-T":
        return data
    data = _with_material(data, material)
    if level == "B-LT":
        return data
    return await _with_archive_timestamp(data, timestamper)


def _last(data: bytes) -> tuple[EmbeddedPdfSignature, bool]:
    """The last signature, and whether anything else was signed behind it."""
    reader = open_for_reading(data)
    signatures = reader.embedded_signatures
    regular = reader.embedded_regular_signatures
    if not regular:
        raise _unreachable("expected a signed PDF, it has no signature")
    return regular[-1], signatures[-1] is not regular[-1]


async def _with_timestamp(data: bytes, timestamper: Timestamper) -> bytes:
    with readable("level_unreachable", _WHO):
        signature, followed = _last(data)
        if timestamp_token(signature) is not None:
            return data
        if followed:
            raise _unreachable(
                "expected nothing signed behind the signature, a document timestamp covers it as "
                "it is"
            )
        value = signature.signer_info["signature"].native
    token = await timestamper.timestamp(hashlib.sha256(value).digest())
    with readable("level_unreachable", _WHO):
        info = cms.ContentInfo.load(bytes(signature.pkcs7_content))
        _add_token(info["content"]["signer_infos"][0], token)
        content = info.dump()
        _, start, end, _ = (int(n) for n in signature.byte_range)
        room = end - start - 2
        if 2 * len(content) > room:
            raise _unreachable(
                f"expected room for {2 * len(content)} digits, the signature kept {room}"
            )
        digits = content.hex().upper().encode().ljust(room, b"0")
        return bytes(data[: start + 1] + digits + data[end - 1 :])


def _add_token(signer: Any, token: bytes) -> None:
    attribute = cms.CMSAttribute(
        {"type": "signature_time_stamp_token", "values": [cms.ContentInfo.load(token)]}
    )
    others = list(signer["unsigned_attrs"]) if signer["unsigned_attrs"].native else []
    signer["unsigned_attrs"] = cms.CMSAttributes([*others, attribute])


def _with_material(data: bytes, material: ValidationMaterial) -> bytes:
    if not material.certificates or not (material.revocation_lists or material.status_answers):
        raise _unreachable("expected certificates and revocation material, came none")
    with readable("level_unreachable", _WHO):
        signature, _ = _last(data)
        writer = open_for_signing(data)
        DocumentSecurityStore.supply_dss_in_writer(
            writer,
            signature.pkcs7_content.hex().upper().encode(),
            certs=[x509.Certificate.load(c, strict=True) for c in material.certificates],
            ocsps=[ocsp.OCSPResponse.load(o, strict=True) for o in material.status_answers],
            crls=[crl.CertificateList.load(c, strict=True) for c in material.revocation_lists],
        )
        output = io.BytesIO()
        writer.write(output)  # type: ignore[no-untyped-call]  # typed in part
        return output.getvalue()


async def _with_archive_timestamp(data: bytes, timestamper: Timestamper) -> bytes:
    with readable("level_unreachable", _WHO):
        before = len(open_for_reading(data).embedded_timestamp_signatures)
        writer = open_for_signing(data)
        stamper = PdfTimeStamper(_Ours(timestamper), field_name=f"MOICA-TS-{before + 1}")
        try:
            output = await stamper.async_timestamp_pdf(writer, "sha256", bytes_reserved=_RESERVED)
        except SigningError as e:
            raise _unreachable("expected a token that fits, it did not") from e
        raised = bytes(output.getvalue())
        if level_of(open_for_reading(raised)) != "B-LTA":
            raise _unreachable("expected B-LTA, something is missing from the artifact")
        return raised


def _unreachable(detail: str) -> GatewayError:
    return error("level_unreachable", f"{detail}; {_WHO}")
