"""Ready-made persons, each with one fixed outcome, so that a test needs no set-up.

The ID numbers belong to nobody we know of; they are valid in form and check digit.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from moica_simulator.ca.profile import CertificateShape, Usage
from moica_simulator.device import Device

if TYPE_CHECKING:
    from moica_simulator.core import SimulatorCore

__all__ = ["TEST_PERSONS", "TestPerson", "add_test_persons"]

_Setting = Callable[["SimulatorCore", Device], Awaitable[object]]


async def _nothing(_core: "SimulatorCore", _device: Device) -> None:
    pass


def _does(on_request: str) -> _Setting:
    return lambda core, device: core.set_behaviour(device.id, on_request)


_CONFIRMS = _does("confirm")


async def _push_fails(core: "SimulatorCore", device: Device) -> None:
    await core.set_state(device.id, push="unregistered")
    await core.set_behaviour(device.id, "confirm")


async def _airplane(core: "SimulatorCore", device: Device) -> None:
    await core.set_state(device.id, network="airplane")


async def _revoked(core: "SimulatorCore", device: Device) -> None:
    await core.revoke(device.certificate_serial or "", reason="keyCompromise")
    await core.set_behaviour(device.id, "confirm")


async def _suspended(core: "SimulatorCore", device: Device) -> None:
    core.ca.suspend(device.certificate_serial or "")
    await core.set_behaviour(device.id, "confirm")


async def _renewed(core: "SimulatorCore", device: Device) -> None:
    await core.renew(device.id)
    await core.set_behaviour(device.id, "confirm")


async def _unbound(core: "SimulatorCore", device: Device) -> None:
    await core.unbind(device.id)


async def _two_phones(core: "SimulatorCore", device: Device) -> None:
    second = await core.bind_device(device.id_number or "", name="公務手機", platform="iOS")
    await core.set_behaviour(second.id, "confirm")


@attrs.frozen
class TestPerson:
    """A person with one outcome.

    Attributes:
        id_number: For registrations.
        name: As in the certificate.
        outcome: What happens to a request, in words.
        bound: Whether a phone is bound at first.
        validity: From when, counted from now, and for how long; None is the rule.
        shape: How the certificate differs otherwise.
        setting: What is done to the phone.
    """

    __test__ = False  # no test, whatever its name begins with

    id_number: str
    name: str
    outcome: str
    bound: bool = True
    validity: tuple[timedelta, timedelta] | None = None
    shape: CertificateShape = attrs.field(factory=CertificateShape)
    setting: _Setting = _CONFIRMS


_YEAR = timedelta(days=365)

TEST_PERSONS: tuple[TestPerson, ...] = (
    TestPerson("T110000000", "測試確認", "confirms at once"),
    TestPerson("T110000019", "測試拒絕", "refuses at once", setting=_does("refuse")),
    TestPerson("T110000028", "測試不理", "ignores every request", setting=_does("ignore")),
    TestPerson(
        "T110000037", "測試遲到", "confirms when the ticket has lapsed", setting=_does("late")
    ),
    TestPerson("T110000046", "測試兩次", "confirms twice", setting=_does("twice")),
    TestPerson("T110000055", "測試手動", "waits for the phone's page", setting=_nothing),
    TestPerson(
        "T110000064",
        "測試推播",
        "push fails (PS_FCM_NOT_FOUND), confirms a code",
        setting=_push_fails,
    ),
    TestPerson("T110000073", "測試飛航", "airplane mode: nothing arrives", setting=_airplane),
    TestPerson(
        "T110000082",
        "測試雙機",
        "two phones: 我的手機 waits, 公務手機 confirms",
        setting=_two_phones,
    ),
    TestPerson(
        "T110000091",
        "測試將滿",
        "confirms; the certificate runs out in ten days",
        validity=(timedelta(days=-355), _YEAR),
    ),
    TestPerson(
        "T110000108",
        "測試過期",
        "confirms with a certificate that ran out yesterday",
        validity=(timedelta(days=-366), _YEAR),
    ),
    TestPerson("T110000117", "測試廢止", "confirms with a revoked certificate", setting=_revoked),
    TestPerson(
        "T110000126", "測試停用", "confirms with a suspended certificate", setting=_suspended
    ),
    TestPerson("T110000135", "測試換證", "confirms with a renewed certificate", setting=_renewed),
    TestPerson(
        "T110000144",
        "測試他人",
        "confirms with a certificate of other last four characters",
        shape=CertificateShape(last_four="9999"),
    ),
    TestPerson(
        "T110000153",
        "測試政策",
        "confirms with a certificate without policy",
        shape=CertificateShape(policy=False),
    ),
    TestPerson(
        "T110000162",
        "測試用途",
        "confirms with an encipherment certificate",
        shape=CertificateShape(usage=Usage.ENCIPHERMENT),
    ),
    TestPerson("A810000008", "TEST RESIDENT", "a foreign resident; confirms at once"),
    TestPerson("FC10000001", "TEST RESIDENT OLD", "the same with the older form of number"),
    TestPerson("T110000171", "測試未綁", "never bound a phone", bound=False, setting=_nothing),
    TestPerson("T110000180", "測試解綁", "has unbound the phone", setting=_unbound),
)


async def add_test_persons(core: "SimulatorCore") -> list[TestPerson]:
    """Makes those that are not there yet, and returns all."""
    for each in TEST_PERSONS:
        if core.state.platform.people.get(each.id_number) is None:
            await core.add_person(each.id_number, each.name)
            if each.bound:
                shape = each.shape
                if each.validity is not None:
                    since, lasts = each.validity
                    shape = attrs.evolve(
                        shape, valid_from=core.clock.now() + since, valid_for=lasts
                    )
                device = await core.bind_device(each.id_number, shape=shape)
                await each.setting(core, device)
    return list(TEST_PERSONS)
