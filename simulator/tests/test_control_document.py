"""The control API's OpenAPI document: complete, true, and itself valid.

That every answer of every test stands in it is seen to by conftest.py.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
from aiohttp import web

import moica_simulator
from moica_simulator import Simulator
from moica_simulator.web import app as web_app
from moica_simulator.web.openapi import ERRORS, OPERATIONS, control_document

DOCUMENT = control_document("test")
SOURCE = Path(moica_simulator.__file__).parent
RAISED = ("SimulatorError", "ConfigurationError")
NOT_OF_THE_CONTROL_API = {
    "activation_code_unknown",
    "address_unusable",
    "port_in_use",
    "redirect_unknown",
    "state_unusable",
}


def routed(application: web.Application) -> set[tuple[str, str]]:
    """Every method and path below /sim/v1 that is routed."""
    return {
        (route.method.lower(), route.resource.canonical)
        for route in application.router.routes()
        if route.resource is not None
        and route.resource.canonical.startswith("/sim/")
        and route.method != "HEAD"
    }


def documented() -> set[tuple[str, str]]:
    return {(method, path) for path, item in DOCUMENT["paths"].items() for method in item}


async def test_exactly_the_routes_of_the_application_are_documented(sim: Simulator) -> None:
    """By method and path, in both directions."""
    application = web_app.create_app(sim, sim.url)
    assert routed(application) == documented()


async def test_the_document_is_served(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """As JSON, with the simulator's version and its warning."""
    async with http.get(f"{sim.url}/sim/v1/openapi.json") as reply:
        served = await reply.json()
    assert served == control_document(moica_simulator.__version__)
    assert "NOT FOR PRODUCTION" in served["info"]["description"]


def test_operations_are_named_once() -> None:
    """Clients are generated from the names."""
    names = [each.name for each in OPERATIONS]
    assert len(set(names)) == len(names)


def codes_raised() -> Iterator[str]:
    """Every code with which the source makes a SimulatorError."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in RAISED:
                for inner in ast.walk(node.args[0]):
                    if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                        yield inner.value


def test_every_error_of_the_source_is_documented() -> None:
    """And none that no longer exists; those of the start and of the browser's page apart."""
    own = {code for code in ERRORS if not code.startswith("http_")}
    assert set(codes_raised()) - NOT_OF_THE_CONTROL_API == own
    used = {code for each in OPERATIONS for code in each.errors}
    everywhere = {"body_invalid", "http_404", "http_413", "origin_refused", "parameter_invalid"}
    assert set(ERRORS) == (used & set(ERRORS)) | everywhere


def examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every schema that has examples, with each of them."""
    if isinstance(node, dict):
        for value in node.get("examples", []) if isinstance(node.get("examples"), list) else []:
            yield node, value
        named = node.get("examples")
        if isinstance(named, dict) and "schema" in node:
            for shown in named.values():
                yield node["schema"], shown["value"]
        for value in node.values():
            yield from examples(value)
    elif isinstance(node, list):
        for value in node:
            yield from examples(value)


def test_every_example_is_valid_and_every_body_has_one() -> None:
    """An example that the schema refuses would be worse than none."""
    pairs = list(examples(DOCUMENT))
    assert len(pairs) > 30
    for schema, value in pairs:
        whole = {**schema, "components": DOCUMENT["components"]}
        assert jsonschema_rs.is_valid(whole, value), (schema, value)
    asked = {name for each in OPERATIONS for name in each.body} - {"Nothing", "Scan"}
    for name in asked:
        assert DOCUMENT["components"]["schemas"][name]["examples"], name


def test_every_reference_leads_somewhere() -> None:
    """And every type is used."""
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in DOCUMENT["components"]["schemas"]


async def test_every_documented_limit_of_a_list_is_the_servers(
    sim: Simulator, http: aiohttp.ClientSession
) -> None:
    """A list takes `limit` up to what the document says, and no more."""
    await sim.add_person("A123456789", "王小明")
    phone = await sim.bind_device("A123456789")
    lists = [each for each in OPERATIONS if each.method == "get" and "List" in (each.answer or "")]
    assert len(lists) == 10
    for each in lists:
        path = each.path.format(id_number="A123456789", device_id=phone.id)
        (asked,) = [one for one in each.written()["parameters"] if one["name"] == "limit"]
        least, most = asked["schema"]["minimum"], asked["schema"]["maximum"]
        for limit, status in ((least, 200), (most, 200), (most + 1, 400), (least - 1, 400)):
            async with http.get(f"{sim.url}/sim/v1{path}?limit={limit}") as reply:
                assert reply.status == status, path
