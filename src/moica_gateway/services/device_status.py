"""``POST /v1/device-status``: what the platform knows of a person's phones. Nothing rings.

By ``user_id`` the person is the registered one; by ``id_number`` it takes scope ``identity:query``,
its quota and its record, and nothing is kept of who it was. The request counts against the brakes
of tenant and house, not of the person: those are for what makes the phone ring, and whoever may
only read must not be able to use up what the person needs for signing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import evolve

from moica_gateway.domain.models import DeviceStatus, Fault, Scope, Tenant
from moica_gateway.domain.values import IdNumber
from moica_gateway.errors import error, error_of, problem
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.brakes import count_lookup, observed
from moica_gateway.services.commands import Caller, DeviceQuery
from moica_gateway.services.context import Context
from moica_gateway.services.identity import count_identity

__all__ = ["DeviceStatuses"]

_ANSWER_WITHIN: Final = 5.0
_TRY_AGAIN: Final = 503
"""Here the platform's trouble is the answer, and not how a transaction ended."""
_NO_DEVICE: Final = DeviceStatus(bound=False, certificate_usable=False)


class DeviceStatuses:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ask(self, caller: Caller, query: DeviceQuery) -> DeviceStatus:
        """The platform's answer, within 5 s.

        Raises:
            RequestError: ``forbidden``, ``request_invalid`` for both or neither, ``rate_limited``,
                ``identity_quota``.
            HolderCertificateError: ``credential_missing`` for a user who never registered.
            UpstreamError: ``upstream_unreachable`` and what else the platform has to say.
            VerificationError: for an answer that is not the platform's.
        """
        if (query.user_id is None) == (query.id_number is None):
            raise error(
                "request_invalid",
                "expected exactly one of `user_id` and `id_number`; the integrator sends one",
                member="user_id",
            )
        caller.need(Scope.READ if query.id_number is None else Scope.IDENTITY_QUERY)
        with observed(self._context):
            tenant, id_number = await self._context.store.write(
                lambda uow: self._admit(uow, caller, query)
            )
        return await self._answer(tenant, id_number)

    def _admit(
        self, uow: UnitOfWork, caller: Caller, query: DeviceQuery
    ) -> tuple[Tenant, IdNumber]:
        tenant = uow.tenant(caller.tenant)
        if tenant is None or tenant.service_provider is None:
            raise error("configuration_invalid", "expected a tenant with a service provider")
        id_number = query.id_number
        if id_number is None:
            binding = uow.user_binding(caller.tenant, query.user_id or "")
            person = uow.person(caller.tenant, binding.person_id) if binding else None
            if person is None:
                raise error(
                    "credential_missing",
                    "expected a user who has registered; the holder registers first",
                )
            id_number = person.id_number
        else:
            count_identity(self._context, uow, caller, tenant, id_number, purpose="device_status")
        count_lookup(self._context, uow, caller.tenant)
        return tenant, id_number

    async def _answer(self, tenant: Tenant, id_number: IdNumber) -> DeviceStatus:
        if tenant.service_provider is None:
            raise error("configuration_invalid", "expected a tenant with a service provider")
        asking = asyncio.ensure_future(
            self._context.upstream.device_status(
                tenant.service_provider, id_number, str(self._context.random.uuid4())
            )
        )
        late = asyncio.ensure_future(self._context.clock.sleep(_ANSWER_WITHIN))
        try:
            await asyncio.wait({asking, late}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                late_one = problem(
                    "upstream_unreachable",
                    "expected an answer of the platform within 5 s, came none; the integrator asks "
                    "again later, and the operator looks at the line to the platform",
                )
                raise error_of(evolve(late_one, status=_TRY_AGAIN))
            answer = asking.result()
        finally:
            late.cancel()
            asking.cancel()
        if isinstance(answer, Fault):
            return self._of_fault(answer)
        return answer

    def _of_fault(self, answer: Fault) -> DeviceStatus:
        why = answer.problem
        # "No such device" is an answer only where a checksum speaks for it.
        if why.code == "device_not_bound" and not why.extra.get("unsigned"):
            return _NO_DEVICE
        if why.what_helps == "fail":
            self._context.alarm(f"security.{why.code}", {"code": why.code})
        raise error_of(evolve(why, status=_TRY_AGAIN) if why.what_helps == "retry" else why)
