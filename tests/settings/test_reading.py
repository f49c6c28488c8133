"""Where a wrong setting came from is said; what it was is said unless it is a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from moica_gateway.errors import ConfigurationError
from moica_gateway.settings import Settings, TrustSettings, UpstreamSettings, load_settings

SIMULATOR = {
    "MOICA_GATEWAY_ENVIRONMENT": "simulator",
    "MOICA_GATEWAY_UPSTREAM__BASE_URL": "http://127.0.0.1:8701",
    "MOICA_GATEWAY_TRUST__ANCHORS": "root.pem, more",
}
PASSWORD = "hunter2-hunter2"


def detail_of(file: Path | None, environ: dict[str, str]) -> str:
    """What is said of a set-up that must be refused."""
    with pytest.raises(ConfigurationError) as raised:
        load_settings(file, environ)
    assert raised.value.code == "configuration_invalid"
    return raised.value.problem.detail


def write(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def test_without_anything_it_is_production_and_refuses_to_start() -> None:
    """The default is the strictest environment, and trusts nobody."""
    detail = detail_of(None, {})
    assert "trust.anchors" in detail
    assert "trust.pinned_anchor_fingerprints" in detail


def test_the_environment_alone_is_enough() -> None:
    """Lists with commas, numbers as text, names of choices in any case."""
    settings = load_settings(None, {**SIMULATOR, "MOICA_GATEWAY_LOG_LEVEL": "debug"})
    assert settings.trust.anchors == ("root.pem", "more")
    assert settings.log_level == "DEBUG"
    assert settings.simulator


def test_other_programs_variables_are_left_alone() -> None:
    """Only the prefix counts, and the name of the file is no setting."""
    environ = {**SIMULATOR, "MOICA_GATEWAY_CONFIG": "x", "HOME": "/", "MOICA_SIMULATOR_X": "1"}
    assert load_settings(None, environ).port == 8700


BAD_ENVIRONMENT: list[tuple[str, str, tuple[str, ...]]] = [
    ("PORT", "many", ("port", "MOICA_GATEWAY_PORT", "a whole number", "'many'")),
    ("PORT", "٣", ("port", "a whole number")),
    ("PORT", "9" * 30, ("port", "a whole number")),
    ("PORT", "-1", ("port", "0 to 65535", "-1")),
    ("LOG_LEVLE", "x", ("log_levle", "did you mean `log_level`?")),
    ("UPSTREAM__POL_INTERVAL", "4", ("did you mean `upstream.poll_interval`?",)),
    ("UPSTREAM", "x", ("upstream", "a table")),
    ("PORT__X", "1", ("port", "MOICA_GATEWAY_PORT__X")),
    ("UPSTREAM__POLL_INTERVAL", "nan", ("upstream.poll_interval", "a number")),
    ("UPSTREAM__POLL_INTERVAL", "inf", ("upstream.poll_interval", "a number")),
    ("UPSTREAM__POLL_INTERVAL", "0", ("upstream.poll_interval",)),
    ("UPSTREAM__TIMEOUT", "0", ("upstream.timeout",)),
    ("TRUST__CRL_GRACE", "1e12", ("trust.crl_grace",)),
    ("TRUST__CRL_GRACE", "-1", ("trust.crl_grace",)),
    ("TRUST__REVOCATION", "off", ("trust.revocation", "crl, ocsp, crl_then_ocsp", "'off'")),
    ("TRUST__ANCHORS", " , ", ("trust.anchors", "came nothing")),
    ("ENVIRONMENT", "prod", ("environment", "production, uat or simulator", "'prod'")),
    ("LOG_FORMAT", "xml", ("log_format", "json or console")),
    ("HOST", "", ("host",)),
    ("DATA_DIR", "", ("data_dir",)),
    ("MAX_BODY", "1", ("max_body",)),
    ("METRICS_LISTEN", "9090", ("metrics_listen", "host:port")),
    ("METRICS_LISTEN", "h:99999", ("metrics_listen",)),
    ("UPSTREAM__BASE_URL", "", ("upstream.base_url",)),
    ("UPSTREAM__BASE_URL", "ftp://x", ("upstream.base_url",)),
    ("UPSTREAM__BASE_URL", "http://x/path?q", ("upstream.base_url",)),
    ("UPSTREAM__BASE_URL", "http://[::1", ("upstream.base_url",)),
    ("UPSTREAM__WEB_BASE_URL", "ftp://x", ("upstream.web_base_url",)),
    ("UPSTREAM__WEB_BASE_URL", "http://x/path", ("upstream.web_base_url",)),
    ("UPSTREAM__PROXY", "socks5://x:1", ("upstream.proxy", "http://host:port")),
]


@pytest.mark.parametrize(("name", "value", "said"), BAD_ENVIRONMENT)
def test_a_bad_variable_is_named_with_what_was_expected(
    name: str, value: str, said: tuple[str, ...]
) -> None:
    """And with what came."""
    detail = detail_of(None, {**SIMULATOR, f"MOICA_GATEWAY_{name}": value})
    for words in said:
        assert words in detail


@pytest.mark.parametrize(
    "text",
    [
        'port = "8700"',
        "port = 8700.0",
        "port = true",
        "host = 1",
        'trust = "x"',
        "[trust]\nanchors = 1",
        "[trust]\nanchors = [1]",
        '[trust]\nanchors = "root.pem"',
        "[upstream]\npoll_interval = true",
        f"[upstream]\npoll_interval = 1{'0' * 400}",
        "[[upstream]]\nx = 1",
        "x." * 3000 + "y = 1",
    ],
)
def test_a_file_is_read_strictly(tmp_path: Path, text: str) -> None:
    """Text is no number there, a truth value neither, and one text is no list."""
    path = write(tmp_path, text)
    detail = detail_of(path, {"MOICA_GATEWAY_ENVIRONMENT": "simulator"})
    assert f"{path}: expected" in detail


def test_the_file_is_named_where_the_value_stands_in_it(tmp_path: Path) -> None:
    """And the variable where the environment won."""
    path = write(tmp_path, 'port = "x"\nhost = ""\n')
    detail = detail_of(path, {**SIMULATOR, "MOICA_GATEWAY_HOST": ""})
    assert f"setting `port` in {path}" in detail
    detail = detail_of(path, {**SIMULATOR, "MOICA_GATEWAY_PORT": "0", "MOICA_GATEWAY_HOST": ""})
    assert "setting `host` in the environment (MOICA_GATEWAY_HOST)" in detail


def test_everything_wrong_is_told_at_once() -> None:
    """Not one at each start."""
    detail = detail_of(None, {"MOICA_GATEWAY_PORT": "x", "MOICA_GATEWAY_LOG_FORMAT": "y"})
    assert "`port`" in detail
    assert "`log_format`" in detail


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPSTREAM__PROXY", f"socks5://user:{PASSWORD}@proxy:1"),
        ("UPSTREAM__BASE_URL", f"http://user:{PASSWORD}@127.0.0.1:1"),
        ("API_KEY", PASSWORD),
        ("DATABASE__PASSWORD", PASSWORD),
    ],
)
def test_a_secret_is_not_repeated(name: str, value: str) -> None:
    """Neither in the message nor in the exception's text."""
    detail = detail_of(None, {**SIMULATOR, f"MOICA_GATEWAY_{name}": value})
    assert PASSWORD not in detail


