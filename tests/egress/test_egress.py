"""The way out, against real servers of this process on loopback."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from moica_gateway.egress import (
    CheckedConnector,
    EgressClient,
    allow_all_but_loopback,
    allow_loopback_too,
)
from moica_gateway.errors import ConfigurationError
from moica_gateway.ports import Egress, EgressError

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def http(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a port of the system's choice."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(handler: Raw) -> AsyncIterator[int]:
    """A server that speaks whatever it wants."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
async def egress() -> AsyncIterator[EgressClient]:
    """As in the simulator environment."""
    client = EgressClient(allow=allow_loopback_too)
    yield client
    await client.close()


class Names(AbstractResolver):
    """Resolves as told, one list of addresses a call; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


async def refused(egress: EgressClient, url: str, **options: Any) -> EgressError:
    with pytest.raises(EgressError) as caught:
        await egress.request("POST", url, body=b"{}", **options)
    return caught.value


async def read_request(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")


# -- one exchange ------------------------------------------------------------------------------


async def test_one_exchange(egress: EgressClient) -> None:
    """Method, headers and body arrive; status, lower-case headers and body come back."""
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.raw_path, await request.read(), request.headers))
        response = web.Response(status=418, body=b"tea")
        response.headers.add("X-Two", "1")
        response.headers.add("X-Two", "2")
        return response

    port_of_way_out: Egress = egress
    async with http(handler) as port:
        reply = await port_of_way_out.request(
            "POST", f"http://127.0.0.1:{port}/a%20b?c=%26", headers={"X-Own": "ü"}, body=b"body"
        )
    assert (reply.status, reply.body, reply.headers["x-two"]) == (418, b"tea", "1, 2")
    method, path, body, headers = seen[0]
    assert (method, path, body) == ("POST", "/a%20b?c=%26", b"body")
    assert headers["X-Own"] == "ü"
    assert headers["User-Agent"] == "moica-gateway"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_reply_and_is_not_followed(egress: EgressClient, status: int) -> None:
    """Nobody asks the other address."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with http(handler) as port:
        reply = await egress.request("GET", f"http://127.0.0.1:{port}/")
    assert (reply.status, reply.headers["location"]) == (status, "/elsewhere")
    assert seen == ["/"]


