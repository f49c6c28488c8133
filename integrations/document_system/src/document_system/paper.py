"""What of a document is frozen and signed: one text, made from the draft alone.

The same draft, attachments, signer and earlier signatures give the same bytes, so that starting
over after 逾時 signs the same version again. No clock and no random value stands in it.

Attachments are not in it: their names, types, sizes and SHA-256 are, so that the signature covers
what they contain. What users have written stands behind a label or is indented; a line that
begins with 附件 is therefore ours, and `attachments_of` can believe it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from typing import Final, Literal

from attrs import frozen

from document_system.models import Attachment, Behalf, Document, Signature, User
from document_system.roc import roc_date, roc_time

__all__ = ["MEDIA_TYPE", "Covered", "State", "attachments_of", "check", "content_of"]

MEDIA_TYPE: Final = "text/plain"

_KINDS: Final = {"own": "附件", "incoming": "來文附件"}
_LINE: Final = re.compile(r"(附件|來文附件) [0-9]+：(.+)　([!-~]+)　([0-9]+) 位元組")
_DIGEST: Final = re.compile(r"SHA-256：([0-9a-f]{64})")

State = Literal["same", "replaced", "changed"]
"""``same``: it is there as it was signed. ``replaced``: the document has another one now, and what
was signed is kept. ``changed``: nothing that is kept is what was signed."""


@frozen(kw_only=True)
class Covered:
    """An attachment as the signed text names it."""

    kind: Literal["own", "incoming"]
    name: str
    media_type: str
    size: int
    sha256: str


def content_of(
    document: Document,
    signer: User,
    earlier: Sequence[Signature],
    attachments: Sequence[Attachment] = (),
    behalf: Behalf | None = None,
) -> bytes:
    """The text that ``signer`` signs, as UTF-8 with LF.

    Args:
        document: The draft as it stands.
        signer: Who has placed the seal.
        earlier: The signatures of those before in the route; they become part of what is signed.
        attachments: Those that are there now; digests are of the bytes, whatever a column says.
        behalf: For whom, where the signer stands in.
    """
    holder = document.holder
    who = f"{signer.unit} {signer.title} {signer.name}"
    lines = [
        "公文線上簽核",
        f"公文文號：{document.number}",
        f"主旨：{document.subject}",
        f"來文機關：{document.from_agency}",
        f"收創時間：{roc_time(document.received_at)}",
        f"限辦日期：{roc_date(document.due_at)}",
        "",
        "說明：",
        *(f"　　{line}" if line else "" for line in document.body.splitlines()),
        "",
        f"附件與來文附件：{len(attachments)} 件",
        *(
            line
            for at, one in enumerate(attachments, 1)
            for line in (
                f"{_KINDS[one.kind]} {at}：{one.name}　{one.media_type}　{len(one.content)} 位元組",
                f"SHA-256：{hashlib.sha256(one.content).hexdigest()}",
            )
        ),
        "",
        "簽核流程：",
        *(
            f"{step.position + 1}. {step.role} {step.user.unit} {step.user.title} {step.user.name}"
            for step in document.route
        ),
        "",
        *(
            f"前手簽章：版本 {one.version}　{one.signer_name}　憑證序號 {one.serial_number}　"
            f"{roc_time(one.signed_at)}　簽章檔 SHA-256 {hashlib.sha256(one.artifact).hexdigest()}"
            for one in earlier
        ),
        f"加簽人員：{holder.role if holder else ''} {who}",
    ]
    if behalf is not None:
        stood_in_for = f"{behalf.user.unit} {behalf.user.title} {behalf.user.name}"
        lines += [f"代理：代 {stood_in_for}", f"代理事由：{behalf.reason}"]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def attachments_of(content: bytes) -> tuple[Covered, ...]:
    """What a signed text says of attachments.

    Args:
        content: Of a frozen version.
    """
    lines = content.decode("utf-8", "replace").split("\n")
    found: list[Covered] = []
    for line, following in itertools.pairwise(lines):
        named, digest = _LINE.fullmatch(line), _DIGEST.fullmatch(following)
        if named is not None and digest is not None:
            found.append(
                Covered(
                    kind="own" if named[1] == "附件" else "incoming",
                    name=named[2],
                    media_type=named[3],
                    size=int(named[4]),
                    sha256=digest[1],
                )
            )
    return tuple(found)


def check(covered: Covered, kept: Sequence[Attachment]) -> tuple[State, Attachment | None]:
    """Whether an attachment is still what was signed, by its bytes alone.

    Args:
        covered: From the signed text.
        kept: All of that document, also those that were taken off.

    Returns:
        The state, and the file that was signed where it is still kept.
    """
    matching = [
        one
        for one in kept
        if (one.kind, one.name) == (covered.kind, covered.name)
        and hashlib.sha256(one.content).hexdigest() == covered.sha256
    ]
    for one in matching:
        if one.removed_at is None:
            return "same", one
    return ("replaced", matching[0]) if matching else ("changed", None)
