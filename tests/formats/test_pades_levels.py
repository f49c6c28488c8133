"""PAdES above B-B: timestamp, validation material, archive timestamp; pyHanko's AdES judge."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed, AdESStatus
from pyhanko.sign.validation import KeyUsageConstraints
from pyhanko.sign.validation.ades import (
    ades_lta_validation,
)
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.context import CertValidationPolicySpec, ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    REQUIRE_REVINFO,
    CertRevTrustPolicy,
)
from pyhanko_certvalidator.registry import SimpleTrustManager

from moica_gateway.app import SystemClock
from moica_gateway.domain.readings import GivenContent, ValidationMaterial
from moica_gateway.errors import GatewayError, error
from moica_gateway.formats import PadesFormat, formats_by_name, readers_by_name
from moica_gateway.formats.isolation import IsolatedWorkshop
from tests.formats.pdf_making import (
    CONTEXT,
    PKI,
    PLAIN,
    Tsa,
    document,
    pdfsig,
    pyhanko_statuses,
    qpdf_accepts,
    read,
    sign,
    tsa_certificate,
)

MATERIAL = ValidationMaterial(
    certificates=(PKI.holder(), tsa_certificate(), PKI.issuer, PKI.root),
    revocation_lists=(PKI.crl(), PKI.root_crl()),
)
NONE = ValidationMaterial()
SIGNED = sign()


async def raised(level: str, data: bytes = SIGNED, tsa: Tsa | None = None) -> bytes:
    """By the format itself."""
    return await PadesFormat().raise_level(data, level, tsa or Tsa(), MATERIAL)


def spec() -> SignatureValidationSpec:
    """Our root, everything required, nothing fetched."""
    return SignatureValidationSpec(
        cert_validation_policy=CertValidationPolicySpec(
            trust_manager=SimpleTrustManager.build(
                [CertTrustAnchor(x509.Certificate.load(PKI.root))]
            ),
            revinfo_policy=CertRevTrustPolicy(revocation_checking_policy=REQUIRE_REVINFO),
        ),
        revinfo_gathering_policy=RevocationInfoGatheringSpec(
            online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY
        ),
        local_knowledge=LocalKnowledge(),
        key_usage_settings=KeyUsageConstraints(key_usage={"digital_signature"}),
    )


async def test_b_t_keeps_what_was_signed_byte_for_byte(tmp_path: Path) -> None:
    """The token goes into the room beside the value; all judges content."""
    tsa = Tsa()
    stamped = await raised("B-T", tsa=tsa)
    (before,), (after,) = read(SIGNED), read(stamped)
    assert tsa.asked == [hashlib.sha256(before.signature).digest()]
    assert len(stamped) == len(SIGNED)
    assert (after.message, after.signature, after.problems) == (
        before.message,
        before.signature,
        (),
    )
    assert (before.level, after.level) == ("B-B", "B-T")
    (timestamp,) = after.timestamps
    assert timestamp.covers == before.signature
    assert not timestamp.archive
    assert qpdf_accepts(tmp_path, stamped)
    (found,) = pdfsig(tmp_path, stamped)
    assert found["Signature Validation"] == "Signature is Valid."
    (status,) = await pyhanko_statuses(stamped)
    assert status.bottom_line
    assert status.timestamp_validity is not None
    assert status.timestamp_validity.valid


async def test_a_timestamp_is_asked_for_once() -> None:
    """Raising again keeps the token that is there."""
    tsa = Tsa()
    once = await raised("B-T", tsa=tsa)
    assert await raised("B-T", once, tsa) == once
    assert len(tsa.asked) == 1


async def test_b_lt_appends_what_a_verifier_needs(tmp_path: Path) -> None:
    """Certificates and lists, as an update that the reader allows."""
    long_term = await raised("B-LT")
    (found,) = read(long_term)
    assert found.level == "B-LT"
    assert found.problems == ()
    assert set(found.revocation_lists) == set(MATERIAL.revocation_lists)
    assert long_term.startswith(PLAIN)
    assert qpdf_accepts(tmp_path, long_term)
    (status,) = await pyhanko_statuses(long_term)
    assert status.bottom_line


async def test_b_lta_passes_the_ades_judge_years_later(tmp_path: Path) -> None:
    """pyHanko's validator finds all that it needs inside; a tampered one fails it."""
    archived = await raised("B-LTA")
    (found,) = read(archived)
    assert found.level == "B-LTA"
    assert found.problems == ()
    own, archive = found.timestamps
    assert (own.archive, archive.archive) == (False, True)
    assert len(archive.covers) > len(SIGNED) - 33_000
    assert qpdf_accepts(tmp_path, archived)
    assert await _verdict(archived) is AdESPassed.OK
    tampered = archived.replace(b"(Hello) Tj", b"(Hullo) Tj")
    with_other_text = await _verdict(tampered)
    assert with_other_text.status is AdESStatus.FAILED


