"""Which host an address in a certificate names, to be held against the operator's list."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["host_of"]


def host_of(url: str) -> str:
    """``host`` or ``host:port``; empty, which no list allows, for what is not plain HTTP(S)."""
    try:
        parts = urlsplit(url)
        return parts.netloc.lower() if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""