def test_settings_do_not_show_secrets_when_printed() -> None:
    """The proxy's and the database's password."""
    upstream = UpstreamSettings(proxy=f"http://u:{PASSWORD}@p:1")
    settings = Settings(database=f"postgresql://u:{PASSWORD}@h/d", upstream=upstream)
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"port = ", b"a = 1\na = 2", b"\x00"])
def test_what_is_no_toml_is_said_without_its_content(tmp_path: Path, content: bytes) -> None:
    """With the file's name."""
    path = tmp_path / "gateway.toml"
    path.write_bytes(content + PASSWORD.encode())
    detail = detail_of(path, {})
    assert str(path) in detail
    assert PASSWORD not in detail


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A mistyped --config must not start a gateway with other settings."""
    assert str(tmp_path / "no.toml") in detail_of(tmp_path / "no.toml", SIMULATOR)


PINNED = TrustSettings(anchors=("a",), pinned_anchor_fingerprints=("00",))
FORBIDDEN: list[tuple[Settings, str]] = [
    (Settings(environment=environment, trust=PINNED, upstream=upstream), name)
    for environment in ("production", "uat")
    for upstream, name in (
        (UpstreamSettings(base_url="https://fidoapi.moi.gov.tw.evil.test"), "upstream.base_url"),
        (UpstreamSettings(base_url="http://127.0.0.1:8701"), "upstream.base_url"),
        (UpstreamSettings(web_base_url="https://fido.moi.gov.tw"), "upstream.web_base_url"),
        (UpstreamSettings(web_base_url="http://127.0.0.1:8701"), "upstream.web_base_url"),
        (UpstreamSettings(poll_interval=3.9), "upstream.poll_interval"),
    )
]


@pytest.mark.parametrize(("settings", "name"), FORBIDDEN)
def test_the_real_environments_permit_no_other_platform(settings: Settings, name: str) -> None:
    """Security rule 13."""
    with pytest.raises(ConfigurationError) as raised:
        settings.check()
    assert f"`{name}`" in raised.value.problem.detail


def test_production_permits_no_crl_hosts_and_needs_pins() -> None:
    """Security rule 13; uat needs no pins."""
    hosts = TrustSettings(
        anchors=("a",), pinned_anchor_fingerprints=("00",), crl_hosts=("evil.test",)
    )
    with pytest.raises(ConfigurationError) as raised:
        Settings(trust=hosts).check()
    assert "trust.crl_hosts" in raised.value.problem.detail
    with pytest.raises(ConfigurationError):
        Settings(trust=TrustSettings(anchors=("a",))).check()
    Settings(environment="uat", trust=TrustSettings(anchors=("a",))).check()


@pytest.mark.parametrize("environment", ["Production", "test", ""])
def test_an_environment_that_is_none_is_refused_however_it_was_made(environment: str) -> None:
    """Also where a program makes the settings itself."""
    with pytest.raises(ConfigurationError):
        Settings(environment=environment, trust=PINNED).check()  # type: ignore[arg-type]


def test_the_platforms_addresses_are_fixed() -> None:
    """``protocol/moi-sp-api.md`` "Hosts"; CRLs and OCSP from the government's hosts only."""
    hosts = {
        "ocsp-moica.moi.gov.tw",
        "moica.nat.gov.tw",
        "grca.nat.gov.tw",
        "ocsp.grca.nat.gov.tw",
    }
    expected = {
        "production": ("https://fidoapi.moi.gov.tw", "https://fido.moi.gov.tw"),
        "uat": ("https://fidoapi-test.moi.gov.tw", "https://fido-test.moi.gov.tw"),
    }
    for environment, urls in expected.items():
        settings = Settings(environment=environment, trust=PINNED)  # type: ignore[arg-type]
        assert (settings.base_url, settings.web_base_url) == urls
        assert set(settings.crl_hosts) == hosts