async def _verdict(data: bytes) -> object:
    reader = PdfFileReader(io.BytesIO(data))
    result = await ades_lta_validation(
        reader.embedded_regular_signatures[0],
        PdfSignatureValidationSpec(spec()),
        **_moment(),
    )
    return result.ades_subindic


def _moment() -> dict[str, object]:
    at = PKI.at + timedelta(hours=1)
    return {
        "timing_info": ValidationTimingInfo(
            validation_time=at, best_signature_time=at, point_in_time_validation=True
        )
    }


async def test_a_further_archive_timestamp_goes_on_top() -> None:
    """A B-LTA that is given gets another one; the first stays."""
    once = await raised("B-LTA")
    twice = await raised("B-LTA", once)
    (found,) = read(twice)
    assert [t.archive for t in found.timestamps] == [False, True, True]
    assert found.problems == ()
    assert twice.startswith(once)


async def test_a_second_signer_after_an_archived_first() -> None:
    """Both are read, each with what stands behind it."""
    both = sign(await raised("B-LTA"))
    first, second = read(both)
    assert (first.problems, second.problems) == ((), ())
    assert (first.level, second.level) == ("B-LTA", "B-B")
    assert second.timestamps == ()


@pytest.mark.parametrize(
    ("data", "level", "material", "code"),
    [
        (SIGNED, "B-B", MATERIAL, "level_unreachable"),
        (SIGNED, "B-X", MATERIAL, "level_unreachable"),
        (SIGNED, "B-LT", NONE, "level_unreachable"),
        (
            SIGNED,
            "B-LT",
            ValidationMaterial(certificates=(b"x",), revocation_lists=(b"y",)),
            "level_unreachable",
        ),
        (PLAIN, "B-T", MATERIAL, "level_unreachable"),
        (b"no PDF", "B-T", MATERIAL, "level_unreachable"),
    ],
)
async def test_what_cannot_be_raised_is_said(
    data: bytes, level: str, material: ValidationMaterial, code: str
) -> None:
    """With nothing foreign."""
    with pytest.raises(GatewayError) as caught:
        await PadesFormat().raise_level(data, level, Tsa(), material)
    assert caught.value.code == code


async def test_a_silent_authority_is_told_as_such() -> None:
    """Its own error."""

    class Silent:
        async def timestamp(self, digest: bytes) -> bytes:
            raise error("timestamp_unavailable", "no answer")

    for level, data in (("B-T", SIGNED), ("B-LTA", await raised("B-LT"))):
        with pytest.raises(GatewayError) as caught:
            await PadesFormat().raise_level(data, level, Silent(), MATERIAL)
        assert caught.value.code == "timestamp_unavailable"


async def test_a_token_that_is_none_or_too_large_is_refused() -> None:
    """The room was laid out when it was signed."""

    class Odd:
        def __init__(self, token: bytes) -> None:
            self.token = token

        async def timestamp(self, digest: bytes) -> bytes:
            return self.token

    good = await Tsa().timestamp(bytes(32))
    large = cms.ContentInfo.load(good)
    for _ in range(40):
        large["content"]["certificates"].append(large["content"]["certificates"][0].copy())
    for token in (b"x", large.dump(force=True)):
        with pytest.raises(GatewayError) as caught:
            await PadesFormat().raise_level(SIGNED, "B-T", Odd(token), MATERIAL)
        assert caught.value.code == "level_unreachable"


@pytest.fixture
async def workshop() -> AsyncIterator[IsolatedWorkshop]:
    """As the gateway has it."""
    made = IsolatedWorkshop(formats_by_name(), readers_by_name(), SystemClock())
    yield made
    await made.close()


async def test_all_of_it_in_a_worker_process(workshop: IsolatedWorkshop) -> None:
    """Prepared, finished, raised and read where it can be killed; the authority is asked here."""
    prepared = await workshop.prepare("pades", document(PLAIN), PLAIN, CONTEXT)
    value = PKI.sign(prepared.message.message)
    artifact = await workshop.finish("pades", prepared, value, CONTEXT)
    tsa = Tsa()
    archived = await workshop.raise_level("pades", artifact.data, "B-LTA", tsa, MATERIAL)
    assert len(tsa.asked) == 2
    (found,) = await workshop.read("pades", archived, GivenContent())
    assert (found.level, found.problems) == ("B-LTA", ())
    assert found == read(archived)[0]
