"""Settings: a TOML file, and ``MOICA_GATEWAY_…`` in the environment, which wins.

``model`` what there is and what the environment does not permit; ``reading`` from file and
environment; ``keys`` the master key's file, and keys that are refused. Deliberately not here: what
needs certificates to be looked at (`trust.anchors`, called by `app`), and settings of things that
do not exist yet.
"""

from moica_gateway.settings.keys import KNOWN_WEAK_KEYS, read_master_key, refuse_weak_key
from moica_gateway.settings.model import (
    BrakeSettings,
    FormatSettings,
    LimitSettings,
    Settings,
    TrustSettings,
    UpstreamSettings,
)
from moica_gateway.settings.reading import load_settings

__all__ = [
    "KNOWN_WEAK_KEYS",
    "BrakeSettings",
    "FormatSettings",
    "LimitSettings",
    "Settings",
    "TrustSettings",
    "UpstreamSettings",
    "load_settings",
    "read_master_key",
    "refuse_weak_key",
]
