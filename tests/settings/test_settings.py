"""Where settings come from, and what each environment refuses."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from moica_gateway.domain.values import Secret
from moica_gateway.errors import ConfigurationError
from moica_gateway.settings import load_settings, read_master_key, refuse_weak_key

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
    ("this is no TOML", "TOML"),
]


@pytest.mark.parametrize(("text", "named"), REFUSED)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    """And nothing starts."""
    with pytest.raises(ConfigurationError) as raised:
        load_settings(write(tmp_path, text), {})
    assert named in raised.value.problem.detail


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
