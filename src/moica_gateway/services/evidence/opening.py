"""A ZIP of evidence from anywhere, opened without believing it.

What is looked at: that it is one ZIP of the files that its manifest names, within limits, each with
its digest, and that the manifest is signed by the key that stands in it. Whose key that is, and
whether the signatures inside are good, is for others to say.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen

from moica_gateway.errors import GatewayError, error
from moica_gateway.services.evidence.archive import MANIFEST, MANIFEST_SIGNATURE, MANIFEST_TAG

__all__ = ["OpenedEvidence", "open_evidence"]

_MAX_FILES: Final = 5_000
_MAX_TOTAL: Final = 512 * 1_048_576
_MAX_RATIO: Final = 1_000


@frozen(kw_only=True)
class OpenedEvidence:
    """Its files by name, manifest and signature among them.

    Attributes:
        public_key: By which the manifest is signed; 32 bytes.
        problems: In words, each with the file's name; without any it is as it was packed.
    """

    files: Mapping[str, bytes] = field(repr=False)
    public_key: bytes
    problems: tuple[str, ...]

    def member(self, name: str) -> Any:
        """A JSON file; None where there is none, or it is none."""
        try:
            return json.loads(self.files[name])
        except (KeyError, ValueError, RecursionError):
            return None


def open_evidence(data: bytes, signed: Callable[[bytes, bytes, bytes], bool]) -> OpenedEvidence:
    """Read all of it.

    Args:
        data: The ZIP.
        signed: Whether that Ed25519 key has made that signature over these bytes.

    Raises:
        RequestError: ``artifact_unreadable`` for what is no evidence, or is beyond the limits.
    """
    try:
        files = _unpacked(data)
        manifest = json.loads(files[MANIFEST])
        public_key = bytes.fromhex(manifest["public_key"])
        listed = {str(each["name"]): str(each["sha256"]) for each in manifest["files"]}
    except GatewayError:
        raise
    except Exception as e:
        raise _unreadable(f"what cannot be read ({type(e).__name__})") from e
    problems = []
    if not signed(public_key, files.get(MANIFEST_SIGNATURE, b""), MANIFEST_TAG + files[MANIFEST]):
        problems.append(f"{MANIFEST}: its signature does not verify under its own key")
    there = files.keys() - {MANIFEST, MANIFEST_SIGNATURE}
    problems += [f"{name}: missing" for name in sorted(listed.keys() - there)]
    problems += [f"{name}: not in the manifest" for name in sorted(there - listed.keys())]
    problems += [
        f"{name}: expected the SHA-256 that the manifest says, came another"
        for name in sorted(there & listed.keys())
        if not hmac.compare_digest(hashlib.sha256(files[name]).hexdigest(), listed[name])
    ]
    return OpenedEvidence(files=files, public_key=public_key, problems=tuple(problems))


def _unpacked(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = min(_MAX_TOTAL, max(1_048_576, len(data) * _MAX_RATIO))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if len(entries) > _MAX_FILES:
            raise _unreadable(f"one with more than {_MAX_FILES} files")
        for entry in entries:
            if entry.filename in files:
                raise _unreadable("one with a file twice")
            with archive.open(entry) as file:
                # What the directory says of a size is not believed.
                body = file.read(left + 1)
            left -= len(body)
            if left < 0:
                raise _unreadable("one that unpacks to more than the limit")
            files[entry.filename] = body
    return files


def _unreadable(came: str) -> GatewayError:
    return error(
        "artifact_unreadable",
        f"expected a ZIP of evidence, came {came}; whoever keeps it hands over the file as it was "
        "fetched",
    )
