"""Settings: a TOML file, and ``MOICA_GATEWAY_…`` in the environment, which wins.

``MOICA_GATEWAY_UPSTREAM__POLL_INTERVAL`` is ``[upstream] poll_interval``. An unknown name is an
error, and so is everything that the environment (production, uat, simulator) does not permit
(security rule 13). What needs certificates to be looked at is checked in `app`.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import fields, frozen

from moica_gateway.domain.values import Secret
from moica_gateway.errors import GatewayError, error

__all__ = [
    "KNOWN_WEAK_KEYS",
    "Settings",
    "TrustSettings",
    "UpstreamSettings",
    "load_settings",
    "read_master_key",
    "refuse_weak_key",
]

_PREFIX: Final = "MOICA_GATEWAY_"
_ENVIRONMENTS: Final = ("production", "uat", "simulator")
_BASE_URLS: Final = {
    "production": "https://fidoapi.moi.gov.tw",
    "uat": "https://fidoapi-test.moi.gov.tw",
}
_CRL_HOSTS: Final = ("ocsp-moica.moi.gov.tw", "moica.nat.gov.tw", "grca.nat.gov.tw")
_MIN_POLL_INTERVAL: Final = 4.0
_MASTER_KEY_BYTES: Final = 32

KNOWN_WEAK_KEYS: Final = frozenset(
    {
        # SHA-256 of the key of the published test vectors
        "ab5f8b5cb9435354c7b58603592d5faf081e17ceb05f7a7c67f4b666f12ca457",
    }
)
"""SHA-256 (hexadecimal) of keys that stand in public test data; refused outside the simulator."""


@frozen(kw_only=True)
class UpstreamSettings:
    """``[upstream]``: the platform."""

    base_url: str = ""
    poll_interval: float = 4.0
    proxy: str = ""
    timeout: float = 10.0


@frozen(kw_only=True)
class TrustSettings:
    """``[trust]``: whom to believe."""

    anchors: tuple[str, ...] = ()
    intermediates: tuple[str, ...] = ()
    pinned_anchor_fingerprints: tuple[str, ...] = ()
    crl_hosts: tuple[str, ...] = ()
    revocation: str = "require"
    crl_grace: float = 0.0


@frozen(kw_only=True)
class Settings:
    """Everything. `database`: `sqlite:///path`; `max_body` in bytes; the rest by its name."""

    environment: str = "production"
    host: str = "127.0.0.1"
    port: int = 8700
    data_dir: str = "data"
    database: str = ""
    master_key_file: str = ""
    log_level: str = "INFO"
    log_format: str = "json"
    max_body: int = 16 * 1_048_576
    upstream: UpstreamSettings = UpstreamSettings()
    trust: TrustSettings = TrustSettings()

    @property
    def database_url(self) -> str:
        """SQLite in ``data_dir`` where none is set."""
        return self.database or f"sqlite:///{Path(self.data_dir).resolve() / 'gateway.db'}"

    @property
    def master_key_path(self) -> Path:
        """``master.key`` in ``data_dir`` where none is set."""
        return Path(self.master_key_file or Path(self.data_dir) / "master.key")

    @property
    def base_url(self) -> str:
        """Fixed in production and uat."""
        return _BASE_URLS.get(self.environment, self.upstream.base_url)

    @property
    def crl_hosts(self) -> tuple[str, ...]:
        """Fixed in production and uat."""
        return self.trust.crl_hosts if self.simulator else _CRL_HOSTS

    @property
    def simulator(self) -> bool:
        """Whether everything may be a play."""
        return self.environment == "simulator"

    def check(self) -> None:
        """What the environment does not permit.

        Raises:
            ConfigurationError: ``configuration_invalid``, naming the setting.
        """
        rules: tuple[tuple[bool, str, str], ...] = (
            (self.environment in _ENVIRONMENTS, "environment", "production, uat or simulator"),
            (0 <= self.port <= 65535, "port", "0 to 65535"),
            (self.log_format in ("json", "console"), "log_format", "json or console"),
            (
                self.log_level in ("DEBUG", "INFO", "WARNING", "ERROR"),
                "log_level",
                "DEBUG, INFO, WARNING or ERROR",
            ),
            (
                self.trust.revocation in ("require", "crl_if_available"),
                "trust.revocation",
                "require or crl_if_available",
            ),
            (bool(self.trust.anchors), "trust.anchors", "at least one file or folder"),
            (
                self.upstream.poll_interval >= (0.05 if self.simulator else _MIN_POLL_INTERVAL),
                "upstream.poll_interval",
                f"at least {_MIN_POLL_INTERVAL:g} s (less with environment = simulator only)",
            ),
            (0 < self.upstream.timeout <= 60, "upstream.timeout", "0 to 60 s"),
            (self.trust.crl_grace >= 0, "trust.crl_grace", "seconds, 0 or more"),
            (
                self.simulator or not self.upstream.base_url,
                "upstream.base_url",
                "nothing: it is fixed in production and uat",
            ),
            (
                self.simulator or not self.trust.crl_hosts,
                "trust.crl_hosts",
                "nothing: it is fixed in production and uat",
            ),
            (
                self.environment != "production" or bool(self.trust.pinned_anchor_fingerprints),
                "trust.pinned_anchor_fingerprints",
                "the SHA-256 fingerprints of the government's roots",
            ),
            (
                not self.simulator or urlsplit(self.upstream.base_url).scheme in ("http", "https"),
                "upstream.base_url",
                "the simulator's address",
            ),
        )
        for holds, name, expected in rules:
            if not holds:
                raise _invalid(name, expected, "another value")

    def relaxations(self) -> tuple[str, ...]:
        """Named at start, so that nobody is surprised."""
        found = []
        if self.simulator:
            found.append("environment=simulator")
        if self.trust.revocation != "require":
            found.append(f"trust.revocation={self.trust.revocation}")
        if self.trust.crl_grace:
            found.append("trust.crl_grace")
        if self.environment == "production":
            found.append("level=B-B (no timestamp authority)")
        return tuple(found)


def load_settings(file: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read, structure, and check.

    Raises:
        ConfigurationError: ``configuration_invalid``: which setting, from where, what was expected.
    """
    raw: dict[str, Any] = {}
    if file is not None:
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
            raise error(
                "configuration_invalid",
                f"expected a TOML file at {file}, it cannot be read: {type(e).__name__}",
            ) from e
    for name, value in environ.items():
        if name.startswith(_PREFIX) and name != f"{_PREFIX}CONFIG":
            _put(raw, name.removeprefix(_PREFIX).lower().split("__"), value)
    settings: Settings = _structure(Settings, raw, "")
    settings.check()
    return settings


