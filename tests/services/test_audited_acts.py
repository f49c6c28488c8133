"""Every administrator's act and every change of state stands in the audit record, once."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from attrs import evolve

from moica_gateway.domain.audit import canonical, record_members
from moica_gateway.domain.models import AuditRecord, Channel, Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.services.commands import Caller, DeviceQuery
from moica_gateway.services.credentials import Credentials
from moica_gateway.services.tenants import Tenants
from tests.services.house import CALLER, ID_NUMBER, REFUSED, TENANT, House

LIVE: Final = "mgk_live_" + "k" * 43
WEBHOOK: Final = "https://docs.example.test/hooks?token=abc"
SECRET: Final = "whsec_" + "c2Vj" * 10


async def records(house: House) -> list[AuditRecord]:
    """All of the tenant."""
    return list(await house.store.read(lambda u: u.audit_records(TENANT)))


async def credential_id(house: House) -> Any:
    """Of the registered user."""
    (found,) = await house.services.credentials.list(CALLER, "u1")
    return found.id


async def with_key(house: House) -> str:
    """A key that is there."""
    await house.services.tenants.import_key(TENANT, "公文系統", frozenset({Scope.READ}), LIVE)
    (key,) = await house.services.tenants.list_keys(TENANT)
    return key.id


Act = Callable[[House], Awaitable[Any]]


async def _nothing(house: House) -> None:
    """What has to be there is."""


async def _registered(house: House) -> None:
    await house.register()


async def _disabled(house: House) -> None:
    await house.register()
    await house.services.credentials.disable(CALLER, await credential_id(house))


async def _signing(house: House) -> None:
    await house.register()
    await house.sign()


async def _webhook(house: House) -> None:
    await house.services.tenants.add_webhook(TENANT, WEBHOOK, SECRET, None)


async def _key(house: House) -> None:
    await with_key(house)


def _tenants(method: str, *arguments: Any, **named: Any) -> Act:
    return lambda house: getattr(house.services.tenants, method)(TENANT, *arguments, **named)


def _credential(method: str) -> Act:
    async def act(house: House) -> None:
        await getattr(house.services.credentials, method)(CALLER, await credential_id(house))

    return act


async def _cancel(house: House) -> None:
    (open_one,) = await house.store.read(lambda u: u.pending_transactions(TENANT))
    await house.services.settlement.cancel(CALLER, open_one.id)


async def _revoke(house: House) -> None:
    (key,) = await house.services.tenants.list_keys(TENANT)
    await house.services.tenants.revoke_key(TENANT, key.id)


async def _erase(house: House) -> None:
    await house.services.credentials.delete_user(CALLER, "u1")


async def _recall(house: House) -> None:
    await house.services.settlement.cancel_document(CALLER, "1153000165")


KEYS: Final = frozenset({Scope.READ, Scope.SIGN})
ACTS: Final[dict[str, tuple[Act, Act, str, str]]] = {
    "tenant renamed": (
        _nothing,
        _tenants("create_tenant", "王小明之校", TenantPolicy()),
        "tenant.saved",
        "cli",
    ),
    "policy changed": (
        _nothing,
        _tenants("create_tenant", "t1", TenantPolicy(identity_queries_per_day=1_000_000)),
        "tenant.saved",
        "cli",
    ),
    "service provider's key rotated": (
        _nothing,
        _tenants("set_service_provider", "sp", Secret(b"a secret of thirty-two bytes...."), "k9"),
        "tenant.service_provider",
        "cli",
    ),
    "key added": (_nothing, _tenants("import_key", "k", KEYS, LIVE), "key.saved", "cli"),
    "key made": (_nothing, _tenants("create_key", "k", KEYS, test=True), "key.saved", "cli"),
    "key's scopes changed": (_key, _tenants("import_key", "k", KEYS, LIVE), "key.saved", "cli"),
    "key revoked": (_key, _revoke, "key.revoked", "cli"),
    "webhook added": (
        _nothing,
        _tenants("add_webhook", WEBHOOK, SECRET, None),
        "webhook.saved",
        "cli",
    ),
    "webhook's secret rotated": (
        _webhook,
        _tenants("add_webhook", WEBHOOK, None, None),
        "webhook.saved",
        "cli",
    ),
    "credential disabled": (
        _registered,
        _credential("disable"),
        "credential.disabled",
        CALLER.actor,
    ),
    "credential enabled": (_disabled, _credential("enable"), "credential.enabled", CALLER.actor),
    "credential deleted": (_registered, _credential("delete"), "credential.deleted", CALLER.actor),
    "user erased": (_registered, _erase, "user.erased", CALLER.actor),
    "transaction cancelled": (_signing, _cancel, "transaction.cancelled", CALLER.actor),
    "document recalled": (_signing, _recall, "transaction.cancelled", CALLER.actor),
}


@pytest.mark.parametrize("name", ACTS)
async def test_each_act_is_one_record_that_says_who(house: House, name: str) -> None:
    """And names no person, and holds no secret."""
    before, act, action, actor = ACTS[name]
    await before(house)
    known = len(await records(house))
    await act(house)
    (made,) = (await records(house))[known:]
    assert (made.action, made.actor) == (action, actor)
    assert made.at == house.clock.now()
    names_nobody(await records(house))


REPEATABLE: Final = (
    "tenant renamed",
    "service provider's key rotated",
    "key added",
    "key revoked",
    "webhook added",
    "transaction cancelled",
)


@pytest.mark.parametrize("name", REPEATABLE)
async def test_what_changes_nothing_is_no_record(house: House, name: str) -> None:
    """The same set-up again, as at every start of a demonstration."""
    before, act, _, _ = ACTS[name]
    await before(house)
    await act(house)
    known = await records(house)
    if name == "transaction cancelled":
        (ended,) = [r.transaction_id for r in known if r.action == "transaction.cancelled"]
        assert ended is not None
        await house.services.settlement.cancel(CALLER, ended)
    else:
        await act(house)
    assert await records(house) == known


def test_no_act_of_these_services_is_left_out() -> None:
    """Each method that changes something stands in the table above."""
    reading = {"authenticate", "browser_token", "body_mac", "list", "get"}
    reading |= {"list_tenants", "list_keys", "list_webhooks"}
    acts = {name for service in (Tenants, Credentials) for name in vars(service)}
    acts = {name for name in acts if not name.startswith("_")} - reading
    assert acts == {
        "create_tenant",
        "set_service_provider",
        "create_key",
        "import_key",
        "revoke_key",
        "add_webhook",
        "enable",
        "disable",
        "delete",
        "delete_user",
    }


async def test_a_registration_names_its_credential_and_those_that_it_disabled(
    house: House,
) -> None:
    """In the commit of the outcome, beside it."""
    first = await house.register()
    (made,) = [r for r in await records(house) if r.action == "credential.registered"]
    assert made.transaction_id == first.id
    assert made.actor == "worker"
    assert made.data == {"credential": await credential_id(house), "enabled": True, "disabled": []}


async def test_a_transaction_is_recorded_from_beginning_to_end(house: House) -> None:
    """Who asked, that the phone was reached, how it ended."""
    await house.register()
    transaction = await house.sign()
    house.answer(REFUSED)
    await house.pass_time(4)
    assert await house.actions(transaction) == [
        "transaction.created",
        "challenge.sent",
        "transaction.rejected",
    ]
    asked = await house.services.challenges.add(
        CALLER, (await house.sign()).id, channel=Channel.QR, return_url=None, use=None
    )
    assert "challenge.added" in await house.actions(asked)


def names_nobody(records: list[AuditRecord]) -> None:
    """No ID number in any spelling, name, user, address, key, secret or ticket."""
    text = "\n".join(canonical(record_members(TENANT, 1, r)).decode() for r in records)
    assert TENANT in text
    number = ID_NUMBER.reveal()
    plain = {h: hashlib.new(h, number.encode()).hexdigest() for h in ("sha256", "sha1", "md5")}
    for forbidden in (
        *plain.values(),
        *(digest[:16] for digest in plain.values()),
        number,
        number.lower(),
        number[1:],
        ID_NUMBER.masked,
        "王小明",
        "公文系統",
        '"u1"',
        LIVE[9:],
        SECRET[6:],
        "docs.example",
        "token=",
        "ticket-",
        '"certificate"',
        '"h1"',
    ):
        assert forbidden not in text, forbidden


async def test_no_record_of_a_persons_transactions_names_that_person(house: House) -> None:
    """Registered, asked about by ID number, signed, refused, erased."""
    await house.register(user_name="王小明")
    await house.services.device_status.ask(CALLER, DeviceQuery(id_number=ID_NUMBER))
    await house.sign()
    house.answer(REFUSED)
    await house.pass_time(4)
    await house.services.credentials.delete_user(CALLER, "u1")
    written = await records(house)
    assert {"identity.queried", "credential.registered", "user.erased"} <= {
        r.action for r in written
    }
    names_nobody(written)


async def test_erasing_a_person_leaves_the_chain_whole(house: House) -> None:
    """What was sealed before stays, what was not is sealed after, and a kept head agrees."""
    await house.register()
    await house.sign()
    kept = await house.services.sealing.seal(TENANT)
    assert kept is not None
    await house.services.credentials.delete_user(CALLER, "u1")
    newest = await house.services.sealing.seal(TENANT)
    assert newest is not None
    assert newest.position > kept.position
    report = await house.services.audit.verify(TENANT, [kept, newest])
    assert (report.findings, report.last) == ((), newest.position)
    (erased,) = [r for r in await records(house) if r.action == "user.erased"]
    assert erased.data["persons"] == 1
    assert len(erased.data["subject"]) == 16


async def test_another_tenants_acts_are_in_another_chain(house: House) -> None:
    """Nobody's record grows by what others do."""
    await house.register()
    known = await records(house)
    other = TenantId("t8")
    await house.services.tenants.create_tenant(other, "x", TenantPolicy())
    await house.services.tenants.import_key(other, "k", KEYS, "mgk_live_" + "z" * 43)
    assert await records(house) == known
    stranger = evolve(CALLER, tenant=other)
    assert isinstance(stranger, Caller)
    report = await house.services.audit.verify(other)
    assert (report.unsealed, report.findings) == (2, ())
