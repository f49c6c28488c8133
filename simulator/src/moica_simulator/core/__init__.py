"""Everything but HTTP: the rooms put together, and what a test can do with them.

`Simulator` adds the web server. The methods here are the in-process API; the control API calls
the same ones. One module a subject, each a class over the rooms that it needs.
"""

from moica_simulator.core.certificates import Certificates
from moica_simulator.core.phones import Phones
from moica_simulator.core.watching import Watching
from moica_simulator.testpersons import TestPerson, add_test_persons

__all__ = ["SimulatorCore"]


class SimulatorCore(Phones, Certificates, Watching):
    """The simulated platform, CA and phones.

    Use `Simulator.start`, which makes it and serves it.
    """

    async def add_test_persons(self) -> list[TestPerson]:
        """Makes the ready-made persons, each with one outcome; those that are there stay."""
        return await add_test_persons(self)