def read_master_key(path: Path) -> Secret:
    """32 bytes in base64; nobody but its owner may read the file.

    Raises:
        ConfigurationError: naming the file, never its content.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise error(
            "configuration_invalid",
            f"expected the master key in {path}, it cannot be read ({type(e).__name__}); "
            "`moica-gateway init` makes one",
        ) from e
    if mode & 0o077:
        raise error(
            "configuration_invalid",
            f"expected {path} to be readable by its owner only; run `chmod 600` on it",
        )
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _MASTER_KEY_BYTES:
        raise error("configuration_invalid", f"expected 32 bytes in base64 in {path}")
    return Secret(key)


def refuse_weak_key(key: Secret, environment: str) -> None:
    """Security rule 13: no key of public test data outside the simulator."""
    known = hashlib.sha256(key.reveal()).hexdigest() in KNOWN_WEAK_KEYS
    if known and environment != "simulator":
        raise error(
            "configuration_invalid",
            "expected the service provider's own AES key, came one of public test data",
        )


# -- structuring -----------------------------------------------------------------------------


def _invalid(name: str, expected: str, came: str) -> GatewayError:
    return error("configuration_invalid", f"setting `{name}`: expected {expected}; came {came}")


def _put(raw: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        inner = raw.setdefault(name, {})
        if not isinstance(inner, dict):
            raise _invalid(".".join(path), "a name of the settings", "another")
        raw = inner
    raw[path[-1]] = value


def _structure(cls: type[Any], raw: Mapping[str, Any], path: str) -> Any:
    known = {f.name: f for f in fields(cls)}
    made: dict[str, Any] = {}
    for name, value in raw.items():
        where = f"{path}{name}"
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean `{path}{near[0]}`?" if near else ""
            raise _invalid(where, "a known name", f"an unknown one{hint}")
        made[name] = _value(known[name].type, value, where)
    return cls(**made)


def _value(type_: Any, value: Any, where: str) -> Any:
    name = type_ if isinstance(type_, str) else getattr(type_, "__name__", "")
    nested = {"UpstreamSettings": UpstreamSettings, "TrustSettings": TrustSettings}
    if name in nested:
        if not isinstance(value, Mapping):
            raise _invalid(where, "a table", type(value).__name__)
        return _structure(nested[name], value, f"{where}.")
    readers: dict[str, tuple[Callable[[Any], Any], str]] = {
        "int": (_whole, "a whole number"),
        "float": (_number, "a number"),
        "str": (_text, "text"),
    }
    read, expected = readers.get(name, (_texts, "a list of texts"))
    try:
        return read(value)
    except (TypeError, ValueError) as e:
        raise _invalid(where, expected, type(value).__name__) from e


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise TypeError
    return tuple(value)