async def test_no_cookie_is_kept_and_no_ambient_proxy_is_used(
    egress: EgressClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the environment nor an earlier answer changes a request."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(dict(request.cookies))
        response = web.Response()
        response.set_cookie("a", "b")
        return response

    async with http(handler) as port:
        for _ in range(2):
            await egress.request("GET", f"http://127.0.0.1:{port}/")
    assert seen == [{}, {}]


async def test_an_explicit_proxy_is_used() -> None:
    """The whole address goes to the proxy, which resolves it."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(str(request.raw_path))
        return web.Response(body=b"by proxy")

    async with http(handler) as port:
        client = EgressClient(
            allow=allow_all_but_loopback, proxy=f"http://user:secret@127.0.0.1:{port}"
        )
        reply = await client.request("GET", "http://platform.test/x")
        literal = await refused(client, "http://127.0.0.1:1/x")
        await client.close()
    assert reply.body == b"by proxy"
    assert seen == ["http://platform.test/x"]
    assert literal.kind == "address"


@pytest.mark.parametrize("proxy", ["", "proxy:3128", "socks5://a:1", "http://", "http://[a"])
def test_a_proxy_that_is_none_is_a_configuration_error(proxy: str) -> None:
    """At the start and not at the first request."""
    with pytest.raises(ConfigurationError):
        EgressClient(proxy=proxy)


# -- limits ------------------------------------------------------------------------------------


async def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(
    egress: EgressClient,
) -> None:
    """The limit counts to the byte."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.query["n"]))

    async with http(handler) as port:
        base = f"http://127.0.0.1:{port}/?n="
        assert len((await egress.request("GET", base + "1000", max_bytes=1000)).body) == 1000
        large = await refused(egress, base + "1001", max_bytes=1000)
    assert (large.kind, large.maybe_sent) == ("too_large", True)


async def test_an_endless_body_is_cut_at_the_limit(egress: EgressClient) -> None:
    """Chunked, without a length, and never ending."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    async with http(handler) as port:
        large = await refused(egress, f"http://127.0.0.1:{port}/", max_bytes=1_000_000)
    assert large.kind == "too_large"


async def test_compressed_answers_are_unpacked_within_the_limit(egress: EgressClient) -> None:
    """What was asked for in gzip comes back plain."""

    async def handler(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "gzip"
        return web.Response(
            body=gzip.compress(b"plain" * 200), headers={"Content-Encoding": "gzip"}
        )

    async with http(handler) as port:
        reply = await egress.request("GET", f"http://127.0.0.1:{port}/", max_bytes=1000)
    assert reply.body == b"plain" * 200


BOMB = gzip.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    ("encoding", "body", "kind"),
    [
        ("gzip", BOMB, "too_large"),
        ("gzip", gzip.compress(bytes(500_000)), "too_large"),
        ("gzip", gzip.compress(b"x" * 1001), "too_large"),
        ("gzip", b"no gzip at all", "malformed"),
        ("gzip", gzip.compress(b"cut off")[:-4], "malformed"),
        ("gzip", gzip.compress(b"a") + b"more", "malformed"),
        ("gzip, gzip", gzip.compress(BOMB), "malformed"),
        ("br", b"x", "malformed"),
        ("deflate", b"x", "malformed"),
    ],
)
async def test_bombs_and_broken_encodings(
    egress: EgressClient, encoding: str, body: bytes, kind: str
) -> None:
    """The limit holds for what comes out, and nothing foreign is raised."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    async with http(handler) as port:
        error = await refused(egress, f"http://127.0.0.1:{port}/", max_bytes=1000)
    assert (error.kind, error.maybe_sent) == (kind, True)


async def test_a_slow_drip_meets_the_deadline(egress: EgressClient) -> None:
    """Each byte in time is not enough: the whole has a deadline."""
    forever = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        await writer.drain()
        await forever.wait()

    async with raw(drip) as port:
        error = await refused(egress, f"http://127.0.0.1:{port}/", timeout=0.05)
        forever.set()
    assert (error.kind, error.maybe_sent) == ("timeout", True)


async def test_silence_after_connecting_may_have_been_sent(egress: EgressClient) -> None:
    """The request left, no answer came."""
    forever = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forever.wait()

    async with raw(silent) as port:
        error = await refused(egress, f"http://127.0.0.1:{port}/", timeout=0.05)
        forever.set()
    assert (error.kind, error.maybe_sent) == ("timeout", True)


async def test_a_deadline_while_resolving_was_surely_not_sent() -> None:
    """No connection, no request."""
    forever = asyncio.Event()

    class Slow(Names):
        async def resolve(self, *args: Any, **options: Any) -> list[ResolveResult]:
            await forever.wait()
            return []

    client = EgressClient(allow=allow_loopback_too, resolver=Slow(["127.0.0.1"]))
    error = await refused(client, "http://slow.test/", timeout=0.02)
    forever.set()
    await client.close()
    assert (error.kind, error.maybe_sent) == ("timeout", False)


async def test_a_deadline_in_the_tls_handshake_was_surely_not_sent(
    egress: EgressClient,
) -> None:
    """The request follows the handshake."""
    forever = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forever.wait()

    async with raw(silent) as port:
        error = await refused(egress, f"https://127.0.0.1:{port}/", timeout=0.3)
        forever.set()
    assert (error.kind, error.maybe_sent) == ("timeout", False)


# -- broken lines ------------------------------------------------------------------------------


async def test_a_refused_connection_was_surely_not_sent(egress: EgressClient) -> None:
    """Nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await refused(egress, f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert (error.kind, error.maybe_sent) == ("connect", False)


async def test_an_unknown_name_was_surely_not_sent() -> None:
    """No address, no request."""

    class Unknown(Names):
        async def resolve(self, *args: Any, **options: Any) -> list[ResolveResult]:
            raise OSError(None, "no such name")

    client = EgressClient(allow=allow_loopback_too, resolver=Unknown([]))
    error = await refused(client, "http://nowhere.test/")
    await client.close()
    assert (error.kind, error.maybe_sent) == ("connect", False)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", "reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "malformed"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 500 + b"\r\n", "malformed"),
    ],
)
async def test_a_broken_answer_is_our_error_and_may_have_been_sent(
    egress: EgressClient, answer: bytes, kind: str
) -> None:
    """Reset, cut off, no HTTP, or headers beyond the limits."""

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    async with raw(broken) as port:
        error = await refused(egress, f"http://127.0.0.1:{port}/")
    assert error.maybe_sent
    assert error.kind == kind


async def test_a_reset_of_a_kept_connection_may_have_been_sent(egress: EgressClient) -> None:
    """The second request may have been read before the line broke; a POST is not repeated."""
    connections = 0
    requests = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, requests
        connections += 1
        await reader.readexactly(len(await reader.readuntil(b"\r\n\r\n")) and 2)
        requests += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        requests += 1

    async with raw(once) as port:
        url = f"http://127.0.0.1:{port}/"
        assert (await egress.request("POST", url, body=b"{}")).body == b"ok"
        error = await refused(egress, url)
    assert (error.kind, error.maybe_sent) == ("reset", True)
    assert (connections, requests) == (1, 2)


async def test_an_answer_that_nobody_asked_for_is_never_that_of_the_next_request(
    egress: EgressClient,
) -> None:
    """On a kept connection, right behind the answer or a moment later: it is given up for a new
    one."""
    heard, sent = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + head.split()[1][1:]
        writer.write(answer)
        if head.startswith(b"POST /two1"):
            writer.write(answer)
        await writer.drain()
        if head.startswith(b"POST /late"):
            await heard.wait()
            writer.write(answer)
            await writer.drain()
        sent.set()
        await reader.read()

    async with raw(handler) as port:
        for first in ("two1", "late"):
            reply = await egress.request("POST", f"http://127.0.0.1:{port}/{first}", body=b"")
            assert reply.body == first.encode()
            heard.set()
            async with asyncio.timeout(5):
                await sent.wait()
            for _ in range(10):  # rounds of the loop, in which it arrives on the idle connection
                await asyncio.sleep(0)
            reply = await egress.request("POST", f"http://127.0.0.1:{port}/next", body=b"")
            assert reply.body == b"next"
            await egress.close()
            heard.clear()
            sent.clear()


async def test_cancelling_goes_through(egress: EgressClient) -> None:
    """CancelledError is nobody's EgressError."""
    arrived = asyncio.Event()
    forever = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await forever.wait()

    async with raw(silent) as port:
        task = asyncio.ensure_future(egress.request("GET", f"http://127.0.0.1:{port}/"))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        forever.set()


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1.2.3/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
    ],
)
async def test_loopback_is_refused_unless_the_policy_allows_it(url: str) -> None:
    """In every spelling."""
    client = EgressClient(allow=allow_all_but_loopback)
    error = await refused(client, url)
    await client.close()
    assert (error.kind, error.maybe_sent) == ("address", False)


