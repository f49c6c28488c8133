"""All services, made once from the ports."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from moica_gateway.domain.models import Transaction
from moica_gateway.services.audit import AuditTrail
from moica_gateway.services.authentication import Authentication
from moica_gateway.services.callbacks import Callbacks
from moica_gateway.services.challenges import Challenges
from moica_gateway.services.context import Context
from moica_gateway.services.creation import Creation
from moica_gateway.services.credentials import Credentials
from moica_gateway.services.device_status import DeviceStatuses
from moica_gateway.services.evidence import Evidence
from moica_gateway.services.feed import Feed
from moica_gateway.services.pages import Pages
from moica_gateway.services.registration import Registration
from moica_gateway.services.sealing import Sealing
from moica_gateway.services.settlement import Settlement
from moica_gateway.services.signing import Signing
from moica_gateway.services.tenants import Tenants
from moica_gateway.services.transactions import Transactions
from moica_gateway.services.verification import Verification

__all__ = ["Services", "make_services"]


@frozen(kw_only=True)
class Services:
    """What the web and the command line call."""

    registration: Registration
    signing: Signing
    authentication: Authentication
    device_status: DeviceStatuses
    callbacks: Callbacks
    challenges: Challenges
    transactions: Transactions
    settlement: Settlement
    credentials: Credentials
    sealing: Sealing
    audit: AuditTrail
    evidence: Evidence
    verification: Verification
    tenants: Tenants
    feed: Feed
    pages: Pages


def make_services(
    context: Context, settlement: Settlement, watch: Callable[[Transaction], None]
) -> Services:
    """``watch`` is the poller's."""
    sealing = Sealing(
        store=context.store, clock=context.clock, seals=context.seals, alarm=context.alarm
    )
    challenges = Challenges(context, settlement, watch)
    settlement.goes_on_with(challenges)
    audit = AuditTrail(store=context.store, seals=context.seals, sealing=sealing)
    creation = Creation(context, settlement, challenges)
    return Services(
        registration=Registration(context, creation),
        signing=Signing(context, creation),
        authentication=Authentication(context, creation),
        device_status=DeviceStatuses(context),
        callbacks=Callbacks(context, settlement, watch),
        challenges=challenges,
        transactions=Transactions(context),
        settlement=settlement,
        credentials=Credentials(context, settlement),
        sealing=sealing,
        audit=audit,
        evidence=Evidence(context, audit),
        verification=Verification(context.workshop, context.readers, context.judge, context.clock),
        tenants=Tenants(context),
        feed=Feed(context),
        pages=Pages(context, challenges),
    )
