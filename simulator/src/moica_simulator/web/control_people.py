"""The part of `/sim/v1` about people, their activation codes and their citizen cards."""

from typing import Any

from aiohttp import web

from moica_simulator.records import Person
from moica_simulator.testpersons import TEST_PERSONS
from moica_simulator.web import shapes
from moica_simulator.web.body import list_parameters, read_fields
from moica_simulator.web.keys import CORE

__all__ = ["routes"]

_PREFIX = "/sim/v1"


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    person = f"{_PREFIX}/people/{{id_number}}"
    return [
        web.post(f"{_PREFIX}/people", _add_person),
        web.get(f"{_PREFIX}/people", _list_people),
        web.get(person, _get_person),
        web.post(f"{person}/activation-codes", _new_activation_code),
        web.post(f"{person}/unlock-card", _unlock_card),
        web.post(f"{person}/deregister", _deregister),
        web.post(f"{_PREFIX}/test-persons", _add_test_persons),
        web.get(f"{_PREFIX}/test-persons", _list_test_persons),
    ]


def _show(request: web.Request, person: Person) -> dict[str, Any]:
    locked = request.app[CORE].cards.locked(person.id_number)
    return shapes.person(person, card_locked=locked)


async def _add_person(request: web.Request) -> web.Response:
    core = request.app[CORE]
    fields = await read_fields(request, "id_number", "name", "pin")
    id_number = fields.text("id_number")
    known = core.state.platform.people.get(id_number) is not None
    added = await core.add_person(id_number, fields.text("name"), pin=fields.text("pin", None))
    return web.json_response(_show(request, added), status=200 if known else 201)


async def _list_people(request: web.Request) -> web.Response:
    after, limit = list_parameters(request)
    page = request.app[CORE].state.platform.people.page(after=after, limit=limit)
    items = [_show(request, each) for each in page.items]
    return web.json_response(shapes.listing(items, page.next_cursor))


async def _get_person(request: web.Request) -> web.Response:
    found = request.app[CORE].person(request.match_info["id_number"])
    return web.json_response(_show(request, found))


async def _new_activation_code(request: web.Request) -> web.Response:
    await read_fields(request)
    code = await request.app[CORE].new_activation_code(request.match_info["id_number"])
    return web.json_response(shapes.activation_code(code), status=201)


async def _unlock_card(request: web.Request) -> web.Response:
    await read_fields(request)
    found = request.app[CORE].unlock_card(request.match_info["id_number"])
    return web.json_response(_show(request, found))


async def _deregister(request: web.Request) -> web.Response:
    await read_fields(request)
    await request.app[CORE].deregister(request.match_info["id_number"])
    return await _get_person(request)


async def _add_test_persons(request: web.Request) -> web.Response:
    await read_fields(request)
    made = await request.app[CORE].add_test_persons()
    return web.json_response(shapes.slice_of(made, shapes.test_person, 0, len(made)))


async def _list_test_persons(request: web.Request) -> web.Response:
    after, limit = list_parameters(request)
    return web.json_response(shapes.slice_of(TEST_PERSONS, shapes.test_person, after, limit))
