"""A simulated TW FidO platform (行動自然人憑證) with its CA and phones. NOT FOR PRODUCTION.

    async with Simulator.start(fast=True) as sim:
        await sim.add_service_provider("20261123090000000001", aes_key, "公文線上簽核系統")
        await sim.add_person("A123456789", "王小明")
        phone = await sim.bind_device("A123456789")
        ...  # let the system under test push to sim.url, then:
        request = await sim.wait_for_request(phone.id)
        await sim.confirm(phone.id, request.sp_ticket_id)

An independent reading of the protocol: it shares no code with any client of it.

What is named here is imported when it is first used: the pytest plugin is loaded with every test
run of an environment that has this package, and must not cost one that does not use it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from moica_simulator._version import __version__

if TYPE_CHECKING:
    from moica_simulator.ca.profile import CertificateShape, Usage
    from moica_simulator.clock import Clock
    from moica_simulator.device import Device
    from moica_simulator.errors import ConfigurationError, PlatformError, SimulatorError
    from moica_simulator.faults import Fault
    from moica_simulator.history import RecordedRequest, RecordedRequests
    from moica_simulator.keys import GeneratedKeys, KeyPool, KeySource
    from moica_simulator.phone.app import OpenedLink
    from moica_simulator.platform.confirmation import TicketView
    from moica_simulator.profiles import ActiveProfile, Profile
    from moica_simulator.records import (
        ActivationCode,
        Behaviour,
        IssuedCertificate,
        OnRequest,
        Person,
        ServiceProvider,
        TicketStatus,
    )
    from moica_simulator.simulator import Simulator
    from moica_simulator.testpersons import TEST_PERSONS, TestPerson

__all__ = [
    "TEST_PERSONS",
    "ActivationCode",
    "ActiveProfile",
    "Behaviour",
    "CertificateShape",
    "Clock",
    "ConfigurationError",
    "Device",
    "Fault",
    "GeneratedKeys",
    "IssuedCertificate",
    "KeyPool",
    "KeySource",
    "OnRequest",
    "OpenedLink",
    "Person",
    "PlatformError",
    "Profile",
    "RecordedRequest",
    "RecordedRequests",
    "ServiceProvider",
    "Simulator",
    "SimulatorError",
    "TestPerson",
    "TicketStatus",
    "TicketView",
    "Usage",
    "__version__",
]

_HOMES = {
    "TEST_PERSONS": "testpersons",
    "ActivationCode": "records",
    "ActiveProfile": "profiles",
    "Behaviour": "records",
    "CertificateShape": "ca.profile",
    "Clock": "clock",
    "ConfigurationError": "errors",
    "Device": "device",
    "Fault": "faults",
    "GeneratedKeys": "keys",
    "IssuedCertificate": "records",
    "KeyPool": "keys",
    "KeySource": "keys",
    "OnRequest": "records",
    "OpenedLink": "phone.app",
    "Person": "records",
    "PlatformError": "errors",
    "Profile": "profiles",
    "RecordedRequest": "history",
    "RecordedRequests": "history",
    "ServiceProvider": "records",
    "Simulator": "simulator",
    "SimulatorError": "errors",
    "TestPerson": "testpersons",
    "TicketStatus": "records",
    "TicketView": "platform.confirmation",
    "Usage": "ca.profile",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    value = globals()[name] = getattr(module, name)
    return value