NEVER = [
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "fe80::1",
    "fe80::1%lo",
    "ff02::1",
    "fd00:ec2::254",
]


@pytest.mark.parametrize("address", NEVER)
async def test_some_addresses_are_refused_whatever_the_policy_says(address: str) -> None:
    """Link-local, metadata, unspecified, multicast: as a literal and behind a name."""
    client = EgressClient(allow=lambda _: True, resolver=Names([address]))
    host = f"[{address}]" if ":" in address else address
    literal = await refused(client, f"http://{host}/")
    named = await refused(client, "http://innocent.test/")
    await client.close()
    for error in (literal, named):
        assert (error.kind, error.maybe_sent) == ("address", False)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "172.16.0.1", "fd12::1", "8.8.8.8"])
def test_private_addresses_are_permitted(address: str) -> None:
    """Agencies are private networks."""
    assert allow_all_but_loopback(ip_address(address))


async def test_a_name_that_changes_its_address_meets_the_check_at_every_connection() -> None:
    """DNS rebinding: allowed at first, inside a moment later; pinned is what was checked."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.host)
        response = web.Response()
        response.force_close()
        return response

    names = Names(["127.0.0.1"], ["169.254.169.254"])
    client = EgressClient(allow=allow_loopback_too, resolver=names)
    async with http(handler) as port:
        url = f"http://hook.test:{port}/"
        assert (await client.request("GET", url)).status == 200
        error = await refused(client, url)
    await client.close()
    assert (error.kind, error.maybe_sent) == ("address", False)
    assert names.asked == ["hook.test", "hook.test"]
    assert seen == [f"hook.test:{port}"]


async def test_of_several_addresses_only_permitted_ones_are_connected() -> None:
    """A name with one good and one bad address reaches the good one."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"good")

    client = EgressClient(
        allow=lambda address: address == IPv4Address("127.0.0.1"),
        resolver=Names(["127.0.0.2", "127.0.0.1"]),
    )
    async with http(handler) as port:
        reply = await client.request("GET", f"http://two.test:{port}/")
    await client.close()
    assert reply.body == b"good"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/relative",
        "ftp://a.test/",
        "file:///etc/passwd",
        "unix:///x",
        "ws://a.test/",
        "http://",
        "http:///x",
        "http://user@a.test/",
        "http://user:pw@a.test/",
        "http://:pw@a.test/",
        "http://a.test:99999/",
        "http://a.test:x/",
        "http://[::1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
    ],
)
async def test_only_plain_http_addresses_are_asked(url: str) -> None:
    """Another scheme, user information, odd spellings: nothing is resolved or sent."""
    names = Names(["127.0.0.1"])
    client = EgressClient(allow=allow_all_but_loopback, resolver=names)
    error = await refused(client, url)
    await client.close()
    assert (error.kind, error.maybe_sent) == ("address", False)


