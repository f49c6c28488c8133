"""The file of the master key, and keys that are refused. Security rule 13.

Deliberately not here: what is derived from the master key (`stores`), and the form in which the
Ministry issues an AES key (`protocols.twfido`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from moica_gateway.domain.values import Secret
from moica_gateway.errors import error

__all__ = ["KNOWN_WEAK_KEYS", "read_master_key", "refuse_weak_key"]

_MASTER_KEY_BYTES: Final = 32
_MAX_KEY_FILE: Final = 4096
_FEWEST_DISTINCT_BYTES: Final = 8

KNOWN_WEAK_KEYS: Final = frozenset(
    {
        # SHA-256 of the key of the published test vectors
        "ab5f8b5cb9435354c7b58603592d5faf081e17ceb05f7a7c67f4b666f12ca457",
    }
)
"""SHA-256 (hexadecimal) of keys that stand in public test data; refused outside the simulator.
The demonstration makes a random key at its first start, so that it has none to be listed."""


def read_master_key(path: Path) -> Secret:
    """32 bytes in base64; nobody but its owner may read the file.

    Raises:
        ConfigurationError: naming the file, never its content.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_KEY_FILE).decode("ascii")
    except (OSError, UnicodeDecodeError) as e:
        raise error(
            "configuration_invalid",
            f"expected the master key in {path}, it cannot be read ({type(e).__name__}); "
            "`moica-gateway init` makes one",
        ) from e
    if stat.S_IMODE(mode) & 0o077:
        raise error(
            "configuration_invalid",
            f"expected {path} to be readable by its owner only, came mode "
            f"{stat.S_IMODE(mode):o}; run `chmod 600` on it",
        )
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _MASTER_KEY_BYTES:
        raise error("configuration_invalid", f"expected 32 bytes in base64 in {path}")
    return Secret(key)


def refuse_weak_key(key: Secret, environment: str) -> None:
    """Security rule 13: no key of public test data outside the simulator, nor one that was typed.

    Raises:
        ConfigurationError: showing nothing of the key.
    """
    value = key.reveal()
    known = hashlib.sha256(value).hexdigest() in KNOWN_WEAK_KEYS
    # 32 random bytes have fewer than 8 different ones once in 10^40 keys; all zeros are common.
    if (known or len(set(value)) < _FEWEST_DISTINCT_BYTES) and environment != "simulator":
        raise error(
            "configuration_invalid",
            "expected the service provider's own AES key, came one of public test data; the "
            "operator sets the key that the Ministry issued",
        )
