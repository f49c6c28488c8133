"""The way from the relay to the gateway: one session, no cookies, redirects or ambient proxy."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from moica_gateway.relay.rules import Forward

__all__ = ["AWAY_ERRORS", "GatewayLine"]

AWAY_ERRORS = (aiohttp.ClientError, TimeoutError)
"""What says that the gateway cannot be reached, or went away."""


class GatewayLine:
    """Opened at its first use, inside a running loop.

    Args:
        base_url: Of the gateway.
        ca_file: PEM, of a CA that is not the system's.
    """

    def __init__(self, base_url: str, ca_file: str | None = None) -> None:
        self._base = base_url.rstrip("/")
        self._tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def ask(
        self, forward: Forward, body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, its body unread.

        Raises:
            aiohttp.ClientError: or ``TimeoutError``, when there is none (`AWAY_ERRORS`).
        """
        if self._session is None:
            # A stream of events has no end of its own: only silence is limited.
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=90),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        async with self._session.request(
            forward.method,
            self._base + forward.path,
            data=body,
            headers=forward.headers,
            allow_redirects=False,
            ssl=self._tls if self._tls is not None else True,
        ) as reply:
            yield reply

    async def close(self) -> None:
        """Every connection; may be used again afterwards."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
