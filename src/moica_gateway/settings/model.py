"""What can be set, and what the environment does not permit. Security rule 13.

Hosts of the platform: ``protocol/moi-sp-api.md`` "Hosts". Deliberately not here: where a value came
from (`reading`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from attrs import field, fields, frozen

from moica_gateway.errors import GatewayError, error

__all__ = [
    "BrakeSettings",
    "FormatSettings",
    "LimitSettings",
    "Settings",
    "TrustSettings",
    "UpstreamSettings",
    "complaint",
    "invalid",
    "refuse",
    "shown",
]

_ENVIRONMENTS: Final = ("production", "uat", "simulator")
_BASE_URLS: Final = {
    "production": "https://fidoapi.moi.gov.tw",
    "uat": "https://fidoapi-test.moi.gov.tw",
}
_WEB_BASE_URLS: Final = {
    "production": "https://fido.moi.gov.tw",
    "uat": "https://fido-test.moi.gov.tw",
}
_CRL_HOSTS: Final = (
    "ocsp-moica.moi.gov.tw",
    "moica.nat.gov.tw",
    "grca.nat.gov.tw",
    "ocsp.grca.nat.gov.tw",
)
_REVOCATION: Final = (
    "crl",
    "ocsp",
    "crl_then_ocsp",
    "ocsp_then_crl",
    "crl_and_ocsp",
    "crl_if_available",
)
_OCSP_NONCE: Final = ("required", "if_answered")
_DIRECT: Final = "direct"
_MIN_POLL_INTERVAL: Final = 4.0
_MIN_POLL_INTERVAL_SIMULATOR: Final = 0.05
_MAX_POLL_INTERVAL: Final = 60.0
_MAX_CRL_GRACE: Final = 7 * 86_400.0
_PUSH_MISSES: Final = 2
_PUSH_PAUSE: Final = 600.0
_LONGEST_BRAKE: Final = 86_400.0
_MOST_REQUESTS: Final = 1_000_000
_LOOPBACK: Final = ("", "localhost", "127.0.0.1", "::1")
_FIXED: Final = "nothing: it is fixed in production and uat"


@frozen(kw_only=True)
class UpstreamSettings:
    """``[upstream]``: the platform.

    Attributes:
        base_url: With ``environment = simulator`` only; fixed otherwise.
        web_base_url: The same, of the site that a redirected browser goes to; empty is
            ``base_url``, where the simulator serves both.
        poll_interval: Seconds between two polls of a ticket; under 4 with the simulator only.
        proxy: ``http://host:port`` for everything that goes out, but for what ``trust.proxy``
            says; may hold a password.
        timeout: Seconds for one exchange.
    """

    base_url: str = ""
    web_base_url: str = ""
    poll_interval: float = 4.0
    proxy: str = field(default="", repr=False, metadata={"secret": True})
    timeout: float = 10.0


@frozen(kw_only=True)
class TrustSettings:
    """``[trust]``: whom to believe.

    Attributes:
        anchors: Files or folders of root certificates; nothing is trusted without. An authority
            in them that another issued is used as an intermediate, never trusted for itself.
        intermediates: The same, of certificates between root and holder.
        pinned_anchor_fingerprints: SHA-256 of each anchor; production needs them.
        crl_hosts: ``host`` or ``host:port`` of CRLs and OCSP, with ``environment = simulator``
            only.
        revocation: Who is asked, ``crl``, ``ocsp`` or both: ``crl_then_ocsp``, ``ocsp_then_crl``,
            ``crl_and_ocsp``; all fail where nothing is known. ``crl_if_available`` is relaxed.
        crl_grace: Seconds that a CRL may be used past its ``nextUpdate``.
        ocsp_nonce: ``required`` in every answer, or, relaxed, ``if_answered``: for responders that
            sign their answers ahead.
        proxy: ``http://host:port`` for CRLs, OCSP and timestamps; ``direct`` for none. Empty is
            ``upstream.proxy``. May hold a password.
    """

    anchors: tuple[str, ...] = ()
    intermediates: tuple[str, ...] = ()
    pinned_anchor_fingerprints: tuple[str, ...] = ()
    crl_hosts: tuple[str, ...] = ()
    revocation: Literal[
        "crl", "ocsp", "crl_then_ocsp", "ocsp_then_crl", "crl_and_ocsp", "crl_if_available"
    ] = "crl_then_ocsp"
    crl_grace: float = 0.0
    ocsp_nonce: Literal["required", "if_answered"] = "required"
    proxy: str = field(default="", repr=False, metadata={"secret": True})


@frozen(kw_only=True)
class FormatSettings:
    """``[formats]``: how signed things are made.

    Attributes:
        seal_font: A font with Chinese glyphs (``.otf``, ``.ttf``, ``.ttc``) for visible seals in
            PDFs; empty takes Noto Sans CJK from where systems keep it (``fonts-noto-cjk``). Where
            there is none, a request for a seal is refused; all else works.
    """

    seal_font: str = ""


@frozen(kw_only=True)
class BrakeSettings:
    """``[brakes]``: how often a phone, and the platform, may be asked.

    Of the house, not of a tenant: they protect the platform and people from the tenants. A window
    begins with its first request.

    Attributes:
        push_misses: Refused or unanswered pushes in a row after which push to a person pauses.
        push_pause: Seconds of that pause, unless the person approves something by QR code.
        person_requests: Requests for tickets a person, since the last approval, in
            ``person_window``.
        person_window: Seconds.
        tenant_requests: Requests for tickets a tenant, in ``window``.
        gateway_requests: The same of all tenants; more than ``tenant_requests``.
        window: Seconds.
    """

    push_misses: int = 2
    push_pause: float = 600.0
    person_requests: int = 60
    person_window: float = 600.0
    tenant_requests: int = 1200
    gateway_requests: int = 6000
    window: float = 60.0


@frozen(kw_only=True)
class LimitSettings:
    """``[limits]``: how much one caller may ask of this process.

    Attributes:
        tenant_rate: Requests a second of one tenant, over time.
        tenant_burst: Requests that it may make at once.
        tenant_streams: Its event streams and waiting requests at a time, browsers included.
        browser_rate: Requests a second of the browsers of one transaction.
        browser_burst: The same at once.
        browser_streams: The same of lines held open.
    """

    tenant_rate: float = 2000.0
    tenant_burst: int = 4000
    tenant_streams: int = 5000
    browser_rate: float = 10.0
    browser_burst: int = 60
    browser_streams: int = 8


@frozen(kw_only=True)
class Settings:
    """Everything. Without a file it is production, which refuses to start without anchors.

    Attributes:
        environment: What may be reached, and what is marked 測試.
        host: Address to listen on.
        port: TCP port; 0 lets the system choose.
        metrics_listen: ``host:port`` for ``/metrics`` alone; empty serves it with the API.
        data_dir: Folder of database and master key; relative to where the program starts.
        database: ``sqlite:///…`` or ``postgresql://user:password@host/database`` (with
            ``?sslmode=verify-full`` for TLS, ``?host=/folder`` for a unix socket); empty is
            ``gateway.db`` in ``data_dir``.
        master_key_file: Empty is ``master.key`` in ``data_dir``.
        log_level: Of everything, libraries too.
        log_format: JSON lines, or lines for a person.
        max_body: Bytes of a request.
    """

    environment: Literal["production", "uat", "simulator"] = "production"
    host: str = "127.0.0.1"
    port: int = 8700
    metrics_listen: str = ""
    data_dir: str = "data"
    database: str = field(default="", repr=False, metadata={"secret": True})
    master_key_file: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    max_body: int = 16 * 1_048_576
    upstream: UpstreamSettings = UpstreamSettings()
    trust: TrustSettings = TrustSettings()
    brakes: BrakeSettings = BrakeSettings()
    limits: LimitSettings = LimitSettings()
    formats: FormatSettings = FormatSettings()

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
    def web_base_url(self) -> str:
        """Fixed in production and uat."""
        own = self.upstream.web_base_url or self.upstream.base_url
        return _WEB_BASE_URLS.get(self.environment, own)

    @property
    def crl_hosts(self) -> tuple[str, ...]:
        """Fixed in production and uat."""
        return self.trust.crl_hosts if self.simulator else _CRL_HOSTS

    @property
    def trust_proxy(self) -> str | None:
        """On the way to CRLs, OCSP and timestamps; None for none."""
        proxy = self.trust.proxy or self.upstream.proxy
        return None if proxy in ("", _DIRECT) else proxy

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port of ``metrics_listen``."""
        return _address(self.metrics_listen)

    @property
    def simulator(self) -> bool:
        """Whether everything may be a play."""
        return self.environment == "simulator"

    def check(self) -> None:
        """What the environment does not permit.

        Raises:
            ConfigurationError: ``configuration_invalid``, naming each setting.
        """
        refuse(self, {})

    def relaxations(self) -> tuple[str, ...]:
        """Named at start, so that nobody is surprised."""
        found = []
        if self.simulator:
            found.append("environment=simulator")
        if self.trust.revocation == "crl_if_available":
            found.append(f"trust.revocation={self.trust.revocation}")
        if self.trust.crl_grace:
            found.append(f"trust.crl_grace={self.trust.crl_grace:g}")
        if self.trust.ocsp_nonce != "required":
            found.append(f"trust.ocsp_nonce={self.trust.ocsp_nonce}")
        if self.brakes.push_misses > _PUSH_MISSES:
            found.append(f"brakes.push_misses={self.brakes.push_misses}")
        if self.brakes.push_pause < _PUSH_PAUSE:
            found.append(f"brakes.push_pause={self.brakes.push_pause:g}")
        if _unprotected(self.database):
            found.append("database without sslmode=verify-full")
        if self.environment == "production":
            found.append("level=B-B (no timestamp authority)")
        return tuple(found)


