"""`/moise/sp/...`: the platform as relying systems see it, with faults and history around it.

Business errors arrive with HTTP 200 in the envelope; whatever else goes wrong is shaped as Spring
Boot shapes it: `timestamp, status, error, path`.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import attrs
from aiohttp import web

from moica_simulator.alterations import Surroundings, altered
from moica_simulator.checksum import sha256_hex
from moica_simulator.core import SimulatorCore
from moica_simulator.faults import Drop, Fault, Line, Tamper, apply_code, flip_hex, tampered
from moica_simulator.history import RecordedRequest
from moica_simulator.platform.idp import Finding
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
    finding: Finding = attrs.field(factory=Finding)
    applied: list[Fault] = attrs.field(factory=list)

    @classmethod
    async def run(cls, request: web.Request, interface: Interface) -> web.StreamResponse:
        core = request.app[CORE]
        exchange = cls(core, request, interface, core.history.next_number(), core.clock.now())
        return await exchange._answer()

    async def _answer(self) -> web.StreamResponse:
        if self.request.content_type != "application/json":
            return self._finish(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        try:
            self.body = parse_json(await self.request.read())
        except ValueError:
            return self._finish(HTTPStatus.BAD_REQUEST)
        if not isinstance(self.body, Mapping):
            return self._finish(HTTPStatus.BAD_REQUEST)
        faults = self._faults()
        harm = self._take_blunt(faults)
        status, envelope = self._make(harm, faults)
        await self._delay(faults)
        if harm is not None and harm.drop is not None:
            return self._drop()
        line = self._line(faults)
        if line is not None:
            return await self._send(line, status, envelope)
        return self._finish(status, envelope)

    def _faults(self) -> list[Fault]:
        if not any(each.interface is self.interface for each in self.core.faults.all()):
            return []  # whom the request is about is not asked for nothing
        return self.core.faults.matching(
            self.interface,
            self._about(),
            self._said("sp_service_id"),
            self.core.idp.devices_of(self.body),
        )

    def _take_blunt(self, faults: list[Fault]) -> Fault | None:
        """Takes the first fault that harms any answer; one that tampers has to see it first."""
        for fault in faults:
            sharp = fault.tamper or fault.alter or fault.line or fault.latency_s
            if sharp is None and self._count(fault):
                return fault
        return None

    def _make(self, harm: Fault | None, faults: list[Fault]) -> tuple[int, dict[str, Any] | None]:
        """Returns status and envelope; only an answer that is made by the platform acts."""
        if harm is None or harm.drop is Drop.ANSWER:
            reply = self.core.idp.answer(self.interface, self.body, self.finding)
            return HTTPStatus.OK, self._alter(self._write(reply, faults), faults)
        if harm.code is not None:
            return HTTPStatus.OK, write(apply_code(self.interface, harm.code), self.core.randomness)
        return harm.http_status or HTTPStatus.OK, None

    def _write(self, reply: Reply, faults: list[Fault]) -> dict[str, Any]:
        for fault in faults:
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

    def _alter(self, envelope: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        for fault in faults:
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

    def _line(self, faults: list[Fault]) -> Line | None:
        for fault in faults:
            if fault.line is not None and self._count(fault):
                return fault.line
        return None

    async def _send(
        self, line: Line, status: int, envelope: dict[str, Any] | None
    ) -> web.StreamResponse:
        answer = envelope or _spring_body(status, self.request.path, self.core.clock.now())
        self._record(status, answer)
        return await send(self.request, line, status, answer)

    async def _delay(self, faults: list[Fault]) -> None:
        for fault in faults:
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
            early=(
                self.interface is Interface.GET_RESULT
                and ticket_id is not None
                and self.core.history.is_early_poll(ticket_id, self.at)
            ),
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
