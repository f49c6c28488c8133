"""Several signers of one file: what a completed transaction signed is signed once more.

The content is that transaction's artifact as it lies in the store, so that nobody hands in another
file under its name. Two transactions that append to the same one make two files; which of them goes
on is the document system's to say.
"""

from __future__ import annotations

import hashlib
from typing import Final

from moica_gateway.domain.models import Kind, Status, Transaction
from moica_gateway.domain.values import TransactionId
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.commands import Caller, NewDocument, NewSignature
from moica_gateway.services.context import Context

__all__ = ["APPENDING", "previous_content"]

APPENDING: Final = frozenset({"pades"})
"""Formats whose artifact takes a further signature."""


async def previous_content(
    context: Context, caller: Caller, new: NewSignature, format_name: str
) -> bytes:
    """The artifact that ``new.previous`` names.

    Raises:
        RequestError: ``not_found`` (also for another tenant's), ``not_acceptable_yet`` while it is
            pending, ``document_digest_mismatch``, ``request_invalid``.
    """
    previous = new.previous or TransactionId("")
    if format_name not in APPENDING:
        raise _invalid(
            f"expected none with `{format_name}`, only {', '.join(sorted(APPENDING))} appends to "
            "an earlier signature"
        )
    if len(new.documents) != 1:
        raise _invalid("expected it with one document, came several")
    asked = new.documents[0]
    if asked.content is not None:
        raise _invalid("expected it without `content_base64`, the content is what was signed")

    def read(uow: UnitOfWork) -> bytes:
        transaction = uow.transaction(caller.tenant, previous)
        if transaction is None:
            raise _not_found("a transaction of this tenant, came another")
        _fits(transaction, format_name)
        blob_id = transaction.documents[0].artifact
        try:
            if blob_id is not None:
                return uow.blobs.get(caller.tenant, blob_id)
        except KeyError:
            pass
        raise _not_found("a transaction whose artifact is still kept, it has been deleted")

    content = await context.store.read(read)
    _same(asked, content)
    return content


def _fits(transaction: Transaction, format_name: str) -> None:
    if transaction.kind is not Kind.SIGNATURE:
        raise _invalid(f"expected a signature, came a {transaction.kind.value}")
    if transaction.status is Status.PENDING:
        raise error(
            "not_acceptable_yet",
            "`previous`: expected a completed transaction, it is pending; the integrator waits for "
            "its end",
            member="previous",
        )
    if transaction.status is not Status.COMPLETED:
        raise _invalid(f"expected a completed transaction, it ended as {transaction.status.value}")
    if transaction.format != format_name:
        raise _invalid(
            f"expected a transaction of the same format (`{format_name}`), it was signed as "
            f"`{transaction.format}`"
        )
    if len(transaction.documents) != 1:
        raise _invalid("expected a transaction over one document, it has several")


def _same(asked: NewDocument, content: bytes) -> None:
    if asked.sha256 is not None and asked.sha256 != hashlib.sha256(content).hexdigest():
        raise error(
            "document_digest_mismatch",
            "expected `sha256` to be the digest of the signed file that `previous` names, it is "
            "another's; the integrator fetches the artifact again, or leaves `sha256` out",
            member="document.sha256",
        )


def _invalid(detail: str) -> GatewayError:
    return error(
        "request_invalid", f"`previous`: {detail}; the integrator corrects it", member="previous"
    )


def _not_found(expected: str) -> GatewayError:
    return error("not_found", f"`previous`: expected {expected}", member="previous")
