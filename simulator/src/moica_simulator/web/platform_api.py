"""`/moise/sp/...`: the platform as relying systems see it, with faults and history around it.

Business errors arrive with HTTP 200 in the envelope; whatever else goes wrong is shaped as Spring
Boot shapes it: `timestamp, status, error, path`.
"""

import asyncio
import codecs
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import attrs
from aiohttp import web

from moica_simulator.alterations import Surroundings, altered
from moica_simulator.checksum import sha256_hex
from moica_simulator.core import SimulatorCore
from moica_simulator.faults import (
    Drop,
    Fault,
    LateAnswer,
    Line,
    Tamper,
    apply_code,
    flip_hex,
    tampered,
)
from moica_simulator.history import RecordedRequest
from moica_simulator.platform.idp import Finding
from moica_simulator.platform.reading import Reading
from moica_simulator.platform.reply import Reply, write
from moica_simulator.platform.wire import Interface
from moica_simulator.web.body import parse_json
from moica_simulator.web.keys import CORE
from moica_simulator.web.line import send

__all__ = ["routes", "spring_error"]


_JSON = {"Content-Type": "application/json; charset=utf-8"}


def routes() -> list[web.RouteDef]:
    """Returns one route an interface."""

    def route(interface: Interface) -> web.RouteDef:
        async def handler(request: web.Request) -> web.StreamResponse:
            return await _Exchange.run(request, interface)

        return web.post(f"/moise/sp/{interface.method}", handler)

    # The redirect is a page for browsers, not a method.
    return [route(each) for each in Interface if each is not Interface.REDIRECT]


def spring_error(status: int, path: str, now: datetime) -> web.Response:
    """Writes a non-200 answer as the platform does."""
    return web.json_response(_spring_body(status, path, now), status=status)


