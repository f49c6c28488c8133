"""What a relying system can ask: tickets (ATH-01, 03, 04), results (ATH-02), status (LF-01).

Follows moi-sp-api.md. The service id is looked up first, then the checksum is verified, then the
fields, then people and devices; a ticket is written with its used transaction_id and its
notifications in one commit, before it is answered.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import attrs

from moica_simulator import assumptions, checksum, ticket
from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError
from moica_simulator.platform import wire
from moica_simulator.platform.reading import Reading
from moica_simulator.platform.reply import SUCCESS, Reply, refusal
from moica_simulator.platform.retention import Retention
from moica_simulator.platform.wire import Interface, TicketRequest
from moica_simulator.randomness import Randomness
from moica_simulator.records import (
    Confirmed,
    DeviceProfile,
    Failed,
    Refused,
    ServiceProvider,
    Ticket,
    TicketStatus,
    Undecided,
)
from moica_simulator.state import PlatformRecords, UsedTransaction

__all__ = ["CertificateBook", "Finding", "IdentityProvider", "PushChannel", "Watch"]


class PushChannel(Protocol):
    """Brings notifications to phones."""

    def registered(self, device_id: str) -> bool:
        """Says whether the push service knows the phone's app."""

    def deliver(self, device_id: str, sp_ticket_id: str) -> None:
        """Puts a request into a phone's inbox, within the caller's commit."""


class CertificateBook(Protocol):
    """The CA, as the platform asks it about a phone's certificate."""

    def can_sign(self, certificate: bytes, now: datetime) -> bool:
        """Says whether a certificate is within its time and not revoked or suspended."""


class Watch(Protocol):
    """The clock of the machine that answers a request, which may be wrong."""

    def skew(self, alters: Callable[[timedelta], bool]) -> timedelta:
        """Says how far it is ahead.

        Args:
            alters: Says whether being so far ahead makes another answer.
        """

    def ticket_skew(self) -> timedelta:
        """Says by how much the time written into a ticket is later than the one that is kept."""


class _RightWatch:
    def skew(self, alters: Callable[[timedelta], bool]) -> timedelta:  # noqa: ARG002
        return timedelta(0)

    def ticket_skew(self) -> timedelta:
        return timedelta(0)


_RIGHT: Watch = _RightWatch()


@attrs.define
class Finding:
    """What was found while a request was handled: for whoever asks why it was refused."""

    payload: str | None = None
    checksum_verified: bool | None = None
    sp_ticket_id: str | None = None


