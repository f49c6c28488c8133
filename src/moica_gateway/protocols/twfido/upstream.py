"""`TwFidoUpstream`: the SP API as ``ports.Upstream``. Returns only what is authentic.

The order of belief, each step only for what passed those before it:

1. size, HTTP status, UTF-8, JSON, envelope (``client``, ``envelope``);
2. success is ``error_code`` exactly 0, with a result and an ``idp_checksum``;
3. each field in its grammar (``envelope``);
4. an ``idp_checksum`` that is there verifies over our own ``transaction_id``, is none of ours
   (``guard``); one that is there and wrong ends everything, whatever the code says; where it is the
   only evidence (bare ATH, device status, WEB-01) its IV has to be fresh, too;
5. the ticket is the one asked for (``ticket``), and its person the result's; WEB-01's ID number is
   the expected one (``redirect``).

Every operation (one signature, a batch, bare ATH) and every way (push, code, link, redirect) takes
the same steps: ``operation`` says what is asked for, ``result`` what success has to bring.

A code without a checksum is believed for waiting and for ending, never for success, and is
recorded as ``unsigned``. What ``cert`` and the signature are worth is the judge's business: no
checksum covers ``cert``. Nothing is repeated here; when to ask again is the poller's decision.
Specification: ``security.md`` 1 to 4; ``design.md`` "The way of one signature" 3 to 5.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from typing import Any, Final

from moica_gateway.domain.models import (
    Answer,
    Approved,
    Begin,
    Begun,
    Channel,
    DeviceStatus,
    Fault,
    Handle,
    Pending,
    Presentation,
    ServiceProvider,
    SpKey,
    StartUnknown,
)
from moica_gateway.domain.values import IdNumber, Tbs
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import Clock, Egress, EgressError, Random
from moica_gateway.protocols.twfido import redirect, wire
from moica_gateway.protocols.twfido.applink import app_link
from moica_gateway.protocols.twfido.client import SpApiClient
from moica_gateway.protocols.twfido.endings import (
    ending,
    fault,
    need_checksum,
    not_begun,
    unreachable,
)
from moica_gateway.protocols.twfido.envelope import Envelope, answer_incomplete, answer_invalid
from moica_gateway.protocols.twfido.guard import Alarm, Guard
from moica_gateway.protocols.twfido.operation import (
    AUTHENTICATE,
    MAX_MESSAGES,
    Operation,
    check_messages,
    operation_asked,
    operation_of,
    remember_operation,
)
from moica_gateway.protocols.twfido.result import read_device_status, read_result
from moica_gateway.protocols.twfido.shown import shown_answer
from moica_gateway.protocols.twfido.ticket import (
    ExpectedTicket,
    check_ticket,
    parse_ticket,
    read_ticket,
)

__all__ = ["TwFidoUpstream"]

_WAKE_UP: Final = "wake_up"


class TwFidoUpstream:
    """The Ministry's platform.

    Args:
        base_url: Of the API host; that it fits the environment is checked in the settings.
        egress: The way out.
        clock: For durations and dates of headers.
        random: For IVs and wake-up tokens.
        poll_interval: Seconds between two polls of a ticket; the platform asks for at least 4.
        alarm: Told of ``security.upstream_iv_zero`` and ``security.upstream_iv_repeated``; must
            not raise.
        web_base_url: Of the site that a redirected browser goes to; without it there is no
            `Channel.REDIRECT`.
        raw: Whether RAW may be used, for digests and for messages that do not fit. It is known
            from one source only.
        timeout: Seconds for one exchange.
        logger: A structlog logger; without it the module's own.
    """

    def __init__(
        self,
        base_url: str,
        egress: Egress,
        clock: Clock,
        random: Random,
        poll_interval: float,
        alarm: Alarm,
        *,
        web_base_url: str | None = None,
        raw: bool = False,
        timeout: float = 10.0,
        logger: Any = None,
    ) -> None:
        self.name = "twfido"
        self.channels: frozenset[Channel] = frozenset(wire.OP_MODES) | (
            {Channel.REDIRECT} if web_base_url else set()
        )
        self.poll_interval = poll_interval
        self.max_messages = MAX_MESSAGES
        self._web_base_url = web_base_url or ""
        self._raw = raw
        self._client = SpApiClient(base_url, egress, clock, timeout=timeout, logger=logger)
        self._random = random
        self._guard = Guard(alarm)

    def accepts(self, messages: Sequence[Tbs]) -> None:
        """Whether they fit on one ticket: 1 to 20 of one form and hash, of 1 to 768 bytes each.

        Raises:
            RequestError: ``request_invalid``, ``document_too_large``, ``format_unsupported``.
        """
        check_messages(messages, raw=self._raw)

    async def begin(self, request: Begin) -> Begun | Fault | StartUnknown:
        """ATH-03 for push, ATH-01 for a code or link, ATH-04 for several messages; for a redirect
        nothing leaves here, the browser brings it. Raises nothing but ``CancelledError``."""
        interface = None
        try:
            if request.channel not in self.channels:
                raise self._unsupported(request.channel.value)
            operation = operation_asked(request, raw=self._raw)
            interface = wire.interface_of(request.channel, operation)
            key = _key(request.service_provider, None)
            if interface is wire.WEB:
                return redirect.begin_redirect(request, operation, key, self._random)
            sent = wire.start_request(request, operation, key, self._random)
            envelope = await self._client.ask(sent)
            return self._begun(request, operation, sent, key, envelope)
        except EgressError as exc:
            if exc.maybe_sent:
                asked = interface.id if interface else "a request"
                return StartUnknown(detail=f"no answer to {asked}: {exc.kind}")
            return fault(unreachable(exc))
        except GatewayError as exc:
            return fault(exc.problem)

    async def poll(self, handle: Handle, service_provider: ServiceProvider) -> Answer:
        """ATH-02; a redirect has no ticket to ask for, so that it is always `Pending`. Raises
        nothing but ``CancelledError``."""
        if redirect.is_redirect(handle):
            return Pending()
        try:
            key = _key(service_provider, handle.sp_key_id)
            sent = wire.poll_request(handle, service_provider.sp_service_id, key, self._random)
            envelope = await self._client.ask(sent)
            checksums = (*handle.sent_checksums, sent.checksum)
            return self._result(handle, service_provider, sent.interface, checksums, envelope)
        except EgressError as exc:
            return fault(unreachable(exc))
        except GatewayError as exc:
            return fault(exc.problem)

    def claimed_transaction_id(self, unverified: bytes) -> str:
        """Of WEB-01's form. Raises ``RequestError`` ``request_malformed``."""
        try:
            return redirect.parse_callback(unverified).transaction_id
        except GatewayError as exc:
            raise error("request_malformed", exc.problem.detail) from exc

    def receive(
        self, handle: Handle, service_provider: ServiceProvider, unverified: bytes
    ) -> Answer:
        """WEB-01's form. Raises nothing.

        What comes back on an app link's ``rtn_url`` is a wake-up to poll, and nothing for here.
        """
        try:
            if not redirect.is_redirect(handle):
                raise _not_received()
            callback = redirect.parse_callback(unverified)
            ours = handle.transaction_id
            if not hmac.compare_digest(callback.transaction_id.encode(), ours.encode()):
                raise answer_invalid("our own transaction_id", "another")
            return self._result(
                handle, service_provider, wire.WEB, handle.sent_checksums, callback.envelope
            )
        except GatewayError as exc:
            return fault(exc.problem)

    def shown(self, raw: bytes) -> bytes:
        """See the port."""
        return shown_answer(raw)

    def presentation(
        self, handle: Handle, channel: Channel, return_url: str | None
    ) -> Presentation:
        """The whole ticket for a QR code, a link for a phone's browser, a form that the browser
        posts to the Ministry's site; push shows nothing."""
        if redirect.is_redirect(handle):
            if channel is Channel.REDIRECT and self._web_base_url:
                return Presentation(form=redirect.presented_form(handle, self._web_base_url))
        elif channel is Channel.QR:
            return Presentation(qr_payload=handle.ticket)
        elif channel is Channel.APP_LINK:
            wake_up = str(handle.extra.get(_WAKE_UP, ""))
            return Presentation(url=app_link(handle.ticket, return_url, wake_up))
        return Presentation()

    async def device_status(
        self,
        service_provider: ServiceProvider,
        id_number: IdNumber,
        upstream_transaction_id: str,
    ) -> DeviceStatus | Fault:
        """LF-01. Raises nothing but ``CancelledError``."""
        try:
            sent = wire.status_request(
                upstream_transaction_id,
                service_provider.sp_service_id,
                id_number,
                _key(service_provider, None),
                self._random,
            )
            envelope = await self._client.ask(sent)
            checksums = (sent.checksum,)
            asked = (sent.interface, service_provider, upstream_transaction_id, checksums)
            if not envelope.success:
                self._believe(envelope, *asked)
                return not_begun(envelope, sent.interface)
            need_checksum(envelope)
            status = read_device_status(envelope)
            self._believe(envelope, *asked, only_evidence=True)
            return status
        except EgressError as exc:
            return fault(unreachable(exc))
        except GatewayError as exc:
            return fault(exc.problem)

    # -- what is believed ----------------------------------------------------------------------

    def _begun(
        self,
        asked: Begin,
        operation: Operation,
        sent: wire.Request,
        key: SpKey,
        envelope: Envelope,
    ) -> Begun | Fault:
        interface, provider = sent.interface, asked.service_provider
        transaction_id, checksums = asked.upstream_transaction_id, (sent.checksum,)
        if not envelope.success:
            self._believe(envelope, interface, provider, transaction_id, checksums)
            return not_begun(envelope, interface)
        need_checksum(envelope)
        text = read_ticket(envelope.result)
        if text is None:
            raise answer_incomplete("sp_ticket")
        self._believe(envelope, interface, provider, transaction_id, checksums)
        ticket = parse_ticket(text)
        check_ticket(
            ticket,
            ExpectedTicket(
                transaction_id=transaction_id,
                sp_service_id=provider.sp_service_id,
                id_num=asked.id_number.reveal(),
                op_code=operation.op_code,
                op_mode=wire.OP_MODES[asked.channel],
                hint=asked.hint,
                device_user_def_desc=asked.device_name if interface is wire.PUSH else None,
                sign_info=operation.sign_info,
            ),
        )
        wake_up = base64.urlsafe_b64encode(self._random.token_bytes(15)).decode("ascii")
        return Begun(
            handle=Handle(
                transaction_id=transaction_id,
                ticket=ticket.text,
                ticket_id=ticket.ticket_id,
                sp_key_id=key.id,
                sent_checksums=checksums,
                hashed_id_num=ticket.hashed_id_num,
                extra={**remember_operation(operation), _WAKE_UP: wake_up},
            )
        )

    def _result(
        self,
        handle: Handle,
        provider: ServiceProvider,
        interface: wire.Interface,
        sent_checksums: Sequence[str],
        envelope: Envelope,
    ) -> Answer:
        operation = operation_of(handle)
        asked = (interface, provider, handle.transaction_id, sent_checksums)
        if not envelope.success:
            self._believe(envelope, *asked)
            return ending(envelope, interface)
        need_checksum(envelope)
        found = read_result(operation, interface, envelope)
        # A signature speaks for its document, but for WEB-01's ID number nothing else speaks.
        alone = operation.op_code == AUTHENTICATE or interface is wire.WEB
        self._believe(found.covered, *asked, only_evidence=alone)
        if found.id_num is not None:
            redirect.check_id_num(handle, found.id_num)
        elif handle.hashed_id_num is not None and handle.hashed_id_num != found.hashed_id_num:
            raise error(
                "hashed_id_num_mismatch",
                "expected the person of the ticket in the result, came another; "
                "the answer is not accepted and not asked for again",
            )
        return Approved(proof=found.proof)

    def _believe(
        self,
        envelope: Envelope,
        interface: wire.Interface,
        provider: ServiceProvider,
        transaction_id: str,
        sent_checksums: Sequence[str],
        *,
        only_evidence: bool = False,
    ) -> None:
        """A checksum that is there has to be right; none at all is the caller's question."""
        if envelope.idp_checksum is None:
            return
        self._guard.verify(
            envelope.idp_checksum,
            payloads=wire.answer_payloads(interface, transaction_id, envelope),
            service_provider=provider,
            sent_checksums=sent_checksums,
            interface=interface.id,
            transaction_id=transaction_id,
            only_evidence=only_evidence,
        )

    def _unsupported(self, came: str) -> GatewayError:
        names = ", ".join(sorted(self.channels))
        return error(
            "channel_unsupported",
            f"expected one of {names}, came {came}; the integrator chooses another channel",
        )


def _key(provider: ServiceProvider, pinned: str | None) -> SpKey:
    """The pinned key while it is there, else the current one."""
    for key in provider.keys:
        if key.id == pinned:
            return key
    try:
        return provider.current_key
    except LookupError as exc:
        raise error(
            "configuration_invalid",
            "expected a current AES key of the service provider, there is none; "
            "the operator sets the key that was issued",
        ) from exc


def _not_received() -> GatewayError:
    return error(
        "channel_unsupported",
        "expected the answer to a redirect, came one to a ticket that is polled; nothing of it was "
        "read",
    )
