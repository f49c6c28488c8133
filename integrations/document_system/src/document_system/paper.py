"""What of a document is frozen and signed: one text, made from the draft alone.

The same draft, signer and earlier signatures give the same bytes, so that starting over after
逾時 signs the same version again. No clock and no random value stands in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from document_system.models import Document, Signature, User
from document_system.roc import roc_date, roc_time

__all__ = ["MEDIA_TYPE", "content_of"]

MEDIA_TYPE: Final = "text/plain"


def content_of(document: Document, signer: User, earlier: Sequence[Signature]) -> bytes:
    """The text that ``signer`` signs, as UTF-8 with LF.

    Args:
        document: The draft as it stands.
        signer: Who has placed the seal.
        earlier: The signatures of those before in the route; they become part of what is signed.
    """
    holder = document.holder
    lines = [
        "公文線上簽核",
        f"公文文號：{document.number}",
        f"主旨：{document.subject}",
        f"來文機關：{document.from_agency}",
        f"收創時間：{roc_time(document.received_at)}",
        f"限辦日期：{roc_date(document.due_at)}",
        "",
        "說明：",
        *document.body.splitlines(),
        "",
        "簽核流程：",
        *(
            f"{step.position + 1}. {step.role} {step.user.unit} {step.user.title} {step.user.name}"
            for step in document.route
        ),
        "",
        *(
            f"前手簽章：版本 {one.version}　{one.signer_name}　憑證序號 {one.serial_number}　"
            f"{roc_time(one.signed_at)}"
            for one in earlier
        ),
        f"加簽人員：{holder.role if holder else ''} {signer.unit} {signer.title} {signer.name}",
    ]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")
