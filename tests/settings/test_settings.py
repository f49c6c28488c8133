"""Where settings come from, and what each environment refuses."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict

from moica_gateway.domain.brakes import BrakeLimits
from moica_gateway.domain.values import Secret
from moica_gateway.errors import ConfigurationError
from moica_gateway.settings import BrakeSettings, load_settings, read_master_key, refuse_weak_key

GOOD = """
environment = "simulator"
[upstream]
base_url = "http://127.0.0.1:8701"
poll_interval = 1.0
[trust]
anchors = ["root.pem"]
"""


def write(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """MOICA_GATEWAY_…, two underscores for a table."""
    environ = {"MOICA_GATEWAY_PORT": "9000", "MOICA_GATEWAY_UPSTREAM__POLL_INTERVAL": "0.5"}
    settings = load_settings(write(tmp_path, GOOD), environ)
    assert (settings.port, settings.upstream.poll_interval) == (9000, 0.5)
    assert settings.base_url == "http://127.0.0.1:8701"


def test_production_and_uat_fix_the_platforms_address(tmp_path: Path) -> None:
    """And the hosts of CRLs."""
    text = """
environment = "production"
[trust]
anchors = ["root.pem"]
pinned_anchor_fingerprints = ["00"]
"""
    settings = load_settings(write(tmp_path, text), {})
    assert settings.base_url == "https://fidoapi.moi.gov.tw"
    assert "ocsp-moica.moi.gov.tw" in settings.crl_hosts


PRODUCTION = 'environment = "production"\n[trust]\nanchors = ["a"]\n'
PINNED = PRODUCTION + 'pinned_anchor_fingerprints = ["00"]\n'
REFUSED: list[tuple[str, str]] = [
    (GOOD + 'anchor = ["x"]\n', "did you mean `trust.anchors`"),
    (GOOD.replace("1.0", '"soon"'), "upstream.poll_interval"),
    (GOOD.replace('"simulator"', '"test"'), "environment"),
    (GOOD.replace('["root.pem"]', "[]"), "trust.anchors"),
    ("port = 70000\n" + GOOD, "port"),
    ("port = true\n" + GOOD, "port"),
    (PRODUCTION, "pinned_anchor_fingerprints"),
    (PINNED + '[upstream]\nbase_url = "https://evil.test"\n', "upstream.base_url"),
    (PINNED + "[upstream]\npoll_interval = 1.0\n", "upstream.poll_interval"),
    (PINNED + 'crl_hosts = ["evil.test"]\n', "trust.crl_hosts"),
    (GOOD + 'revocation = "off"\n', "trust.revocation"),
    (GOOD + "[brakes]\npush_misses = 0\n", "brakes.push_misses"),
    (GOOD + "[brakes]\npush_misses = 11\n", "brakes.push_misses"),
    (GOOD + "[brakes]\npush_misses = 2.5\n", "brakes.push_misses"),
    (GOOD + "[brakes]\npush_pause = 0\n", "brakes.push_pause"),
    (GOOD + "[brakes]\npush_pause = 90000\n", "brakes.push_pause"),
    (GOOD + "[brakes]\nperson_window = 0.5\n", "brakes.person_window"),
    (GOOD + "[brakes]\nperson_requests = 0\n", "brakes.person_requests"),
    (GOOD + "[brakes]\nwindow = -1\n", "brakes.window"),
    (GOOD + "[brakes]\ntenant_requests = 0\n", "brakes.tenant_requests"),
    (GOOD + "[brakes]\ntenant_requests = 6000\n", "more than `brakes.tenant_requests`"),
    (GOOD + "[brakes]\ngateway_requests = 1200\n", "more than `brakes.tenant_requests`"),
    (GOOD + "[brakes]\ngateway_requests = 1000001\n", "brakes.gateway_requests"),
    (GOOD + "[brakes]\nrequests = 5\n", "brakes.requests"),
    ("this is no TOML", "TOML"),
]


@pytest.mark.parametrize(("text", "named"), REFUSED)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    """And nothing starts."""
    with pytest.raises(ConfigurationError) as raised:
        load_settings(write(tmp_path, text), {})
    assert named in raised.value.problem.detail


def test_brakes_are_set_by_file_and_environment(tmp_path: Path) -> None:
    """What is not set is as the rules say: two in a row, ten minutes."""
    text = GOOD + "[brakes]\nperson_requests = 9\n"
    settings = load_settings(write(tmp_path, text), {"MOICA_GATEWAY_BRAKES__TENANT_REQUESTS": "50"})
    brakes = settings.brakes
    assert (brakes.person_requests, brakes.tenant_requests) == (9, 50)
    assert (brakes.push_misses, brakes.push_pause) == (2, 600.0)
    assert settings.relaxations() == ("environment=simulator",)


def test_a_looser_pause_of_push_is_a_relaxation(tmp_path: Path) -> None:
    """It is said at start; a tighter one is not."""
    text = GOOD + "[brakes]\npush_misses = 3\npush_pause = 60\n"
    found = load_settings(write(tmp_path, text), {}).relaxations()
    assert {"brakes.push_misses=3", "brakes.push_pause=60"} <= set(found)
    text = GOOD + "[brakes]\npush_misses = 1\npush_pause = 900\n"
    assert load_settings(write(tmp_path, text), {}).relaxations() == ("environment=simulator",)


def test_the_settings_begin_as_the_domains_limits_do() -> None:
    """Two places, one set of defaults."""
    brakes, limits = BrakeSettings(), BrakeLimits()
    for name in asdict(brakes):
        set_, limit = getattr(brakes, name), getattr(limits, name)
        assert set_ == (limit.total_seconds() if isinstance(limit, timedelta) else limit), name


def test_relaxations_have_names(tmp_path: Path) -> None:
    """They are said at start."""
    settings = load_settings(write(tmp_path, GOOD + 'revocation = "crl_if_available"\n'), {})
    assert "trust.revocation=crl_if_available" in settings.relaxations()


@pytest.mark.parametrize(
    ("content", "mode", "word"),
    [
        (base64.b64encode(b"k" * 32), 0o644, "chmod 600"),
        (base64.b64encode(b"k" * 31), 0o600, "32 bytes"),
        (b"\xff", 0o600, "master key"),
    ],
)
def test_a_master_key_that_is_open_or_short_is_refused(
    tmp_path: Path, content: bytes, mode: int, word: str
) -> None:
    """Without showing it."""
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as raised:
        read_master_key(path)
    assert word in raised.value.problem.detail
    assert base64.b64encode(b"k" * 31).decode() not in str(raised.value)


@pytest.mark.parametrize(("environment", "refused"), [("production", True), ("simulator", False)])
def test_the_key_of_the_test_vectors_is_refused_in_production(
    environment: str, refused: Any
) -> None:
    """Security rule 13."""
    key = Secret(base64.b64decode("AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw="))
    if not refused:
        refuse_weak_key(key, environment)
        return
    with pytest.raises(ConfigurationError):
        refuse_weak_key(key, environment)
