"""What may stand behind a signature: further signatures, timestamps and validation material.

The allow-list is pyHanko's difference analysis without its rule for form fields: what is filled in
later was not seen by whoever signed. New visible fields are not on it either, once the document is
certified: they can cover what was signed. A changed ``/Info`` (title, author) is let pass: it is
shown beside the document, never in it.
"""

from __future__ import annotations

from typing import Final

from pyhanko.sign.diff_analysis import (
    CatalogModificationRule,
    DiffResult,
    DocInfoRule,
    DSSCompareRule,
    FormUpdatingRule,
    MetadataUpdateRule,
    ModificationLevel,
    ObjectStreamRule,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    XrefStreamRule,
)
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

__all__ = ["faults_of"]

_LTA: Final = ModificationLevel.LTA_UPDATES
_ALLOWED: Final = StandardDiffPolicy(
    global_rules=[
        CatalogModificationRule(),
        DocInfoRule().as_qualified(_LTA),
        XrefStreamRule().as_qualified(_LTA),
        ObjectStreamRule().as_qualified(_LTA),
        DSSCompareRule().as_qualified(_LTA),
        MetadataUpdateRule().as_qualified(_LTA),
    ],
    form_rule=FormUpdatingRule(field_rules=[SigFieldCreationRule(), SigFieldModificationRule()]),
)
_LONGEST: Final = 200


def faults_of(signature: EmbeddedPdfSignature) -> tuple[str, ...]:
    """What is wrong with the way it hangs together with the document, in words; the value itself
    is not verified here. Raises what the library raises."""
    signature.compute_integrity_info(diff_policy=_ALLOWED)
    faults = []
    digest = signature.compute_digest()
    # Without signed attributes the value itself stands over the bytes (RFC 5652, 5.4).
    attributes = signature.signer_info["signed_attrs"].native is not None
    if attributes and _signed_digest(signature) != digest:
        faults.append("the digest inside the signature is not that of the bytes it names")
    coverage = signature.coverage
    if coverage not in (
        SignatureCoverageLevel.ENTIRE_FILE,
        SignatureCoverageLevel.ENTIRE_REVISION,
    ):
        faults.append("it covers only a part of the revision that it was made for")
    changes = signature.diff_result
    if isinstance(changes, DiffResult):
        permitted = signature.docmdp_level
        level = changes.modification_level
        if level is ModificationLevel.OTHER or (
            permitted is not None and level.value > permitted.value
        ):
            faults.append("the document was changed afterwards more than it permits")
    elif changes is not None:
        faults.append(f"the document was changed afterwards: {_short(str(changes))}")
    return tuple(faults)


def _signed_digest(signature: EmbeddedPdfSignature) -> bytes | None:
    """Of the content, where it stands inside what is signed."""
    content = signature.signed_data["encap_content_info"]
    if content["content_type"].native == "tst_info":
        return bytes(content["content"].parsed["message_imprint"]["hashed_message"].native)
    for attribute in signature.signer_info["signed_attrs"]:
        if attribute["type"].native == "message_digest":
            return bytes(attribute["values"][0].native)
    return None


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
