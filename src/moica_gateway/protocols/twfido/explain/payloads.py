"""The payloads that known slips make of the same fields, one slip at a time.

Two slips of the payload at once stay unnamed: what is named has to be right. Slips of the container
and of the hash come on top, in ``opening`` and in the package itself.
"""

from __future__ import annotations

import base64
import binascii
import html
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote, unquote_plus

from attrs import field, frozen

from moica_gateway.protocols.twfido.explain.slips import Slip

__all__ = ["Fields", "slipped"]

_BETWEEN: Final = (
    ",",
    ", ",
    "|",
    "&",
    ";",
    ":",
    "-",
    "_",
    ".",
    "/",
    "+",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\0",
)
_NOTHING: Final = ("null", "None", "undefined", "nil", "NULL", '""', " ", "0")
_CODECS: Final = (
    "big5",
    "cp950",
    "gb18030",
    "utf-16-le",
    "utf-16-be",
    "utf-8-sig",
    "ascii",
    "latin-1",
)
_FORMS: Final[tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...]] = ("NFC", "NFD", "NFKC", "NFKD")
_BEHIND: Final = {"\n": "LF", "\r\n": "CRLF", " ": "blank", "\0": "NUL"}


@frozen(kw_only=True)
class Fields:
    """What is covered, and what stands around it.

    Attributes:
        covered: Name and text in the specified order; the empty string for an absent one.
        around: Every other scalar by name, in the order of the JSON, as text.
        json_order: Names of the covered fields as the JSON has them.
        foreign_orders: Orders of other interfaces by id.
        body: The JSON itself, without its checksum.
    """

    covered: Mapping[str, str] = field(repr=False)
    around: Mapping[str, str] = field(repr=False)
    json_order: Sequence[str]
    foreign_orders: Mapping[str, Sequence[str]]
    body: Mapping[str, Any] = field(repr=False)

    @property
    def payload(self) -> str:
        """Joined as specified."""
        return "".join(self.covered.values())


def slipped(fields: Fields) -> Iterator[tuple[bytes, Slip]]:
    """Every payload that one slip makes, the likely first; some come to the right one all the
    same, e.g. where there is nothing to normalise."""
    for made, slip in itertools.chain(
        _order(fields),
        _selection(fields),
        _joints(fields),
        _values(fields),
        _bytes(fields),
        _bodies(fields),
        _permutations(fields),
    ):
        yield made if isinstance(made, bytes) else made.encode("utf-8", "replace"), slip


Made = tuple[str | bytes, Slip]


def _order(fields: Fields) -> Iterator[Made]:
    names = tuple(fields.covered)
    device = "device_user_def_desc"
    if device in names:
        rest = [name for name in names if name != device]
        slip = Slip(
            "device_place",
            f"{device} 要串接在 op_code 之前，與它在 JSON 中的位置無關",
            f"{device} is joined before op_code, wherever it stands in the JSON",
        )
        for place in range(len(rest) + 1):
            yield _join(fields, (*rest[:place], device, *rest[place:])), slip
    json_order = Slip(
        "json_order",
        "欄位照 JSON 的順序串接；要照規定的順序",
        "fields were joined as the JSON orders them; the specification has an order of its own",
    )
    yield _join(fields, fields.json_order), json_order
    yield (
        _join(fields, sorted(names)),
        Slip(
            "alphabetical",
            "欄位照字母順序串接；要照規定的順序",
            "fields were joined in alphabetical order; the specification has an order of its own",
        ),
    )


def _selection(fields: Fields) -> Iterator[Made]:
    names = tuple(fields.covered)
    filled = [name for name in names if fields.covered[name]]
    for count in range(1, len(filled)):
        for lost in itertools.combinations(filled, count):
            yield (
                _join(fields, [name for name in names if name not in lost]),
                Slip(
                    "left_out",
                    f"少串接了 {'、'.join(lost)}",
                    f"{', '.join(lost)} was not joined",
                ),
            )
    everything = {**fields.around, **fields.covered}
    for name in fields.around:
        slip = Slip(
            "too_much",
            f"多串接了 {name}，它不在涵蓋範圍內",
            f"{name} was joined too, which is not covered",
        )
        for place in range(len(names) + 1):
            order = (*names[:place], name, *names[place:])
            yield "".join(everything[each] for each in order), slip
    for interface, foreign in fields.foreign_orders.items():
        yield (
            "".join(everything.get(name, "") for name in foreign),
            Slip(
                "other_interface",
                f"照 {interface} 的欄位串接：{'、'.join(foreign)}",
                f"joined as for {interface}: {', '.join(foreign)}",
            ),
        )


def _joints(fields: Fields) -> Iterator[Made]:
    filled = [text for text in fields.covered.values() if text]
    for between in _BETWEEN:
        slip = Slip(
            "separator",
            f"欄位之間放了 {between!r}；中間不放任何東西",
            f"{between!r} was put between the fields; there is nothing between them",
        )
        yield between.join(fields.covered.values()), slip
        yield between.join(filled), slip
    named = Slip(
        "names",
        "連欄位名稱也串接了；只串接值",
        "the names of the fields were joined as well; only the values are",
    )
    for sign, between in (("=", "&"), ("=", ""), (":", ","), ("", "")):
        pairs = [f"{name}{sign}{text}" for name, text in fields.covered.items()]
        yield between.join(pairs), named
        kept = [f"{name}{sign}{text}" for name, text in fields.covered.items() if text]
        yield between.join(kept), named


