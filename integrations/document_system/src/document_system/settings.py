"""The settings, read once at the edge from command line and environment.

Secrets come from the environment or from a file, never from the command line, where every user of
the machine could read them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen

from document_system.errors import SetupError

__all__ = ["Settings", "read_secret"]

_SECRET_FILE_MOST: Final = 4096


@frozen(kw_only=True)
class Settings:
    """What one running document system needs to know.

    Attributes:
        data: Folder for the database; made where it is missing.
        gateway_url: Base URL of the gateway, as the server reaches it.
        public_url: How users reach this system; ``https`` makes the session cookie ``Secure``.
        sign_time_limit: Seconds a phone has to answer, 30 to 600.
        demo: Sample users and documents are seeded, and the sign-in page names them.
        look_interval: Seconds between two looks of the follow-up at what is still open.
    """

    data: Path
    gateway_url: str
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8702
    public_url: str = ""
    sign_time_limit: int = 60
    demo: bool = False
    look_interval: float = 5.0

    def check(self) -> None:
        """Raises `SetupError` that names the first wrong setting."""
        if not 0 <= self.port <= 65535:
            raise SetupError(f"--port: expected 0 to 65535, came {self.port}")
        if not 30 <= self.sign_time_limit <= 600:
            raise SetupError(
                f"--sign-time-limit: expected 30 to 600 seconds, came {self.sign_time_limit}"
            )
        _check_url("--gateway-url", self.gateway_url)
        if not re.fullmatch(r"mgk_(live|test)_[\x21-\x7e]+", self.api_key):
            raise SetupError(
                "DOCUMENT_SYSTEM_API_KEY (--api-key-file): expected `mgk_live_…` or `mgk_test_…`"
            )
        _check_webhook_secret(self.webhook_secret)
        if self.public_url:
            _check_url("--public-url", self.public_url)

    @property
    def secure(self) -> bool:
        """Whether users come over TLS."""
        return self.public_url.startswith("https://")


def _check_webhook_secret(value: str) -> None:
    prefix, _, rest = value.partition("_")
    try:
        fine = prefix == "whsec" and len(base64.b64decode(rest, validate=True)) >= 24
    except ValueError:
        fine = False
    if not fine:
        raise SetupError(
            "DOCUMENT_SYSTEM_WEBHOOK_SECRET (--webhook-secret-file): expected `whsec_` and base64 "
            "of at least 24 bytes, as the gateway printed it"
        )


def _check_url(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname)
        fine = fine and not parts.query and not parts.fragment and parts.username is None
    except ValueError:
        fine = False
    if not fine:
        raise SetupError(f"{name}: expected http(s)://host[:port][/path], came {value[:80]!r}")


def read_secret(environ: Mapping[str, str], variable: str, file: Path | None, option: str) -> str:
    """A secret from ``file`` if one is named, else from the environment.

    Raises:
        SetupError: When it is nowhere, cannot be read, or is empty. Never repeats a secret.
    """
    if file is not None:
        try:
            with file.open("rb") as opened:
                value = opened.read(_SECRET_FILE_MOST).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as e:
            raise SetupError(f"{option}: cannot read {file}: {type(e).__name__}") from e
    else:
        value = environ.get(variable, "").strip()
    if not value:
        raise SetupError(f"expected a secret in {variable} or in the file of {option}; none is set")
    return value
