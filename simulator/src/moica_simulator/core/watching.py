"""The in-process API's part about the platform itself: what goes wrong, and what was asked."""

from moica_simulator.alterations import Alteration
from moica_simulator.chaos import Chaos
from moica_simulator.core.rooms import Rooms
from moica_simulator.errors import SimulatorError
from moica_simulator.faults import Drop, Fault, Line, Tamper
from moica_simulator.history import RecordedRequests
from moica_simulator.platform.reading import Reading
from moica_simulator.platform.wire import Interface
from moica_simulator.profiles import ActiveProfile, Profile

__all__ = ["Watching"]


_READINGS = {Profile.STRICT: Reading.STRICT, Profile.LENIENT: Reading.LENIENT}


class Watching(Rooms):
    """Faults, switches, and the history."""

    _profile = ActiveProfile()

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

    @property
    def profile(self) -> ActiveProfile:
        """Which profile is on; `standard` at the beginning, also after a restart."""
        return self._profile

    def set_profile(self, name: str, *, seed: int | None = None) -> ActiveProfile:
        """Sets how the platform as a whole behaves, from now on. Faults that were set stay set.

        Args:
            name: `standard`; `strict` or `lenient`, the narrowest and the widest reading of the
                protocol; `chaos`, in which every other answer meets a fault. See the README.
            seed: For `chaos`: the same seed and the same requests in the same order meet the same
                faults, whatever came before. Without it one is drawn, to be read in `profile`.

        Raises:
            SimulatorError: `profile_invalid`.
        """
        if name not in list(Profile) or (seed is not None and name != Profile.CHAOS):
            raise SimulatorError(
                "profile_invalid",
                f"name: expected {', '.join(Profile)}, and a seed with chaos only; {name!r} came",
            )
        profile = Profile(name)
        if profile is Profile.CHAOS and seed is None:
            seed = int.from_bytes(self.randomness.token(4))
        self.faults.chaos = Chaos(seed) if seed is not None else None
        self.idp.reading = _READINGS.get(profile, Reading.AGREED)
        self._profile = ActiveProfile(profile, seed)
        self.log.info("profile.set", profile=profile.value, seed=seed)
        return self._profile

    def set_error_checksums(self, carried: bool) -> None:
        """Sets whether error answers to a known system carry an `idp_checksum`, from now on.

        Whether the real platform's do is not known; the simulator begins without.
        """
        self.idp.error_checksums = carried