# -- checking --------------------------------------------------------------------------------


def refuse(settings: Settings, sources: Mapping[str, str]) -> None:
    """`Settings.check`, with ``sources``: by the setting's name, where it came from."""
    complaints = []
    for holds, name, expected in _rules(settings):
        if not holds:
            value: Any = settings
            for part in name.split("."):
                value = getattr(value, part)
            complaints.append(complaint(name, sources, expected, shown(name, value)))
    if complaints:
        raise invalid(complaints)


def _rules(s: Settings) -> tuple[tuple[bool, str, str], ...]:
    """Whether it holds, the setting, what was expected."""
    least = _MIN_POLL_INTERVAL_SIMULATOR if s.simulator else _MIN_POLL_INTERVAL
    return (
        (s.environment in _ENVIRONMENTS, "environment", "production, uat or simulator"),
        (
            s.trust.revocation in _REVOCATION,
            "trust.revocation",
            ", ".join(_REVOCATION[:-1]) + f" or {_REVOCATION[-1]}",
        ),
        (s.trust.ocsp_nonce in _OCSP_NONCE, "trust.ocsp_nonce", " or ".join(_OCSP_NONCE)),
        (
            s.trust.proxy in ("", _DIRECT) or _is_origin(s.trust.proxy, user_allowed=True),
            "trust.proxy",
            "http://host:port, or direct",
        ),
        (bool(s.host), "host", "an address to listen on"),
        (0 <= s.port <= 65535, "port", "0 to 65535"),
        (not s.metrics_listen or s.metrics_address is not None, "metrics_listen", "host:port"),
        (bool(s.data_dir), "data_dir", "a folder"),
        (1024 <= s.max_body <= 2**28, "max_body", f"{1024} to {2**28} bytes"),
        (bool(s.trust.anchors), "trust.anchors", "at least one file or folder"),
        (
            s.environment != "production" or bool(s.trust.pinned_anchor_fingerprints),
            "trust.pinned_anchor_fingerprints",
            "the SHA-256 fingerprints of the government's roots",
        ),
        (
            0 <= s.trust.crl_grace <= _MAX_CRL_GRACE,
            "trust.crl_grace",
            f"0 to {_MAX_CRL_GRACE:g} s",
        ),
        (
            least <= s.upstream.poll_interval <= _MAX_POLL_INTERVAL,
            "upstream.poll_interval",
            f"{_MIN_POLL_INTERVAL:g} to {_MAX_POLL_INTERVAL:g} s (less with "
            "`environment = simulator` only)",
        ),
        (0 < s.upstream.timeout <= 60, "upstream.timeout", "more than 0, at most 60 s"),
        (
            not s.upstream.proxy or _is_origin(s.upstream.proxy, user_allowed=True),
            "upstream.proxy",
            "http://host:port",
        ),
        (s.simulator or not s.upstream.base_url, "upstream.base_url", _FIXED),
        (
            not s.simulator or _is_origin(s.upstream.base_url),
            "upstream.base_url",
            "the simulator's address, http://host:port",
        ),
        (s.simulator or not s.upstream.web_base_url, "upstream.web_base_url", _FIXED),
        (
            not s.upstream.web_base_url or _is_origin(s.upstream.web_base_url),
            "upstream.web_base_url",
            "the address of the simulator's site, http://host:port",
        ),
        (s.simulator or not s.trust.crl_hosts, "trust.crl_hosts", _FIXED),
        (1 <= s.brakes.push_misses <= 10, "brakes.push_misses", "1 to 10"),
        *(
            (
                1 <= getattr(s.brakes, name) <= _LONGEST_BRAKE,
                f"brakes.{name}",
                f"1 to {_LONGEST_BRAKE:g} s",
            )
            for name in ("push_pause", "person_window", "window")
        ),
        (
            1 <= s.brakes.person_requests <= _MOST_REQUESTS,
            "brakes.person_requests",
            f"1 to {_MOST_REQUESTS}",
        ),
        (
            1 <= s.brakes.tenant_requests < _MOST_REQUESTS,
            "brakes.tenant_requests",
            f"1 to {_MOST_REQUESTS - 1}",
        ),
        (
            s.brakes.tenant_requests < s.brakes.gateway_requests <= _MOST_REQUESTS,
            "brakes.gateway_requests",
            f"more than `brakes.tenant_requests`, at most {_MOST_REQUESTS}",
        ),
        *(
            (
                1 <= getattr(s.limits, name) <= _MOST_REQUESTS,
                f"limits.{name}",
                f"1 to {_MOST_REQUESTS}",
            )
            for name in (f.name for f in fields(LimitSettings))
        ),
    )


