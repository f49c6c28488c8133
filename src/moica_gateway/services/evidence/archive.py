"""The ZIP: the same files give the same bytes, and a signed manifest names every one of them.

``docs/reference/evidence.md`` is the same for strangers. Names are ours and never a caller's.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from moica_gateway.domain.audit import key_id_of
from moica_gateway.ports import Seals

__all__ = ["MANIFEST", "MANIFEST_SIGNATURE", "MANIFEST_TAG", "json_file", "pack"]

MANIFEST: Final = "manifest.json"
MANIFEST_SIGNATURE: Final = "manifest.sig"
MANIFEST_TAG: Final = b"moica-evidence-manifest/1\n"
"""Stands before the manifest in what is signed, so that nothing else can pass for one."""
_MODE: Final = 0o644 << 16


def json_file(value: Any) -> bytes:
    """For people, too."""
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def pack(files: Mapping[str, bytes], about: Mapping[str, Any], seals: Seals, at: datetime) -> bytes:
    """The archive; ``about`` stands in the manifest beside the list of files."""
    key = seals.public_key
    manifest = json_file(
        {
            "v": 1,
            **about,
            "made_at": at.astimezone(UTC).isoformat(timespec="seconds"),
            "key_id": key_id_of(key),
            "public_key": key.hex(),
            "files": [
                {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for name, data in sorted(files.items())
            ],
        }
    )
    signature = seals.sign(MANIFEST_TAG + manifest)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        # What a person opens comes first.
        order = sorted(files, key=lambda name: (name != "index.html", name))
        for name in order:
            _add(archive, name, files[name], at)
        _add(archive, MANIFEST, manifest, at)
        _add(archive, MANIFEST_SIGNATURE, signature, at)
    return out.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, at: datetime) -> None:
    entry = zipfile.ZipInfo(name, at.astimezone(UTC).timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = _MODE
    archive.writestr(entry, data)
