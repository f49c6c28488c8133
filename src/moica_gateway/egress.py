"""The one way out: verified TLS, no redirects, no ambient proxy, checked and pinned addresses.

The address policy is asked at the socket itself, for the address that is about to be connected,
so that a name which resolves to something else a moment later (DNS rebinding), a literal address
and an odd spelling of one all meet the same check. Link-local, metadata, multicast, unspecified
and broadcast addresses are refused whatever the policy says. ``design.md`` "One egress client".

Compressed answers are unpacked here and not by aiohttp, because the size limit has to hold for
every byte that comes out of the decompressor, before it is in memory.

What this deliberately does not do: retry, follow, cache, keep cookies, or know who may be called
for what. With a proxy the proxy resolves names, so only literal targets and the proxy's own
address can be checked here: its own rules have to keep names from leading inside.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from moica_gateway.errors import error
from moica_gateway.ports import EgressError, EgressReply

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import AddrInfoType, Connection
    from aiohttp.tracing import Trace

__all__ = [
    "Address",
    "AddressPolicy",
    "CheckedConnector",
    "EgressClient",
    "allow_all_but_loopback",
    "allow_loopback_too",
]

Address = IPv4Address | IPv6Address
AddressPolicy = Callable[[Address], bool]

_REFUSED_V4: Final = (
    IPv4Network("0.0.0.0/8"),  # "this network": Linux connects it to itself
    IPv4Network("169.254.0.0/16"),  # link-local, 169.254.169.254 among them
    IPv4Network("100.100.100.200/32"),  # a metadata service outside link-local
    IPv4Network("224.0.0.0/4"),
    IPv4Network("255.255.255.255/32"),
)
_REFUSED_V6: Final = (
    IPv6Network("::/128"),
    IPv6Network("fe80::/10"),
    IPv6Network("ff00::/8"),
    IPv6Network("fd00:ec2::254/128"),
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_CHUNK: Final = 65_536
_MAX_LINE: Final = 8_190
_MAX_HEADERS: Final = 64
_USER_AGENT: Final = "moica-gateway"


def allow_all_but_loopback(address: Address) -> bool:
    """The policy of production and UAT: agencies are private networks, so private is allowed."""
    return not address.is_loopback


def allow_loopback_too(address: Address) -> bool:  # noqa: ARG001 - it is a policy
    """The policy of the simulator environment."""
    return True


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 spelling of it, else the address itself."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return inner
    return address


def _never(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in _REFUSED_V4)
    # A scope id ("fe80::1%eth0") would take the address out of every network it is compared with.
    bare = IPv6Address(int(address))
    return any(bare in network for network in _REFUSED_V6)


class _AddressRefusedError(OSError):
    """Raised where a socket would be made; an OSError, so that the connector cleans up."""


class _Progress:
    """How far one request has come; tells "surely never left" from "maybe sent"."""

    __slots__ = ("connected", "refused")

    def __init__(self) -> None:
        self.connected = False
        self.refused = False


_progress: ContextVar[_Progress | None] = ContextVar("moica_gateway_egress_progress", default=None)


class CheckedConnector(aiohttp.TCPConnector):
    """A connector that opens no socket to an address that the policy refuses.

    Args:
        allow: The policy; the addresses that are never allowed are refused before it is asked.
        resolver: Another one than the system's, for tests.
        to_proxy: The connector only ever connects to a proxy that the operator named: ``allow``
            is then about the targets and is not asked for the proxy's own address.
        limit: Connections at a time.
        keepalive_timeout: Seconds. Short, because a POST on a connection that the other side is
            just closing counts as "maybe sent".
    """

    def __init__(
        self,
        *,
        allow: AddressPolicy,
        resolver: AbstractResolver | None = None,
        to_proxy: bool = False,
        limit: int = 200,
        keepalive_timeout: float = 8.0,
    ) -> None:
        super().__init__(
            resolver=resolver,
            # Resolved anew for every connection: a cached answer would outlive its check.
            use_dns_cache=False,
            socket_factory=self._make_socket,
            limit=limit,
            keepalive_timeout=keepalive_timeout,
        )
        self._policy = allow
        self._to_proxy = to_proxy

    def permits(self, address: Address) -> bool:
        """Whether a target may have this address."""
        plain = _plain(address)
        return not _never(address) and not _never(plain) and self._policy(plain)

    def _make_socket(self, addr_info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, target = addr_info
        address = ip_address(str(target[0]))
        plain = _plain(address)
        permitted = (
            not (_never(address) or _never(plain)) if self._to_proxy else self.permits(address)
        )
        if not permitted:
            progress = _progress.get()
            if progress is not None:
                progress.refused = True
            raise _AddressRefusedError("address is refused by the policy")
        return socket.socket(family=family, type=kind, proto=protocol)

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Connection:
        """As aiohttp's, and notes that from here on something may have been sent.

        A kept connection on which something came that nobody asked for is given up: it would be
        read as the answer to this request, and an answer without a checksum can be another's.
        """
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        progress = _progress.get()
        if progress is not None:
            progress.connected = True
        return connection


class EgressClient:
    """`moica_gateway.ports.Egress` on aiohttp.

    Args:
        allow: Which target addresses are allowed besides those that never are.
        ca_file: PEM, trusted besides the system's store for every request.
        proxy: ``http://[user:password@]host:port``; the environment's proxies are never used.
        resolver: Another one than the system's, for tests.
        session: One of the caller's, made with a `CheckedConnector` and without ``trust_env``;
            it is never closed here. Without it one is made at the first request, and closed by
            `close`.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a proxy address that is none, or a
            session that would bypass the policy.
    """

    def __init__(
        self,
        *,
        allow: AddressPolicy = allow_all_but_loopback,
        ca_file: str | None = None,
        proxy: str | None = None,
        resolver: AbstractResolver | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._allow = allow
        self._ca_file = ca_file
        self._proxy = _proxy_url(proxy)
        self._resolver = resolver
        self._handed_in = session
        if session is not None and not _is_safe(session):
            raise error(
                "configuration_invalid",
                "expected a session made with CheckedConnector and without trust_env; another "
                "would bypass the address policy; the operator hands in another session",
            )
        self._session: aiohttp.ClientSession | None = None
        self._default_context: ssl.SSLContext | None = None
        self._contexts: dict[str, tuple[tuple[int, int], ssl.SSLContext]] = {}

    async def request(
        self,
        method: Literal["GET", "POST"],
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - a deadline for the whole exchange
        max_bytes: int = 1_048_576,
        ca_file: str | None = None,
    ) -> EgressReply:
        """One exchange; a redirect is a reply like any other.

        Args:
            method: The method.
            url: ``http`` or ``https``, without user or password.
            headers: Sent as they are.
            body: Sent as it is.
            timeout: Seconds from the call to the last byte of the answer.
            max_bytes: Of the answer's body, packed and unpacked.
            ca_file: PEM, trusted for this request besides the system's store.

        Raises:
            EgressError: No usable answer; see its ``kind`` and ``maybe_sent``.
        """
        progress = _Progress()
        token = _progress.set(progress)
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(method, url, headers, body, max_bytes, ca_file)
        except EgressError:
            raise
        except Exception as exc:
            raise _translate(exc, progress) from exc
        finally:
            _progress.reset(token)

    async def close(self) -> None:
        """Close the session if it is ours. May be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        max_bytes: int,
        ca_file: str | None,
    ) -> EgressReply:
        target = _target(url)
        session = self._open_session()
        connector = session.connector
        if not isinstance(connector, CheckedConnector):
            raise EgressError("connect", "the session is closed", maybe_sent=False)
        _check_literal(target, connector)
        tls: ssl.SSLContext | bool = True
        if target.scheme == "https":
            tls = await self._context(ca_file)
        async with session.request(
            method,
            target,
            data=body,
            headers={
                "User-Agent": _USER_AGENT,
                "Accept-Encoding": "gzip",
                **(headers or {}),
            },
            allow_redirects=False,
            proxy=self._proxy,
            ssl=tls,
            # The deadline is asyncio's, around everything: aiohttp rounds its own up.
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None),
            auto_decompress=False,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            max_headers=_MAX_HEADERS,
        ) as response:
            try:
                content = await _read(response, max_bytes)
            except BaseException:
                response.close()  # what is left unread must not meet the next request
                raise
            return EgressReply(
                status=response.status, headers=_joined(response.headers), body=content
            )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._handed_in is not None:
            return self._handed_in
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=CheckedConnector(
                    allow=self._allow, resolver=self._resolver, to_proxy=self._proxy is not None
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    async def _context(self, ca_file: str | None) -> ssl.SSLContext:
        if ca_file is None and self._default_context is not None:
            return self._default_context
        try:
            context = await asyncio.to_thread(self._load_context, ca_file)
        except (OSError, ValueError) as exc:  # missing, unreadable, no PEM
            raise EgressError(
                "tls", f"the CA file cannot be used: {type(exc).__name__}", maybe_sent=False
            ) from exc
        if ca_file is None:
            self._default_context = context
        return context

    def _load_context(self, ca_file: str | None) -> ssl.SSLContext:
        """Kept a file and its time, so that connections are pooled and a new file is seen."""
        if ca_file is None:
            return _make_context(self._ca_file)
        stat = Path(ca_file).stat()
        version = (stat.st_mtime_ns, stat.st_size)
        known = self._contexts.get(ca_file)
        if known is None or known[0] != version:
            known = (version, _make_context(self._ca_file, ca_file))
            self._contexts[ca_file] = known
        return known[1]


def _make_context(*ca_files: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for ca_file in ca_files:
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
    return context


def _is_safe(session: aiohttp.ClientSession) -> bool:
    return isinstance(session.connector, CheckedConnector) and not session.trust_env


def _proxy_url(proxy: str | None) -> URL | None:
    if proxy is None:
        return None
    try:
        url = URL(proxy)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        # The value is not shown: it may hold a password.
        raise error(
            "configuration_invalid",
            "expected a proxy as http://host:port; the operator corrects the proxy setting",
        )
    return url


def _target(url: str) -> URL:
    try:
        target = URL(url)
        port = target.port
    except ValueError as exc:
        raise EgressError("address", "not a URL", maybe_sent=False) from exc
    if target.scheme not in {"http", "https"}:
        raise EgressError("address", "expected http or https", maybe_sent=False)
    if target.user is not None or target.password is not None:
        raise EgressError("address", "expected a URL without user or password", maybe_sent=False)
    if not target.host or port is None:
        raise EgressError("address", "expected a URL with a host", maybe_sent=False)
    return target


def _check_literal(target: URL, connector: CheckedConnector) -> None:
    """A literal address is checked even where a proxy would connect to it."""
    try:
        address = ip_address(target.host or "")
    except ValueError:
        return  # a name: checked when its address is known, at the socket
    if not connector.permits(address):
        raise EgressError("address", "address is refused by the policy", maybe_sent=False)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The whole body, unpacked; both the packed and the unpacked form within the limit."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    unpack: Any = None
    if encoding in {"gzip", "x-gzip"}:
        unpack = zlib.decompressobj(wbits=31)
    elif encoding not in {"", "identity"}:
        raise EgressError("malformed", "answer in an encoding not asked for", maybe_sent=True)
    content = bytearray()
    received = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(max_bytes)
        if unpack is None:
            content += chunk
            continue
        # One byte more than allowed is enough to know; the rest is never unpacked.
        content += unpack.decompress(chunk, max_bytes - len(content) + 1)
        if len(content) > max_bytes:
            raise _too_large(max_bytes)
        if unpack.unused_data:
            raise EgressError("malformed", "bytes behind the compressed answer", maybe_sent=True)
    if unpack is not None and received and not unpack.eof:
        raise EgressError("malformed", "compressed answer is cut off", maybe_sent=True)
    return bytes(content)


def _too_large(max_bytes: int) -> EgressError:
    return EgressError("too_large", f"answer is larger than {max_bytes} bytes", maybe_sent=True)


def _joined(headers: Any) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        joined[lower] = f"{joined[lower]}, {value}" if lower in joined else value
    return joined


def _translate(exc: Exception, progress: _Progress) -> EgressError:
    """The foreign exception as ours. Its text is not repeated: it may hold addresses or bytes."""
    sent = progress.connected
    name = type(exc).__name__
    if progress.refused and not sent:
        return EgressError("address", "address is refused by the policy", maybe_sent=False)
    kind: Literal["address", "connect", "tls", "timeout", "reset", "malformed"]
    if isinstance(exc, TimeoutError):
        kind = "timeout"
    elif isinstance(exc, aiohttp.InvalidURL):
        kind = "address"
    elif isinstance(exc, aiohttp.ClientSSLError | ssl.SSLError):
        kind = "tls"
    elif isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError):
        kind = "connect"
    elif isinstance(exc, aiohttp.ClientResponseError | zlib.error):
        kind = "malformed"
    elif isinstance(exc, aiohttp.ClientError | OSError):
        kind = "reset" if sent else "connect"
    else:
        kind = "malformed"
    return EgressError(kind, name, maybe_sent=sent)