def _is_origin(url: str, *, user_allowed: bool = False) -> bool:
    """Scheme, host and perhaps port, nothing behind."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and parts.path in ("", "/")
        and not parts.query
        and not parts.fragment
        and (user_allowed or parts.username is None)
    )


def _unprotected(database: str) -> bool:
    """Whether the way to a database server may be read or turned aside on the wire."""
    try:
        parts = urlsplit(database)
        options = parse_qs(parts.query)
    except ValueError:
        return False
    if not parts.scheme.startswith("postgresql"):
        return False
    host = (options.get("host") or [parts.hostname or ""])[0]
    tls = (options.get("sslmode") or options.get("ssl") or [""])[0]
    return not host.startswith("/") and host not in _LOOPBACK and tls != "verify-full"


def _address(text: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (host, port) if host and port is not None and parts.netloc == text else None


# -- complaining -------------------------------------------------------------------------------


def invalid(complaints: list[str]) -> GatewayError:
    """All complaints as one error."""
    return error("configuration_invalid", "; ".join(complaints))


def complaint(name: str, sources: Mapping[str, str], expected: str, came: str) -> str:
    """One sentence: which setting, from where, what was expected, what came."""
    inner = (source for other, source in sources.items() if other.startswith(f"{name}."))
    source = sources.get(name) or next(inner, None)
    where = f" {source}" if source else ""
    return f"setting `{name}`{where}: expected {expected}, came {came}"


_TABLES: Final[Mapping[str, type[Any]]] = {
    "brakes": BrakeSettings,
    "formats": FormatSettings,
    "limits": LimitSettings,
    "trust": TrustSettings,
    "upstream": UpstreamSettings,
}


def shown(name: str, value: object) -> str:
    """The value where it is no secret, shortened."""
    table: type[Any] = Settings
    *outer, last = name.split(".")
    for part in outer:
        table = _TABLES.get(part, Settings)
    secret = any(f.name == last and f.metadata.get("secret") for f in fields(table))
    if secret or not isinstance(value, str | int | float | tuple):
        return f"{type(value).__name__}, not shown" if secret else type(value).__name__
    if value in ("", ()):
        return "nothing"
    if isinstance(value, str) and "@" in value:
        return "text with user information, not shown"
    text = repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
