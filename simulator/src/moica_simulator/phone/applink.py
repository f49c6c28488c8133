"""APP-API-01: the link by which a phone's browser, or another app, opens this app.

`mobilemoica://moica.moi.gov.tw/a2a/verifySign?sp_ticket=...&rtn_url=...&rtn_val=...` is read
strictly: exactly these members, each once, the last two base64url of UTF-8 with or without
padding, both empty where there is nowhere to return to. What goes back is `rtn_val` and nothing
of the result (moi-sp-api.md, "App link"). Whether the ticket is any good is the platform's matter.
"""

import base64
import binascii
from urllib.parse import parse_qsl, quote, urlsplit

import attrs

from moica_simulator.assumptions import RETURN_MEMBER
from moica_simulator.errors import SimulatorError

__all__ = ["AppLink"]

_LONGEST = 16 * 1024
_SCHEME, _HOST = "mobilemoica", "moica.moi.gov.tw"
_OP_MODES = {"/a2a/verifySign": "APP2APP", "/w2a/verifySign": "MWEB2APP"}
_MEMBERS = ["rtn_url", "rtn_val", "sp_ticket"]
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


@attrs.frozen
class AppLink:
    """An app link, taken apart.

    Attributes:
        op_mode: What its ticket must have been made for: `APP2APP` or `MWEB2APP`.
        sp_ticket: The ticket, not looked at yet.
        return_url: Where to go back to, with `rtn_val` in it, or None if there is nowhere to go,
            or the address is none that a browser opens as a page.
    """

    op_mode: str
    sp_ticket: str = attrs.field(repr=False)
    return_url: str | None = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "AppLink":
        """Reads a link.

        Raises:
            SimulatorError: `link_invalid`.
        """
        if len(url) > _LONGEST:
            raise _invalid(f"at most {_LONGEST} characters", f"{len(url)}")
        if not _is_visible_ascii(url):
            # Asked first: urlsplit would leave tabs and line ends out without a word.
            raise _invalid("percent-encoded ASCII", "another character")
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise _invalid("a URL", "something else") from error
        op_mode = _OP_MODES.get(parts.path)
        if (parts.scheme, parts.netloc) != (_SCHEME, _HOST) or op_mode is None or "#" in url:
            raise _invalid(
                f"{_SCHEME}://{_HOST} with the path {' or '.join(_OP_MODES)} and no fragment",
                "another scheme, host, path or a fragment",
            )
        values = _members(parts.query)
        return_url, value = _text("rtn_url", values), _text("rtn_val", values)
        return cls(op_mode, values["sp_ticket"], _return_url(return_url, value))


def _members(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=len(_MEMBERS),
        )
    except ValueError as error:
        raise _invalid(f"a query of {', '.join(_MEMBERS)}", "a malformed or longer one") from error
    if sorted(name for name, _ in pairs) != _MEMBERS:
        raise _invalid(f"a query of {', '.join(_MEMBERS)}, each once", "other members")
    return dict(pairs)


def _text(name: str, values: dict[str, str]) -> str:
    value = values[name]
    try:
        raw = base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), b"-_")
        text = raw.decode()
    except (binascii.Error, ValueError) as error:
        raise _invalid(f"{name} as base64url of UTF-8", "something else") from error
    # The decoder passes over strange characters and left-over bits: what it made must lead back.
    padded = base64.urlsafe_b64encode(raw).decode()
    if value not in (padded, padded.rstrip("=")):
        raise _invalid(f"{name} as base64url of UTF-8", "something close to it")
    return text


def _return_url(address: str, value: str) -> str | None:
    """Adds `rtn_val` to a return address; None if it is not to be offered to a browser."""
    if not address.isprintable() or " " in address or "\\" in address:
        return None
    try:
        parts = urlsplit(quote(address, safe=_ASCII))
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        return None
    kept = [each for each in parts.query.split("&") if each and each.split("=")[0] != RETURN_MEMBER]
    query = "&".join([*kept, f"{RETURN_MEMBER}={quote(value, safe='')}"])
    return parts._replace(query=query).geturl()


def _is_visible_ascii(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _invalid(expected: str, came: str) -> SimulatorError:
    return SimulatorError(
        "link_invalid",
        f"url: expected an app link, {expected}; {came} came. Send it as the relying system "
        "gave it out",
    )
