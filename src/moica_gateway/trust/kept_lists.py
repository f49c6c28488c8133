"""Where believed CRLs outlive the process: the store, and what an operator imports into it.

A list is read again under its issuer's signature whenever it comes back from there, so that the
database is believed for nothing: what does not verify is removed. What it cannot be kept from is
losing a list, or holding an older one than was known; a running process still knows better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from moica_gateway.domain.revocation_lists import ListHead
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import Store
from moica_gateway.trust.crl import Crl, CrlRefusedError, read_crl

__all__ = [
    "GivenLists",
    "HeldLists",
    "ImportedList",
    "KeptLists",
    "authorities_by_id",
    "head_of",
    "import_list",
    "issuer_id",
]


def issuer_id(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def authorities_by_id(certificates: Iterable[bytes]) -> Mapping[str, x509.Certificate]:
    """Of DER certificates that were loaded before."""
    parsed = (x509.load_der_x509_certificate(der) for der in certificates)
    return {issuer_id(certificate): certificate for certificate in parsed}


def head_of(issuer: str, crl: Crl) -> ListHead:
    """What is stored beside the bytes."""
    return ListHead(
        issuer=issuer,
        scope=crl.scopes[0],
        number=crl.number,
        this_update=crl.this_update,
        next_update=crl.next_update,
    )


class HeldLists(Protocol):
    """Where a `CrlStore` finds lists that it has not asked for itself."""

    async def heads(self) -> Sequence[ListHead]:
        """Of all."""

    async def body(self, head: ListHead) -> bytes | None:
        """The bytes of one; None where it is gone meanwhile."""

    async def keep(self, head: ListHead, body: bytes) -> bool:
        """False where a newer one is kept already."""

    async def forget(self, head: ListHead) -> None:
        """That does not verify."""


class GivenLists:
    """Implements `HeldLists` with nothing but the lists that somebody handed over."""

    def __init__(
        self, bodies: Iterable[bytes], authorities: Mapping[str, x509.Certificate]
    ) -> None:
        """``bodies``: DER or PEM; what none of the ``authorities`` signed is left out."""
        self._bodies: dict[ListHead, bytes] = {}
        for body in bodies:
            for id_, authority in authorities.items():
                with suppress(CrlRefusedError):
                    self._bodies[head_of(id_, read_crl(body, authority))] = body

    async def heads(self) -> Sequence[ListHead]:
        """See the protocol."""
        return tuple(self._bodies)

    async def body(self, head: ListHead) -> bytes | None:
        """See the protocol."""
        return self._bodies.get(head)

    async def keep(self, head: ListHead, body: bytes) -> bool:
        """See the protocol."""
        self._bodies[head] = body
        return True

    async def forget(self, head: ListHead) -> None:
        """See the protocol."""
        self._bodies.pop(head, None)


class KeptLists:
    """Implements `HeldLists` with lists in the store. Raises what the store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def heads(self) -> Sequence[ListHead]:
        """Of all."""
        return await self._store.read(lambda uow: uow.revocation_lists())

    async def body(self, head: ListHead) -> bytes | None:
        """The bytes of one; None where it is gone meanwhile."""
        return await self._store.read(lambda uow: uow.revocation_list(head.issuer, head.scope))

    async def keep(self, head: ListHead, body: bytes) -> bool:
        """False where a newer one is kept already."""
        return await self._store.write(lambda uow: uow.save_revocation_list(head, body))

    async def forget(self, head: ListHead) -> None:
        """That does not verify."""
        await self._store.write(lambda uow: uow.delete_revocation_list(head.issuer, head.scope))


@frozen(kw_only=True)
class ImportedList:
    """What `import_list` took in."""

    crl: Crl
    issuer: x509.Certificate = field(repr=False)


async def import_list(
    body: bytes, authorities: Mapping[str, x509.Certificate], kept: KeptLists, now: datetime
) -> ImportedList:
    """Check a CRL under the configured authorities, and keep it for the running gateways.

    Args:
        body: DER or PEM.
        authorities: See `authorities_by_id`.
        kept: Where it goes.
        now: For its times.

    Raises:
        ConfigurationError: ``configuration_invalid``, saying what came instead.
    """
    reasons: list[str] = []
    for id_, authority in authorities.items():
        try:
            crl = await asyncio.to_thread(read_crl, body, authority)
            crl.check_times(now)
        except CrlRefusedError as e:
            reasons.append(str(e))
            continue
        if not await kept.keep(head_of(id_, crl), body):
            raise _refused("a CRL that is older than one that is known")
        return ImportedList(crl=crl, issuer=authority)
    # What another authority's list is to each of the others says nothing.
    telling = [reason for reason in reasons if reason != "a CRL of another issuer"]
    raise _refused("; ".join(dict.fromkeys(telling)) or "a CRL of no configured authority")


def _refused(came: str) -> GatewayError:
    return error(
        "configuration_invalid",
        f"expected a current CRL of an authority in trust.anchors or trust.intermediates, came "
        f"{came}; nothing is changed; the operator fetches the newest list of that authority",
    )