@attrs.define
class _Exchange:
    """One request on its way through faults, platform and history."""

    core: SimulatorCore
    request: web.Request
    interface: Interface
    number: int
    at: datetime
    body: Any = None
    early: bool = False
    finding: Finding = attrs.field(factory=Finding)
    faults: list[Fault] = attrs.field(factory=list)
    applied: list[Fault] = attrs.field(factory=list)

    @classmethod
    async def run(cls, request: web.Request, interface: Interface) -> web.StreamResponse:
        core = request.app[CORE]
        exchange = cls(core, request, interface, core.history.next_number(), core.clock.now())
        return await exchange._answer()

    async def _answer(self) -> web.StreamResponse:
        if not self._takes_type():
            return self._finish(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        try:
            self.body = self._parse(await self.request.read())
        except ValueError:
            return self._finish(HTTPStatus.BAD_REQUEST)
        if not isinstance(self.body, Mapping):
            return self._finish(HTTPStatus.BAD_REQUEST)
        self.faults = self._matching()
        harm = self._take_blunt()
        status, envelope = self._make(harm)
        await self._delay()
        if harm is not None and harm.drop is not None:
            return self._drop()
        fault = self._line()
        if fault is not None and fault.line is not None:
            if fault.line is not Line.LATE:
                return await self._send(fault.line, status, envelope)
            if envelope is not None:
                self.core.faults.hold(LateAnswer(fault, envelope), self._said("sp_service_id"))
            return self._drop()
        late = self.core.faults.take_late(self.interface, self._said("sp_service_id"))
        if late is not None:
            self.applied.append(late.fault)
            return self._finish(HTTPStatus.OK, dict(late.envelope))
        return self._finish(status, envelope)

    def _takes_type(self) -> bool:
        """Says whether the body's type is read: JSON, to the letter in UTF-8, generously any."""
        match self.core.idp.reading:
            case Reading.LENIENT:
                return True
            case Reading.STRICT if (self.request.charset or "").lower() != "utf-8":
                return False
        return self.request.content_type == "application/json"

    def _parse(self, raw: bytes) -> Any:
        match self.core.idp.reading:
            case Reading.LENIENT:
                return parse_json(raw.removeprefix(codecs.BOM_UTF8))
            case Reading.STRICT:
                return parse_json(raw, unique=True)
        return parse_json(raw)

    def _too_early(self) -> bool:
        """Notes a poll; says whether it came so early that a strict platform refuses it."""
        ticket_id = self._said("sp_ticket_id")
        if self.interface is not Interface.GET_RESULT or ticket_id is None:
            return False
        strict = self.core.idp.reading is Reading.STRICT
        # A refused poll is none: who polls too fast would otherwise never be answered.
        self.early = self.core.history.is_early_poll(ticket_id, self.at, refused=strict)
        return strict and self.early

    def skew(self, alters: Callable[[timedelta], bool]) -> timedelta:
        """Says how far the clock is ahead by which this is answered."""
        for fault in self.faults:
            if fault.clock_skew_s is not None:
                by = timedelta(seconds=fault.clock_skew_s)
                if alters(by) and self._count(fault):
                    return by
        return timedelta(0)

    def ticket_skew(self) -> timedelta:
        """Says by how much the time written into a ticket is wrong."""
        for fault in self.faults:
            if fault.ticket_skew_s is not None and self._count(fault):
                return timedelta(seconds=fault.ticket_skew_s)
        return timedelta(0)

    def _matching(self) -> list[Fault]:
        drawn = self.core.faults.draw(self.interface)
        if not any(each.interface is self.interface for each in self.core.faults.all()):
            return drawn  # whom the request is about is not asked for nothing
        matching = self.core.faults.matching(
            self.interface,
            self._about(),
            self._said("sp_service_id"),
            self.core.idp.devices_of(self.body),
        )
        return [*matching, *drawn]

    def _take_blunt(self) -> Fault | None:
        """Takes the first fault that harms any answer; one that tampers has to see it first."""
        for fault in self.faults:
            blunt = fault.code or fault.http_status or fault.drop
            if blunt is not None and self._count(fault):
                return fault
        return None

    def _make(self, harm: Fault | None) -> tuple[int, dict[str, Any] | None]:
        """Returns status and envelope; only an answer that is made by the platform acts."""
        if harm is None or harm.drop is Drop.ANSWER:
            if self._too_early():
                return HTTPStatus.TOO_MANY_REQUESTS, None
            reply = self.core.idp.answer(self.interface, self.body, self.finding, self)
            return HTTPStatus.OK, self._alter(self._write(reply))
        if harm.code is not None:
            return HTTPStatus.OK, write(apply_code(self.interface, harm.code), self.core.randomness)
        return harm.http_status or HTTPStatus.OK, None

    def _write(self, reply: Reply) -> dict[str, Any]:
        for fault in self.faults:
            if fault.tamper is None:
                continue
            altered = tampered(reply, fault.tamper)
            if altered is None or not self._count(fault):
                continue
            checksum = None if fault.reseal else reply.sealed(self.core.randomness)
            if fault.tamper is Tamper.IDP_CHECKSUM:
                checksum = flip_hex(reply.sealed(self.core.randomness))
            return write(altered, self.core.randomness, checksum=checksum)
        return write(reply, self.core.randomness)

    def _alter(self, envelope: dict[str, Any]) -> dict[str, Any]:
        for fault in self.faults:
            if fault.alter is None:
                continue
            changed = altered(fault.alter, envelope, self._surroundings())
            if changed is not None and self._count(fault):
                return changed
        return envelope

    def _surroundings(self) -> Surroundings:
        service_id = self._said("sp_service_id")
        return Surroundings(
            interface=self.interface.value,
            sent_checksum=self._said("sp_checksum"),
            earlier=tuple(
                each.answer
                for each in self.core.requests.where(interface=self.interface.value)
                if each.sp_service_id == service_id and isinstance(each.answer, dict)
            ),
            other_certificate=self.core.ca.of_another(self._about()),
        )

    def _said(self, name: str) -> str | None:
        found = self.body.get(name) if isinstance(self.body, Mapping) else None
        return found if isinstance(found, str) else None

    def _about(self) -> str | None:
        return self.core.idp.id_number_of(self.body) if isinstance(self.body, Mapping) else None

    def _line(self) -> Fault | None:
        for fault in self.faults:
            if fault.line is not None and self._count(fault):
                return fault
        return None

    async def _send(
        self, line: Line, status: int, envelope: dict[str, Any] | None
    ) -> web.StreamResponse:
        answer = envelope or _spring_body(status, self.request.path, self.core.clock.now())
        self._record(status, answer)
        return await send(self.request, line, status, answer)

    async def _delay(self) -> None:
        for fault in self.faults:
            if fault.latency_s is not None and self._count(fault):
                await asyncio.sleep(fault.latency_s)

    def _count(self, fault: Fault) -> bool:
        counted = self.core.faults.count(fault)
        if counted:
            self.applied.append(fault)
            self.core.log.info("fault.applied", fault_id=fault.fault_id, interface=self.interface)
        return counted

    def _drop(self) -> web.Response:
        self._record(None, None)
        if self.request.transport is not None:
            self.request.transport.close()
        return web.Response()  # nobody is there to receive it

    def _finish(self, status: int, envelope: dict[str, Any] | None = None) -> web.Response:
        answer = envelope or _spring_body(status, self.request.path, self.core.clock.now())
        self._record(status, answer)
        return web.Response(body=json.dumps(answer).encode(), status=status, headers=_JSON)

    def _record(self, status: int | None, answer: dict[str, Any] | None) -> None:
        payload, ticket_id = self.finding.payload, self.finding.sp_ticket_id
        entry = RecordedRequest(
            number=self.number,
            at=self.at,
            interface=self.interface.value,
            body=self.body,
            payload=payload,
            payload_sha256=None if payload is None else sha256_hex(payload),
            checksum_verified=self.finding.checksum_verified,
            early=self.early,
            http_status=status,
            answer=answer,
            faults=tuple(each.fault_id for each in self.applied),
            harms=tuple(each.harm for each in self.applied),
            sp_service_id=self._said("sp_service_id"),
            id_number=self._about(),
            sp_ticket_id=ticket_id or self._said("sp_ticket_id"),
        )
        self.core.history.add(entry)
        self.core.log.debug(
            "platform.answered",
            interface=self.interface.value,
            http_status=status,
            code=entry.error_code if status == HTTPStatus.OK else None,
            sp_ticket_id=ticket_id,
        )


def _spring_body(status: int, path: str, now: datetime) -> dict[str, Any]:
    return {
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.000+00:00"),
        "status": status,
        "error": HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error",
        "path": path,
    }