def _values(fields: Fields) -> Iterator[Made]:
    empty = [name for name, text in fields.covered.items() if not text]
    for word in _NOTHING:
        yield (
            _join(fields, fields.covered, **dict.fromkeys(empty, word)),
            Slip(
                "null_word",
                f"沒有值的 {'、'.join(empty)} 串接成 {word!r}；要當作空字串",
                f"the absent {', '.join(empty)} was joined as {word!r}; it is the empty string",
            ),
        )
    for name, text in fields.covered.items():
        for changed, slip in _rewritten(name, text) if text else ():
            if isinstance(changed, str):
                yield _join(fields, fields.covered, **{name: changed}), slip
                continue
            before, _, behind = _join(fields, fields.covered, **{name: "\0"}).partition("\0")
            yield before.encode() + changed + behind.encode(), slip


def _rewritten(name: str, text: str) -> Iterator[tuple[str | bytes, Slip]]:
    if name in ("sign_data", "signed_response"):
        decoded = Slip(
            "before_base64",
            f"串接了 {name} 解開 base64 之後的內容；要串接送出的文字",
            f"{name} was joined as it is before base64; the text that is sent is joined",
        )
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass
        else:
            yield raw, decoded
            yield raw.hex(), decoded
        lines = Slip(
            "base64_spelling",
            f"串接的 {name} 與送出的 base64 寫法不同（URL-safe、換行、少了 = 或編碼兩次）",
            f"{name} was joined in another base64 than was sent (URL-safe, in lines, without = or "
            "encoded twice)",
        )
        yield base64.b64encode(text.encode()).decode(), lines
        yield text.translate(str.maketrans("+/", "-_")), lines
        yield text.rstrip("="), lines
        for size, end in itertools.product((64, 76), ("\n", "\r\n")):
            cut = [text[at : at + size] for at in range(0, len(text), size)]
            yield end.join(cut), lines
            yield end.join((*cut, "")), lines
    elif re.fullmatch(r"[0-9]+", text):
        number = Slip(
            "as_number",
            f"{name} 是文字，卻當成數字串接，位數因此改變",
            f"{name} is text but was joined as a number, which changes its digits",
        )
        yield str(int(text)), number
        yield f"{float(text):.0f}", number
        digits, _, exponent = f"{float(text)!r}".partition("e+")
        if exponent:
            yield digits.replace(".", "").ljust(int(exponent) + 1, "0"), number
    altered = Slip(
        "value_altered",
        f"{name} 串接前被改寫（大小寫、空白、連字號、跳脫或百分號編碼）；要照送出的原樣",
        f"{name} was rewritten before it was joined (case, blanks, hyphens, escapes or percent "
        "encoding); it is joined as it is sent",
    )
    yield from (
        (each, altered)
        for each in (
            *(text.upper(), text.lower(), text.strip(), re.sub(r"\s", "", text)),
            *(text.replace("-", ""), quote(text, safe=""), quote(text), unquote_plus(text)),
            *(json.dumps(text), json.dumps(text)[1:-1], html.escape(text), f'"{text}"'),
        )
    )


def _bytes(fields: Fields) -> Iterator[Made]:
    payload = fields.payload
    for end, shown in _BEHIND.items():
        yield (
            payload + end,
            Slip(
                "behind",
                f"內容後面多了一個 {shown}（例如 echo 少了 -n）",
                f"one {shown} too many stands behind the payload (echo without -n, perhaps)",
            ),
        )
    for codec in _CODECS:
        yield (
            payload.encode(codec, "replace"),
            Slip(
                "charset",
                f"內容以 {codec} 編碼；要用不帶 BOM 的 UTF-8",
                f"the payload was encoded as {codec}; UTF-8 without BOM is wanted",
            ),
        )
    yield (
        payload.encode().decode("latin-1").encode(),
        Slip(
            "charset_twice",
            "UTF-8 被當成 Latin-1 又編碼一次",
            "UTF-8 was taken for Latin-1 and encoded once more",
        ),
    )
    for form in _FORMS:
        yield (
            unicodedata.normalize(form, payload),
            Slip(
                "normalised",
                f"文字先做了 Unicode 正規化（{form}）；要照送出的原樣",
                f"the text was normalised ({form}); it is hashed as it is sent",
            ),
        )


def _bodies(fields: Fields) -> Iterator[Made]:
    slip = Slip(
        "whole_body",
        "對整份 JSON 算了雜湊；要串接規定的欄位",
        "the JSON as a whole was hashed; the specified fields are joined",
    )
    bodies = (fields.body, {**fields.body, "sp_checksum": ""})
    options = itertools.product(bodies, (True, False), (True, False), (",:", ", : "))
    for body, ascii_only, sort_keys, pair in options:
        separators = (pair[: len(pair) // 2], pair[len(pair) // 2 :])
        yield (
            json.dumps(body, ensure_ascii=ascii_only, sort_keys=sort_keys, separators=separators),
            slip,
        )


def _permutations(fields: Fields) -> Iterator[Made]:
    filled = [name for name, text in fields.covered.items() if text]
    for order in itertools.permutations(filled):
        yield (
            _join(fields, order),
            Slip(
                "order",
                f"欄位的順序不對（{'、'.join(order)}）",
                f"the order of the fields is wrong ({', '.join(order)})",
            ),
        )


def _join(fields: Fields, order: Sequence[str] | Mapping[str, str], **changed: str) -> str:
    values = {**fields.covered, **changed}
    return "".join(values[name] for name in order)
