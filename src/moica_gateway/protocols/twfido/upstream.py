"""`TwFidoUpstream`: the SP API as ``ports.Upstream``. Returns only what is authentic.

The order of belief, each step only for what passed those before it:

1. size, HTTP status, UTF-8, JSON, envelope (``client``, ``envelope``);
2. success is ``error_code`` exactly 0, with a result and an ``idp_checksum``;
3. each field in its grammar (``envelope``);
4. an ``idp_checksum`` that is there verifies over our own ``transaction_id``, is none of ours
   (``guard``); one that is there and wrong ends everything, whatever the code says;
5. the ticket is the one asked for (``ticket``), and its person the result's.

A code without a checksum is believed for waiting and for ending, never for success, and is
recorded as ``unsigned``. What ``cert`` and the signature are worth is the judge's business: no
checksum covers ``cert``. Nothing is repeated here; when to ask again is the poller's decision.
Specification: ``security.md`` 1 to 4; ``design.md`` "The way of one signature" 3 to 5.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from moica_gateway.domain.models import (
    Answer,
    Approved,
    Begin,
    Begun,
    CertificateSignature,
    Channel,
    Fault,
    Handle,
    Lapsed,
    Pending,
    Presentation,
    Refused,
    ServiceProvider,
    SpKey,
    StartUnknown,
)
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import GatewayError, Problem, error, problem
from moica_gateway.ports import Clock, Egress, EgressError, Random
from moica_gateway.protocols.twfido import codes, wire
from moica_gateway.protocols.twfido.applink import app_link
from moica_gateway.protocols.twfido.client import SpApiClient
from moica_gateway.protocols.twfido.envelope import (
    HASHED_ID_NUM,
    Envelope,
    answer_incomplete,
    read_base64,
    read_text,
)
from moica_gateway.protocols.twfido.guard import Alarm, Guard
from moica_gateway.protocols.twfido.ticket import (
    ExpectedTicket,
    check_ticket,
    parse_ticket,
    read_ticket,
)

__all__ = ["TwFidoUpstream"]

_MAX_MESSAGE: Final = wire.MAX_SIGN_DATA // 4 * 3
_MAX_SIGNATURE: Final = 1024
_MAX_CERTIFICATE: Final = 16_384
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
        timeout: float = 10.0,
        logger: Any = None,
    ) -> None:
        self.name = "twfido"
        self.channels: frozenset[Channel] = frozenset(wire.OP_MODES)
        self.poll_interval = poll_interval
        self._client = SpApiClient(base_url, egress, clock, timeout=timeout, logger=logger)
        self._random = random
        self._guard = Guard(alarm)

    def accepts(self, messages: Sequence[Tbs]) -> None:
        """One message of 1 to 768 bytes.

        Raises:
            RequestError: ``request_invalid`` for none, several or an empty one,
                ``document_too_large``.
        """
        if len(messages) != 1:
            raise error(
                "request_invalid",
                f"expected exactly one document, came {len(messages)}; the integrator sends one "
                "request a document",
            )
        size = len(messages[0].message)
        if size == 0:
            raise error(
                "request_invalid",
                "expected something to sign, came nothing; the integrator sends the content",
            )
        if size > _MAX_MESSAGE:
            raise error(
                "document_too_large",
                f"expected at most {_MAX_MESSAGE} bytes to be signed as they are "
                f"({wire.MAX_SIGN_DATA} characters of base64), came {size}; the integrator "
                "chooses a format that signs a digest",
            )

    async def begin(self, request: Begin) -> Begun | Fault | StartUnknown:
        """ATH-03 for push, ATH-01 for a code or link. Raises nothing but ``CancelledError``."""
        try:
            self.accepts(request.messages)
            if request.channel not in self.channels:
                raise _unsupported(request.channel.value)
            key = _key(request.service_provider, None)
            sent = wire.start_request(request, request.messages[0], key, self._random)
            envelope = await self._client.ask(sent)
            return self._begun(request, sent, key, envelope)
        except EgressError as exc:
            if exc.maybe_sent:
                return StartUnknown(detail=f"no answer to {_interface(request).id}: {exc.kind}")
            return _fault(_unreachable(exc))
        except GatewayError as exc:
            return _fault(exc.problem)

    async def poll(self, handle: Handle, service_provider: ServiceProvider) -> Answer:
        """ATH-02. Raises nothing but ``CancelledError``."""
        try:
            key = _key(service_provider, handle.sp_key_id)
            sent = wire.poll_request(handle, service_provider.sp_service_id, key, self._random)
            envelope = await self._client.ask(sent)
            return self._result(handle, service_provider, sent, envelope)
        except EgressError as exc:
            return _fault(_unreachable(exc))
        except GatewayError as exc:
            return _fault(exc.problem)

    def receive(
        self,
        handle: Handle,
        service_provider: ServiceProvider,
        unverified: Mapping[str, str],
    ) -> Answer:
        """No channel of this protocol brings an answer by itself: always a fault, nothing is read.

        What comes back on an app link's ``rtn_url`` is a wake-up to poll, not an answer.
        """
        del handle, service_provider, unverified
        return _fault(_unsupported("a callback").problem)

    def presentation(
        self, handle: Handle, channel: Channel, return_url: str | None
    ) -> Presentation:
        """The whole ticket for a QR code, a link for a phone's browser; push shows nothing."""
        if channel is Channel.QR:
            return Presentation(qr_payload=handle.ticket)
        if channel is Channel.APP_LINK:
            wake_up = str(handle.extra.get(_WAKE_UP, ""))
            return Presentation(url=app_link(handle.ticket, return_url, wake_up))
        return Presentation()

    # -- what is believed ----------------------------------------------------------------------

    def _begun(
        self, asked: Begin, sent: wire.Request, key: SpKey, envelope: Envelope
    ) -> Begun | Fault:
        interface = sent.interface
        if not envelope.success:
            self._believe(envelope, sent, asked.service_provider, asked.upstream_transaction_id, ())
            row = codes.CODES.get(envelope.code)
            if row is not None and row.helps == "poll":
                # "Not finished yet" is no answer to a beginning: to us it is an unknown code.
                found = problem(
                    "upstream_unknown_code",
                    f"expected a ticket, {interface.id} answered a code that belongs to polling; "
                    "a new transaction may succeed",
                    upstream_code=envelope.code,
                )
                return _fault(found, spoke=True)
            return _fault(_problem(envelope, interface), spoke=True)
        _need_checksum(envelope)
        text = read_ticket(envelope.result)
        if text is None:
            raise answer_incomplete("sp_ticket")
        self._believe(envelope, sent, asked.service_provider, asked.upstream_transaction_id, ())
        ticket = parse_ticket(text)
        check_ticket(
            ticket,
            ExpectedTicket(
                transaction_id=asked.upstream_transaction_id,
                sp_service_id=asked.service_provider.sp_service_id,
                id_num=asked.id_number.reveal(),
                op_code=wire.OP_CODE,
                op_mode=wire.OP_MODES[asked.channel],
                hint=asked.hint,
                device_user_def_desc=asked.device_name if interface is wire.PUSH else None,
                sign_info=wire.sign_info(asked.messages[0]),
            ),
        )
        wake_up = base64.urlsafe_b64encode(self._random.token_bytes(15)).decode("ascii")
        return Begun(
            handle=Handle(
                transaction_id=asked.upstream_transaction_id,
                ticket=ticket.text,
                ticket_id=ticket.ticket_id,
                sp_key_id=key.id,
                sent_checksums=(sent.checksum,),
                hashed_id_num=ticket.hashed_id_num,
                extra={_WAKE_UP: wake_up},
            )
        )

    def _result(
        self, handle: Handle, provider: ServiceProvider, sent: wire.Request, envelope: Envelope
    ) -> Answer:
        earlier = handle.sent_checksums
        if not envelope.success:
            self._believe(envelope, sent, provider, handle.transaction_id, earlier)
            return _ending(envelope, sent.interface)
        _need_checksum(envelope)
        result = envelope.result
        hashed = read_text(result, "hashed_id_num", HASHED_ID_NUM, "an opaque token")
        signature = read_base64(result, "signed_response", _MAX_SIGNATURE)
        certificate = read_base64(result, "cert", _MAX_CERTIFICATE)
        if hashed is None or signature is None or certificate is None:
            raise answer_incomplete("hashed_id_num, signed_response and cert")
        self._believe(envelope, sent, provider, handle.transaction_id, earlier)
        if handle.hashed_id_num is not None and handle.hashed_id_num != hashed:
            raise error(
                "hashed_id_num_mismatch",
                "expected the person of the ticket in the result, came another; "
                "the answer is not accepted and not asked for again",
            )
        return Approved(
            proof=CertificateSignature(
                unverified_certificate=certificate[1],
                unverified_signatures=(signature[1],),
                hashed_id_num=hashed,
                raw=envelope.raw,
            )
        )

    def _believe(
        self,
        envelope: Envelope,
        sent: wire.Request,
        provider: ServiceProvider,
        transaction_id: str,
        earlier: Sequence[str],
    ) -> None:
        """A checksum that is there has to be right; none at all is the caller's question."""
        if envelope.idp_checksum is None:
            return
        self._guard.verify(
            envelope.idp_checksum,
            payloads=wire.answer_payloads(sent.interface, transaction_id, envelope),
            service_provider=provider,
            sent_checksums=(*earlier, sent.checksum),
            interface=sent.interface.id,
            transaction_id=transaction_id,
            # A signature over our bytes is the evidence; bare ATH is not spoken here.
            only_evidence=False,
        )


