"""`/pki/...`: certificates, revocation lists, OCSP, as the certificates' own addresses say, and the
timestamper."""

import base64

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from moica_simulator.web.keys import CORE

__all__ = ["routes"]


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    return [
        web.get("/pki/anchors.pem", _anchors),
        web.get("/pki/certs/IssuedToThisCA.p7b", _chain),
        web.get("/pki/certs/GRCA-SIM.crt", _root),
        web.get("/pki/certs/MOICA-SIM.crt", _intermediate),
        web.get("/pki/crl/GRCA-SIM.crl", _root_list),
        web.get("/pki/crl/MOICA-SIM-complete.crl", _complete_list),
        web.get(r"/pki/crl/MOICA-SIM-{partition:\d{1,4}}.crl", _partition_list),
        web.post("/pki/ocsp", _ocsp),
        web.get("/pki/ocsp/{request:.+}", _ocsp_by_address),
        web.post("/pki/tsa", _timestamp),
    ]


async def _anchors(request: web.Request) -> web.Response:
    return web.Response(text=request.app[CORE].anchors_pem, content_type="application/x-pem-file")


async def _chain(request: web.Request) -> web.Response:
    chain = request.app[CORE].ca.authority.chain_p7b()
    return web.Response(body=chain, content_type="application/x-pkcs7-certificates")


async def _root(request: web.Request) -> web.Response:
    root = request.app[CORE].ca.authority.root
    return web.Response(body=root.public_bytes(Encoding.DER), content_type="application/pkix-cert")


async def _intermediate(request: web.Request) -> web.Response:
    found = request.app[CORE].ca.authority.intermediate
    return web.Response(body=found.public_bytes(Encoding.DER), content_type="application/pkix-cert")


async def _root_list(request: web.Request) -> web.Response:
    return _crl(await request.app[CORE].ca.root_list())


async def _complete_list(request: web.Request) -> web.Response:
    return _crl(await request.app[CORE].ca.complete_list())


async def _partition_list(request: web.Request) -> web.Response:
    found = await request.app[CORE].ca.partition_list(int(request.match_info["partition"]))
    if found is None:
        raise web.HTTPNotFound
    return _crl(found)


async def _ocsp(request: web.Request) -> web.Response:
    return await _ocsp_answer(request, await request.read())


async def _ocsp_by_address(request: web.Request) -> web.Response:
    # RFC 6960 A.1: base64, percent-encoded, behind the responder's address.
    try:
        asked = base64.b64decode(request.match_info["request"], validate=True)
    except ValueError:
        asked = b""
    return await _ocsp_answer(request, asked)


async def _ocsp_answer(request: web.Request, asked: bytes) -> web.Response:
    answer = await request.app[CORE].ca.answer_ocsp(asked)
    return web.Response(body=answer, content_type="application/ocsp-response")


async def _timestamp(request: web.Request) -> web.Response:
    if request.content_type != "application/timestamp-query":
        raise web.HTTPUnsupportedMediaType(text="expected application/timestamp-query")
    answer = await request.app[CORE].ca.answer_timestamp(await request.read())
    return web.Response(body=answer, content_type="application/timestamp-reply")


def _crl(der: bytes) -> web.Response:
    return web.Response(body=der, content_type="application/pkix-crl")