def test_the_simulators_site_is_where_its_platform_is_unless_set() -> None:
    """Both are settable there, and only there."""
    upstream = UpstreamSettings(base_url="http://127.0.0.1:1")
    settings = Settings(environment="simulator", upstream=upstream)
    assert settings.web_base_url == "http://127.0.0.1:1"
    upstream = UpstreamSettings(base_url="http://127.0.0.1:1", web_base_url="http://127.0.0.1:2")
    settings = Settings(environment="simulator", trust=PINNED, upstream=upstream)
    settings.check()
    assert settings.web_base_url == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(environment="simulator"), "environment=simulator"),
        (Settings(trust=TrustSettings(crl_grace=60.0)), "trust.crl_grace=60"),
        (
            Settings(trust=TrustSettings(revocation="crl_if_available")),
            "trust.revocation=crl_if_available",
        ),
        (Settings(trust=TrustSettings(ocsp_nonce="if_answered")), "trust.ocsp_nonce=if_answered"),
        (Settings(), "level=B-B (no timestamp authority)"),
        (Settings(database="postgresql://u@db/g"), "database without sslmode=verify-full"),
        (
            Settings(database="postgresql://u@db/g?sslmode=require"),
            "database without sslmode=verify-full",
        ),
    ],
)
def test_every_relaxation_is_said_at_start(settings: Settings, named: str) -> None:
    """By its name."""
    assert named in settings.relaxations()


def test_a_strict_policy_is_no_relaxation() -> None:
    """Whoever is asked, in whatever order: nothing is said where nothing is let through."""
    for policy in ("crl", "ocsp", "crl_then_ocsp", "ocsp_then_crl", "crl_and_ocsp"):
        settings = Settings(environment="uat", trust=evolve(PINNED, revocation=policy))
        settings.check()
        assert settings.relaxations() == ()
    assert TrustSettings().revocation == "crl_then_ocsp"


@pytest.mark.parametrize(
    ("upstream", "trust", "way"),
    [
        ("", "", None),
        ("http://a:1", "", "http://a:1"),
        ("http://a:1", "http://u:p@b:2", "http://u:p@b:2"),
        ("", "http://b:2", "http://b:2"),
        ("http://a:1", "direct", None),
    ],
)
def test_lists_and_ocsp_may_have_a_proxy_of_their_own_or_none(
    upstream: str, trust: str, way: str | None
) -> None:
    """Only as the settings say."""
    settings = Settings(
        environment="uat",
        upstream=UpstreamSettings(proxy=upstream),
        trust=evolve(PINNED, proxy=trust),
    )
    settings.check()
    assert settings.trust_proxy == way


@pytest.mark.parametrize("proxy", ["b:2", "socks5://b:2", "http://u:hunter2@b:2/path", "none"])
def test_a_proxy_for_lists_that_is_none_is_refused_and_not_shown(proxy: str) -> None:
    """It may hold a password."""
    with pytest.raises(ConfigurationError) as raised:
        Settings(environment="uat", trust=evolve(PINNED, proxy=proxy)).check()
    assert "trust.proxy" in raised.value.problem.detail
    assert "hunter2" not in raised.value.problem.detail


@pytest.mark.parametrize(
    "database",
    [
        "sqlite:////var/lib/gateway.db",
        "postgresql://u@127.0.0.1/g",
        "postgresql://u@/g?host=/run/postgresql",
        "postgresql://u@db/g?sslmode=verify-full",
    ],
)
def test_a_protected_database_is_no_relaxation(database: str) -> None:
    """A file, this machine, or verified TLS."""
    named = Settings(database=database).relaxations()
    assert not [name for name in named if name.startswith("database")]


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:1", ("::1", 1)), ("", None)],
)
def test_metrics_may_have_an_address_of_their_own(
    text: str, address: tuple[str, int] | None
) -> None:
    """Empty serves them with the API."""
    assert Settings(metrics_listen=text).metrics_address == address
