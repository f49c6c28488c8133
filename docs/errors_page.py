"""Writes `reference/errors.md` from the catalogue and `reference/actions.toml`.

`python docs/errors_page.py` after a change of either; a test says when it was forgotten.
"""

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from moica_gateway.errors import CATALOGUE, CatalogueEntry, GatewayError

_HERE: Final = Path(__file__).parent / "reference"
PAGE: Final = _HERE / "errors.md"
_HEAD: Final = """# Errors

Every error is a problem document (RFC 9457): `code` is stable and for programs, `user_message`
(`zh-TW`, `en`) may be shown as it is, `who_can_act` and `what_helps` say what to offer. In a
transaction it stands as `error`, and the HTTP status of the call is 200 or 201; as an answer to a
call it has the status below, and nothing was made or changed.

The SDK raises the class; those with HTTP `-` end a transaction and are returned, not raised.
"""
_CLASSES: Final = (
    ("RequestError", "The call"),
    ("HolderActionError", "The holder"),
    ("HolderCertificateError", "The holder's certificate or phone"),
    ("UpstreamError", "The platform"),
    ("VerificationError", "Not authentic, or not what was asked for"),
    ("ConfigurationError", "The set-up"),
    ("GatewayError", "Ourselves"),
)


def actions() -> Mapping[str, str]:
    """What is done about each code."""
    text = (_HERE / "actions.toml").read_text(encoding="utf-8")
    return {code: str(action) for code, action in tomllib.loads(text).items()}


def page() -> str:
    """The whole page."""
    known = actions()
    parts = [_HEAD]
    for name, title in _CLASSES:
        rows = {code: row for code, row in CATALOGUE.items() if row.cls.__name__ == name}
        parts.append(f"## {title}\n\n{_summary(next(iter(rows.values())).cls)}\n")
        parts += [_entry(code, row, known[code]) for code, row in rows.items()]
    return "\n".join(parts)


def _summary(class_: type[GatewayError]) -> str:
    first = (class_.__doc__ or "").split("\n\n")[0]
    return f"`{class_.__name__}`: {' '.join(first.split())}"


def _entry(code: str, row: CatalogueEntry, action: str) -> str:
    status = str(row.status) if row.status >= 400 else "-"
    return (
        f"### `{code}`\n\n{row.title}. HTTP {status}; who can act: {row.who_can_act}; what helps: "
        f"`{row.what_helps}`.\n\n> {row.zh}\n> {row.en}\n\n**Action:** {action}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: {len(CATALOGUE)} errors\n")
