"""The in-process API's part about the platform itself: what goes wrong, and what was asked."""

from moica_simulator.alterations import Alteration
from moica_simulator.core.rooms import Rooms
from moica_simulator.errors import SimulatorError
from moica_simulator.faults import Drop, Fault, Line, Tamper
from moica_simulator.history import RecordedRequests
from moica_simulator.platform.wire import Interface

__all__ = ["Watching"]


class Watching(Rooms):
    """Faults, switches, and the history."""

    @property
    def requests(self) -> RecordedRequests:
        """What relying systems asked so far, with the answers; `.where(...)` picks some."""
        return self.history.all()

    async def add_fault(
        self,
        interface: str,
        *,
        code: str | int | None = None,
        http_status: int | None = None,
        latency_s: float | None = None,
        drop: bool | str | None = None,
        tamper: str | None = None,
        reseal: bool = True,
        alter: str | None = None,
        line: str | None = None,
        clock_skew_s: float | None = None,
        ticket_skew_s: float | None = None,
        id_number: str | None = None,
        sp_service_id: str | None = None,
        device_id: str | None = None,
        rate: float | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Sets a fault; the arguments are the attributes of `Fault`.

        Args:
            interface: E.g. `SP-API-ATH-01`, or `SP-API-LF-01`.
            code: See `Fault`.
            http_status: See `Fault`.
            latency_s: See `Fault`.
            drop: `answer` (also True) or `request`.
            tamper: `idp_checksum`, `signed_response`, `cert`, `hashed_id_num`, `sp_ticket`.
            reseal: See `Fault`.
            alter: One of `Alteration`.
            line: One of `Line`.
            clock_skew_s: See `Fault`.
            ticket_skew_s: See `Fault`.
            id_number: See `Fault`.
            sp_service_id: See `Fault`.
            device_id: See `Fault`.
            rate: See `Fault`.
            times: See `Fault`.

        Raises:
            SimulatorError: `fault_invalid`.
        """
        try:
            return self.faults.add(
                Fault(
                    fault_id=self.randomness.uuid(),
                    interface=Interface(interface),
                    code=code,
                    http_status=http_status,
                    latency_s=latency_s,
                    drop=(Drop.ANSWER if drop is True else Drop(drop)) if drop else None,
                    tamper=Tamper(tamper) if tamper is not None else None,
                    reseal=reseal,
                    alter=Alteration(alter) if alter is not None else None,
                    line=Line(line) if line is not None else None,
                    clock_skew_s=clock_skew_s,
                    ticket_skew_s=ticket_skew_s,
                    id_number=id_number,
                    sp_service_id=sp_service_id,
                    device_id=device_id,
                    rate=rate,
                    times=times,
                )
            )
        except ValueError as error:
            raise SimulatorError(
                "fault_invalid",
                f"a fault: {error}; expected interface one of {', '.join(Interface)}, tamper one "
                f"of {', '.join(Tamper)}, alter one of {', '.join(Alteration)}, line one of "
                f"{', '.join(Line)}, drop one of {', '.join(Drop)}",
            ) from error

    def set_error_checksums(self, carried: bool) -> None:
        """Sets whether error answers to a known system carry an `idp_checksum`, from now on.

        Whether the real platform's do is not known; the simulator begins without.
        """
        self.idp.error_checksums = carried
