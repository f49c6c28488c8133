"""A simulated TW FidO platform (行動自然人憑證) with its CA and phones. NOT FOR PRODUCTION.

    async with Simulator.start(fast=True) as sim:
        await sim.add_service_provider("20261123090000000001", aes_key, "公文線上簽核系統")
        await sim.add_person("A123456789", "王小明")
        phone = await sim.bind_device("A123456789")
        ...  # let the system under test push to sim.url, then:
        request = await sim.wait_for_request(phone.id)
        await sim.confirm(phone.id, request.sp_ticket_id)

An independent reading of the protocol: it shares no code with any client of it.
"""

from moica_simulator._version import __version__
from moica_simulator.ca.profile import CertificateShape, Usage
from moica_simulator.clock import Clock
from moica_simulator.device import Device
from moica_simulator.errors import ConfigurationError, PlatformError, SimulatorError
from moica_simulator.faults import Fault
from moica_simulator.history import RecordedRequest
from moica_simulator.keys import GeneratedKeys, KeyPool, KeySource
from moica_simulator.phone.app import OpenedLink
from moica_simulator.platform.confirmation import TicketView
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
    "RecordedRequest",
    "ServiceProvider",
    "Simulator",
    "SimulatorError",
    "TestPerson",
    "TicketStatus",
    "TicketView",
    "Usage",
    "__version__",
]
