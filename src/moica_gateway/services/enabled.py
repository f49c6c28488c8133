"""The credential that a user signs with, or why there is none."""

from __future__ import annotations

from moica_gateway.domain.models import Credential, CredentialStatus
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import GatewayError, error
from moica_gateway.services.context import Context

__all__ = ["enabled_credential", "no_credential"]


async def enabled_credential(context: Context, tenant: TenantId, user_id: str) -> Credential:
    """The user's enabled one, within its validity.

    Raises:
        HolderCertificateError: ``credential_missing`` or ``certificate_expired``.
    """
    credential, others = await context.store.read(
        lambda uow: (
            uow.enabled_credential(tenant, user_id),
            uow.credentials(tenant, user_id),
        )
    )
    if credential is None:
        if any(other.status is CredentialStatus.EXPIRED for other in others):
            raise _expired()
        raise no_credential()
    if not credential.not_before <= context.clock.now() <= credential.not_after:
        raise _expired()
    return credential


def no_credential() -> GatewayError:
    """The error of a user who cannot sign."""
    return error(
        "credential_missing",
        "expected a user with an enabled credential; the holder registers one first, or the "
        "integrator enables one",
    )


def _expired() -> GatewayError:
    return error(
        "certificate_expired",
        "expected a registered certificate within its validity; the holder renews it and "
        "registers again",
    )