class IdentityProvider:
    """Answers relying systems.

    Args:
        records: The platform's tables.
        push: Where ATH-03 sends notifications.
        clock: For lapsing.
        randomness: For ticket ids.
        certificates: Knows which certificates can still be used.
        retention: Told of tickets' ends, drops old ones.
        hash_secret: The secret behind `hashed_id_num`.
    """

    def __init__(
        self,
        records: PlatformRecords,
        *,
        push: PushChannel,
        clock: Clock,
        randomness: Randomness,
        certificates: CertificateBook,
        retention: Retention,
        hash_secret: bytes,
    ) -> None:
        self._records = records
        self._push = push
        self._clock = clock
        self._randomness = randomness
        self._certificates = certificates
        self._retention = retention
        self.reading = Reading.AGREED
        self.error_checksums = assumptions.ERROR_ANSWERS_CARRY_CHECKSUM
        self._hash_secret = hash_secret

    def answer(
        self,
        interface: Interface,
        body: Mapping[str, Any],
        finding: Finding,
        watch: Watch = _RIGHT,
    ) -> Reply:
        """Answers one request; a refusal is an answer too.

        Args:
            interface: Which method was called.
            body: The JSON object that came.
            finding: Filled in on the way.
            watch: The clock that it is answered by.
        """
        provider: ServiceProvider | None = None
        body = self.reading.as_text(body)
        try:
            provider = self.service_provider(body)
            self.verify_checksum(interface, body, provider, finding)
            body = self.reading.fields(interface, body)
            if interface is Interface.GET_RESULT:
                return self._result(provider, body, finding, watch)
            if interface is Interface.DEVICE_STATUS:
                return self._device_status(provider, body, watch)
            return self.new_ticket(interface, provider, body, finding, watch)
        except PlatformError as error:
            transaction_id = body.get("transaction_id")
            return refusal(
                interface,
                error.code,
                error.explanation,
                transaction_id=transaction_id if isinstance(transaction_id, str) else "",
                key=provider.aes_key if provider else None,
                seal_error=self.error_checksums,
            )

    def devices_of(self, body: Mapping[str, Any]) -> frozenset[str]:
        """Returns the phones that a request asks, or the one that has decided its ticket."""
        id_number = self.id_number_of(body)
        try:
            name = wire.optional_text(body, "device_user_def_desc")
            found = self._records.tickets.get(wire.optional_text(body, "sp_ticket_id"))
        except PlatformError:
            return frozenset()
        if found is not None and isinstance(found.outcome, Confirmed | Refused):
            return frozenset({found.outcome.device_id})
        known = self._records.devices.of(id_number) if id_number else []
        return frozenset(each.device_id for each in known if each.bound and name in ("", each.name))

    def id_number_of(self, body: Mapping[str, Any]) -> str | None:
        """Returns whom a request is about, as far as it can be told without checking it."""
        try:
            direct = wire.optional_text(body, "id_num")
            found = self._records.tickets.get(wire.optional_text(body, "sp_ticket_id"))
        except PlatformError:
            return None
        return direct or (found.id_number if found else None)

    def service_provider(self, body: Mapping[str, Any]) -> ServiceProvider:
        """Returns who asks; raises `PlatformError` `SPSVCID_NF`, `PM_INV_NF`."""
        found = self._records.service_providers.get(wire.required_text(body, "sp_service_id"))
        if found is None:
            raise PlatformError("SPSVCID_NF", "no such sp_service_id is registered here")
        return found

    def verify_checksum(
        self,
        interface: Interface,
        body: Mapping[str, Any],
        provider: ServiceProvider,
        finding: Finding,
    ) -> None:
        """Fills in the finding; raises `PlatformError` `INV_SP_CHECKSUM`."""
        finding.payload = wire.sp_payload(interface, body)
        claimed = wire.optional_text(body, "sp_checksum")
        finding.checksum_verified = False
        if not claimed:
            raise PlatformError(assumptions.CHECKSUM_MISSING_CODE, "sp_checksum is missing")
        self.reading.check_checksum(claimed)
        finding.checksum_verified = checksum.verifies(claimed, finding.payload, provider.aes_key)
        if not finding.checksum_verified:
            raise PlatformError(
                "INV_SP_CHECKSUM",
                "compare with the payload in GET /sim/v1/requests, or use moica-simulator explain",
            )

    def new_ticket(
        self,
        interface: Interface,
        provider: ServiceProvider,
        body: Mapping[str, Any],
        finding: Finding,
        watch: Watch = _RIGHT,
    ) -> Reply:
        """Makes the ticket that a verified request asks for; raises `PlatformError`."""
        request = wire.parse_ticket_request(interface, body)
        devices = self._devices(request)
        pushed = interface is Interface.REQUEST_PUSH or request.op_mode == "PUSH"
        reached = [each for each in devices if self._push.registered(each.device_id)]
        if pushed and not reached:
            raise PlatformError("PS_FCM_NOT_FOUND", "the app was not opened for long; scan a code")
        used = UsedTransaction(provider.sp_service_id, request.transaction_id)
        if self._records.transactions.get(used.key) is not None:
            raise PlatformError("TXNLOG_INS_ERR", "this transaction_id was used before")
        made = self._make_ticket(provider, request, watch)
        finding.sp_ticket_id = made.sp_ticket_id
        with self._records.transaction():
            self._records.transactions.put(used)
            self._records.tickets.put(made)
            if pushed:
                for device in reached:
                    self._push.deliver(device.device_id, made.sp_ticket_id)
        self._retention.make_room()
        return self._success(
            interface, provider, request.transaction_id, {"sp_ticket": made.sp_ticket}
        )

    def _devices(self, request: TicketRequest) -> list[DeviceProfile]:
        """Returns the bound devices that a request is for."""
        if self._records.users.get(request.id_number) is None:
            raise PlatformError("IDNUM_USERPROF_NF", "nobody with this id_num ever bound a device")
        known = self._records.devices.of(request.id_number)
        bound = [device for device in known if device.bound]
        if not bound:
            raise PlatformError("IDNUM_DEVPROF_NF", "no device is bound to this id_num any more")
        if not request.device_name:
            return bound
        named = [device for device in bound if device.name == request.device_name]
        if not named:
            raise PlatformError("DEV_DESC_MISMATCH", "no bound device has this name")
        return named

    def _make_ticket(
        self, provider: ServiceProvider, request: TicketRequest, watch: Watch
    ) -> Ticket:
        now = self._clock.now() + watch.skew(lambda _: True)
        written = now + request.lifetime + watch.ticket_skew()
        sp_ticket_id = self._randomness.uuid()
        payload = {
            "transaction_id": request.transaction_id,
            "op_code": request.op_code,
            "op_mode": request.op_mode,
            "sp_service_id": provider.sp_service_id,
            "sp_ticket_id": sp_ticket_id,
            "sp_name": provider.name,
            "hint": request.hint,
            "expiration_time": assumptions.ticket_expiration_text(written),
            "hashed_id_num": self._hashed(provider, request.id_number),
            "version": assumptions.TICKET_VERSION,
        }
        if request.device_name:
            payload["device_user_def_desc"] = request.device_name
        return Ticket(
            sp_ticket_id=sp_ticket_id,
            transaction_id=request.transaction_id,
            sp_service_id=provider.sp_service_id,
            id_number=request.id_number,
            op_code=request.op_code,
            op_mode=request.op_mode,
            hint=request.hint,
            sign=request.sign,
            sp_ticket=ticket.encode(payload),
            created_at=now,
            expires_at=now + request.lifetime,
        )

    def _device_status(
        self, provider: ServiceProvider, body: Mapping[str, Any], watch: Watch
    ) -> Reply:
        """Answers LF-01; somebody unknown is no error, and nothing is used up."""
        request = wire.parse_status_request(body)
        now = self._clock.now()
        bound = [each for each in self._records.devices.of(request.id_number) if each.bound]

        def usable_at(moment: datetime) -> bool:
            return any(self._certificates.can_sign(each.certificate, moment) for each in bound)

        usable = usable_at(now + watch.skew(lambda by: usable_at(now + by) != usable_at(now)))
        result = {
            "is_fido": assumptions.yes_or_no(bool(bound)),
            "is_mcert_sign": assumptions.yes_or_no(usable),
        }
        return self._success(Interface.DEVICE_STATUS, provider, request.transaction_id, result)

    def _result(
        self,
        provider: ServiceProvider,
        body: Mapping[str, Any],
        finding: Finding,
        watch: Watch,
    ) -> Reply:
        request = wire.parse_result_request(body)
        found = self._records.tickets.get(request.sp_ticket_id)
        if (
            found is None
            or found.sp_service_id != provider.sp_service_id
            or found.transaction_id != request.transaction_id
        ):
            raise PlatformError(
                "SPTKTID_SPTKT_NF", "no ticket has this sp_ticket_id and this transaction_id"
            )
        finding.sp_ticket_id = found.sp_ticket_id
        now = self._clock.now()
        status = found.status_at(now)
        skew = watch.skew(lambda by: found.status_at(now + by) is not status)
        if status is not TicketStatus.PENDING:
            self._retention.told(found.sp_ticket_id)
        if found.status_at(now + skew) is TicketStatus.PENDING:
            raise PlatformError("SPTKTID_TXNLOG_NF")
        match found.outcome:
            case Undecided():
                raise PlatformError("SPTKT_OVD")
            case Refused():
                raise PlatformError("APP_USER_CANCEL")
            case Failed(code=code):
                raise PlatformError(code)
            case Confirmed() as confirmed:
                result: dict[str, str | list[str]] = {
                    "hashed_id_num": self._hashed(provider, found.id_number)
                }
                if found.op_code == "BATSIGN":
                    result["signed_response_set"] = list(confirmed.signed_responses)
                elif confirmed.signed_responses:
                    (result["signed_response"],) = confirmed.signed_responses
                if confirmed.certificate is not None:
                    result["cert"] = base64.b64encode(confirmed.certificate).decode()
                return self._success(Interface.GET_RESULT, provider, request.transaction_id, result)

    def _hashed(self, provider: ServiceProvider, id_number: str) -> str:
        return assumptions.hashed_id_num(self._hash_secret, provider.sp_service_id, id_number)

    @staticmethod
    def _success(
        interface: Interface,
        provider: ServiceProvider,
        transaction_id: str,
        result: Mapping[str, str | list[str]],
    ) -> Reply:
        return Reply(
            interface,
            SUCCESS,
            "SUCCESS",
            transaction_id=transaction_id,
            result=result,
            key=provider.aes_key,
        )
