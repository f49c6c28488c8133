"""使用者憑證登記: listing, enabling, disabling, deleting; leaving (離職)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import evolve

from moica_gateway.domain.lifecycle import CredentialGone, Decision
from moica_gateway.domain.models import AuditRecord, Credential, CredentialStatus
from moica_gateway.domain.values import CredentialId
from moica_gateway.errors import error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.commands import Caller
from moica_gateway.services.context import Context
from moica_gateway.services.outcome import enable
from moica_gateway.services.settlement import Settlement

__all__ = ["Credentials"]

_Ended = list[Decision]
_Changed = tuple[_Ended, Mapping[str, Any]]
"""What ended with it, and what the audit record says beside the credential."""
_SUBJECT_BYTES: Final = 8


class Credentials:
    """Disabling or deleting ends the transactions that the credential was pinned in, in the same
    commit."""

    def __init__(self, context: Context, settlement: Settlement) -> None:
        self._context = context
        self._settlement = settlement

    async def list(self, caller: Caller, user_id: str) -> tuple[Credential, ...]:
        """Oldest first."""
        return tuple(
            await self._context.store.read(lambda uow: uow.credentials(caller.tenant, user_id))
        )

    async def get(self, caller: Caller, credential_id: CredentialId) -> Credential:
        """Raises ``RequestError`` ``not_found``."""
        return await self._context.store.read(lambda uow: self._load(uow, caller, credential_id))

    async def enable(self, caller: Caller, credential_id: CredentialId) -> Credential:
        """Enable one; the user's others are disabled in the same commit.

        Raises:
            RequestError: ``not_found``.
            HolderCertificateError: ``certificate_expired`` or ``certificate_revoked``.
        """

        def change(uow: UnitOfWork, credential: Credential) -> _Changed:
            now = self._context.clock.now()
            if credential.status is CredentialStatus.REVOKED:
                raise error("certificate_revoked", "expected a certificate that is not revoked")
            if now > credential.not_after or credential.status is CredentialStatus.EXPIRED:
                raise error("certificate_expired", "expected a certificate within its validity")
            ended: _Ended = []
            for other in uow.credentials(caller.tenant, credential.user_id):
                if other.id != credential.id and other.status is CredentialStatus.ENABLED:
                    ended += self._end(uow, caller, other)
            disabled = enable(uow, evolve(credential, updated_at=now))
            return ended, {"disabled": list(disabled)}

        await self._change(caller, credential_id, "credential.enabled", change)
        return await self.get(caller, credential_id)

    async def disable(self, caller: Caller, credential_id: CredentialId) -> Credential:
        """It signs no more, and what it was signing ends. Raises ``RequestError`` ``not_found``."""

        def change(uow: UnitOfWork, credential: Credential) -> _Changed:
            if credential.status is not CredentialStatus.ENABLED:
                return [], {}
            now = self._context.clock.now()
            uow.save_credential(
                evolve(credential, status=CredentialStatus.DISABLED, updated_at=now)
            )
            return self._end(uow, caller, credential), {}

        await self._change(caller, credential_id, "credential.disabled", change)
        return await self.get(caller, credential_id)

    async def delete(self, caller: Caller, credential_id: CredentialId) -> None:
        """Forget it, and end what it was signing. Raises ``RequestError`` ``not_found``."""

        def change(uow: UnitOfWork, credential: Credential) -> _Changed:
            ended = self._end(uow, caller, credential)
            uow.delete_credential(caller.tenant, credential.id)
            return ended, {}

        await self._change(caller, credential_id, "credential.deleted", change)

    async def delete_user(self, caller: Caller, user_id: str) -> None:
        """Leaving and erasure: credentials and binding go, and the person's key is destroyed.

        Raises:
            RequestError: ``not_found`` for a user without credential and binding.
        """

        def work(uow: UnitOfWork) -> _Ended:
            binding = uow.user_binding(caller.tenant, user_id)
            credentials = uow.credentials(caller.tenant, user_id)
            if binding is None and not credentials:
                raise error("not_found", "expected a user of this tenant, came another")
            ended: _Ended = []
            people = {c.person_id for c in credentials} | (
                {binding.person_id} if binding else set()
            )
            for person_id in people:
                pending = uow.open_transaction_of(caller.tenant, person_id)
                if pending is not None:
                    ended.append(
                        self._settlement.end_inside(uow, pending, CredentialGone(), caller)
                    )
            for credential in credentials:
                uow.delete_credential(caller.tenant, credential.id)
            uow.delete_user_binding(caller.tenant, user_id)
            erased = [p for p in people if not uow.bindings_of_person(caller.tenant, p)]
            for person_id in erased:
                uow.erase_person(caller.tenant, person_id)
            # By a keyed hash: who knows the user finds the record, it names nobody itself.
            subject = self._context.seals.lookup_hash(caller.tenant, "audit-user", user_id)
            self._audit(
                uow,
                caller,
                "user.erased",
                subject=subject[:_SUBJECT_BYTES].hex(),
                credentials=[c.id for c in credentials],
                persons=len(erased),
            )
            return ended

        await self._tell(await self._context.store.write(work))

    # -- inside --------------------------------------------------------------------------------

    async def _change(
        self,
        caller: Caller,
        credential_id: CredentialId,
        action: str,
        change: Callable[[UnitOfWork, Credential], _Changed],
    ) -> None:
        def work(uow: UnitOfWork) -> _Ended:
            ended, data = change(uow, self._load(uow, caller, credential_id))
            self._audit(uow, caller, action, credential=credential_id, **data)
            return ended

        await self._tell(await self._context.store.write(work))

    def _end(self, uow: UnitOfWork, caller: Caller, credential: Credential) -> _Ended:
        return [
            self._settlement.end_inside(uow, transaction, CredentialGone(), caller)
            for transaction in uow.pending_transactions(caller.tenant, credential_id=credential.id)
        ]

    async def _tell(self, ended: _Ended) -> None:
        for decision in ended:
            await self._settlement.told(decision.transaction, announce=True)

    def _load(self, uow: UnitOfWork, caller: Caller, credential_id: CredentialId) -> Credential:
        credential = uow.credential(caller.tenant, credential_id)
        if credential is None:
            raise error("not_found", "expected the id of a credential of this tenant")
        return credential

    def _audit(self, uow: UnitOfWork, caller: Caller, action: str, **data: Any) -> None:
        uow.audit(
            caller.tenant,
            AuditRecord(at=self._context.clock.now(), action=action, actor=caller.actor, data=data),
        )
