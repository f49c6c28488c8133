"""Small HTTP for the demonstration: JSON calls, waiting for readiness."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from moica_demo.errors import DemoError

__all__ = ["call", "wait_ready"]

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(
    method: str,
    url: str,
    body: Any = None,
    *,
    expect: tuple[int, ...] = (200, 201),
    content_type: str = "application/json",
    token: str | None = None,
) -> Any:
    """One exchange: JSON, or ``body`` as it is where it is bytes. Raises `DemoError` for another
    status."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": content_type}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(  # noqa: S310 - http on loopback
        url, data=data, method=method, headers=headers
    )
    try:
        with _OPENER.open(request, timeout=30) as reply:
            raw, status = reply.read(), reply.status
    except urllib.error.HTTPError as e:
        raw, status = e.read(), e.code
    except OSError as e:
        raise DemoError(f"{method} {url}: {e}") from e
    if status not in expect:
        raise DemoError(f"{method} {url}: HTTP {status}: {raw[:300].decode(errors='replace')}")
    return json.loads(raw) if raw[:1] in (b"{", b"[") else raw


def wait_ready(url: str, alive: Any, seconds: float = 60.0) -> None:
    """Until ``/readyz`` says 200; ``alive()`` raises where the program has died meanwhile."""
    end = time.monotonic() + seconds
    while True:
        alive()
        try:
            with _OPENER.open(f"{url}/readyz", timeout=5) as reply:
                if reply.status == 200:
                    return
        except OSError:
            pass
        if time.monotonic() > end:
            raise DemoError(f"{url} was not ready within {seconds:.0f} s")
        time.sleep(0.1)