async def test_a_header_with_a_line_end_is_our_error(egress: EgressClient) -> None:
    """Nothing foreign comes out of building the request either."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    async with http(handler) as port:
        error = await refused(egress, f"http://127.0.0.1:{port}/", headers={"X": "a\r\nY: b"})
    assert error.kind == "malformed"


# -- TLS ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for ``server.test``, and a server context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("server.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    pem = folder / "ca.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    both = folder / "both.pem"
    both.write_bytes(
        pem.read_bytes()
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return pem, context


async def hello(request: web.Request) -> web.Response:
    """A page."""
    return web.Response(body=b"hello")


async def test_a_self_signed_server_is_refused(authority: Any) -> None:
    """Verified TLS, and surely nothing was sent."""
    _, context = authority
    client = EgressClient(allow=allow_loopback_too, resolver=Names(["127.0.0.1"]))
    async with http(hello, context) as port:
        error = await refused(client, f"https://server.test:{port}/")
    await client.close()
    assert (error.kind, error.maybe_sent) == ("tls", False)


async def test_it_is_accepted_with_its_ca_file(authority: Any) -> None:
    """For one request, or for all of a client."""
    pem, context = authority
    async with http(hello, context) as port:
        url = f"https://server.test:{port}/"
        one = EgressClient(allow=allow_loopback_too, resolver=Names(["127.0.0.1"]))
        for _ in range(2):
            assert (await one.request("GET", url, ca_file=str(pem))).body == b"hello"
        # Trust for one request is no trust for the next, not even on its kept connection.
        assert (await refused(one, url)).kind == "tls"
        await one.close()
        every = EgressClient(
            allow=allow_loopback_too, resolver=Names(["127.0.0.1"]), ca_file=str(pem)
        )
        assert (await every.request("GET", url)).body == b"hello"
        await every.close()


async def test_through_a_proxy_tls_ends_at_the_target(authority: Any) -> None:
    """By CONNECT: the proxy carries bytes that it cannot read, and one that answers in the target's
    place is refused."""
    pem, context = authority
    asked: list[bytes] = []

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            asked.append(data)
            sink.write(data)
        sink.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)

    async with (
        http(hello, context) as port,
        await asyncio.start_server(proxy, "127.0.0.1", 0) as server,
    ):
        way = f"http://user:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = EgressClient(allow=allow_all_but_loopback, proxy=way)
        reply = await client.request("GET", "https://server.test/page", ca_file=str(pem))
        other = await refused(client, "https://other.test/page", ca_file=str(pem))
        await client.close()
    assert reply.body == b"hello"
    assert asked[0].startswith(b"CONNECT server.test:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic" in asked[0]
    assert not any(b"/page" in data for data in asked)
    assert other.kind == "tls"


async def test_another_name_than_the_certificate_s_is_refused(authority: Any) -> None:
    """The name is verified, not only the chain."""
    pem, context = authority
    client = EgressClient(allow=allow_loopback_too, resolver=Names(["127.0.0.1"]))
    async with http(hello, context) as port:
        error = await refused(client, f"https://other.test:{port}/", ca_file=str(pem))
    await client.close()
    assert (error.kind, error.maybe_sent) == ("tls", False)


async def test_a_ca_file_that_is_missing_or_none_is_our_error(
    egress: EgressClient, tmp_path: Path
) -> None:
    """And a replaced one is seen."""
    path = tmp_path / "ca.pem"
    assert (await refused(egress, "https://a.test/", ca_file=str(path))).kind == "tls"
    path.write_text("no certificate")
    error = await refused(egress, "https://a.test/", ca_file=str(path))
    assert (error.kind, error.maybe_sent) == ("tls", False)


# -- sessions ----------------------------------------------------------------------------------


async def test_a_session_that_is_handed_in_is_not_closed() -> None:
    """Ours always is, the caller's never."""
    async with aiohttp.ClientSession(
        connector=CheckedConnector(allow=allow_loopback_too)
    ) as session:
        client = EgressClient(session=session)
        async with http(hello) as port:
            url = f"http://127.0.0.1:{port}/"
            assert (await client.request("GET", url)).body == b"hello"
            await client.close()
            assert not session.closed
            assert (await client.request("GET", url)).body == b"hello"
    assert (await refused(client, url)).maybe_sent is False


async def test_a_session_that_would_bypass_the_policy_is_refused() -> None:
    """An ordinary connector checks no address; an ambient proxy neither."""
    async with aiohttp.ClientSession() as ordinary:
        with pytest.raises(ConfigurationError):
            EgressClient(session=ordinary)
    async with aiohttp.ClientSession(
        connector=CheckedConnector(allow=allow_loopback_too), trust_env=True
    ) as ambient:
        with pytest.raises(ConfigurationError):
            EgressClient(session=ambient)


async def test_closing_twice_or_unused_is_no_error() -> None:
    """The session is made at the first request only."""
    client = EgressClient(allow=allow_loopback_too)
    await client.close()
    async with http(hello) as port:
        await client.request("GET", f"http://127.0.0.1:{port}/")
    await client.close()
    await client.close()