def _need_checksum(envelope: Envelope) -> None:
    if envelope.idp_checksum is None:
        raise error(
            "checksum_missing",
            "expected idp_checksum in the result of error_code 0, came none; "
            "the answer is not accepted and not asked for again",
        )


def _ending(envelope: Envelope, interface: wire.Interface) -> Answer:
    """What a code means while polling: wait, or an ending. Never success."""
    row = codes.CODES.get(envelope.code)
    if row is not None and row.helps == "poll":
        return Pending()
    if envelope.code == codes.TICKET_LAPSED:
        return Lapsed(unsigned=envelope.idp_checksum is None)
    found = _problem(envelope, interface)
    if envelope.code == codes.CANCELLED_BY_HOLDER:
        return Refused(found)
    return _fault(found, spoke=True)


def _problem(envelope: Envelope, interface: wire.Interface) -> Problem:
    return codes.problem_of(
        envelope.code, interface=interface.id, unsigned=envelope.idp_checksum is None
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


def _interface(asked: Begin) -> wire.Interface:
    return wire.PUSH if asked.channel is Channel.PUSH else wire.TICKET


def _unsupported(came: str) -> GatewayError:
    return error(
        "channel_unsupported",
        f"expected push, qr or app_link, came {came}; the integrator chooses another channel",
    )


def _unreachable(exc: EgressError) -> Problem:
    return problem(
        "upstream_unreachable",
        f"expected an answer of the platform, came none ({exc.kind}); it is asked for again while "
        "there is time, and the operator looks at the line to the platform",
    )


def _fault(found: Problem, *, spoke: bool = False) -> Fault:
    patience = found.extra.get("retry_after")
    return Fault(
        problem=found,
        spoke=spoke,
        retry_after=float(patience) if isinstance(patience, int | float) else None,
    )
