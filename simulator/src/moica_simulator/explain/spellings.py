"""How values, and the bytes of the whole payload, are spelled by mistake.

A spelling of values turns the fields into others; a spelling of bytes turns the joined text into
bytes that are not its UTF-8. What is in bytes already (a decoded document) stays as it is.
"""

import base64
import binascii
import hashlib
import html
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator, Mapping

import attrs

from moica_simulator.explain.mistake import Mistake

__all__ = ["Encoding", "Piece", "Values", "encodings", "values"]

Piece = str | bytes

_NOTHING = ("null", "None", "undefined", "nil", "NULL", "(null)", '""', "''", " ", "0", "{}")


@attrs.frozen
class Values:
    """The fields, each spelled as it may have been."""

    values: Mapping[str, Piece] = attrs.field(repr=False)
    mistake: Mistake | None = None


@attrs.frozen
class Encoding:
    """A way from pieces to bytes."""

    encode: Callable[[list[Piece]], bytes]
    mistake: Mistake | None = None


def values(given: Mapping[str, str | None]) -> Iterator[Values]:
    """Returns the right values, and then those that mistakes make of them.

    Args:
        given: Every field that may be joined; None where it is absent or null.
    """
    plain: dict[str, Piece] = {name: value or "" for name, value in given.items()}
    yield Values(plain)
    absent = [name for name, value in given.items() if not value]
    for text in _NOTHING:
        yield Values(
            {**plain, **dict.fromkeys(absent, text)},
            Mistake(
                "null_as_text",
                f"沒有值的欄位（{'、'.join(absent)}）要當作空字串；這裡串接成 {text!r}",
                f"an absent field ({', '.join(absent)}) is the empty string; it was joined as "
                f"{text!r}",
            ),
        )
    if data := given.get("sign_data"):
        for piece, mistake in _sign_data(data):
            yield Values({**plain, "sign_data": piece}, mistake)
    for name, value in given.items():
        for text, mistake in _texts(name, value or ""):
            yield Values({**plain, name: text}, mistake)
    for change, zh, en in (
        (str.upper, "轉成大寫", "in upper case"),
        (str.lower, "轉成小寫", "in lower case"),
        (str.strip, "去掉頭尾的空白", "without the blanks around them"),
        (lambda text: f'"{text}"', "加上引號", "in quotation marks"),
        (lambda text: json.dumps(text), "寫成 JSON 字串", "as JSON strings"),
    ):
        yield Values(
            {name: change(value or "") for name, value in given.items()},
            Mistake(
                "values_changed",
                f"欄位的值要照 JSON 本文中的原樣；這裡全部{zh}",
                f"values are joined as they stand in the body; here all were {en}",
            ),
        )


def _sign_data(data: str) -> Iterator[tuple[Piece, Mistake]]:
    before = Mistake(
        "sign_data_decoded",
        "要串接的是送出的 sign_data 文字本身；這裡串接的是 base64 編碼之前的內容",
        "sign_data is joined as the text that is sent; what it was before base64 was joined",
    )
    raw = _decoded(data)
    if raw is not None:
        yield raw, before
        yield raw.hex(), before
        yield raw.hex().upper(), before
        yield raw.decode("utf-8", "replace"), before
        yield hashlib.sha256(raw).hexdigest(), before
    again = Mistake(
        "sign_data_encoded_twice",
        "要串接的是送出的 sign_data 文字本身；這裡又做了一次編碼",
        "sign_data is joined as the text that is sent; it was encoded once more",
    )
    yield base64.b64encode(data.encode()).decode(), again
    yield data.encode().hex(), again
    yield hashlib.sha256(data.encode()).hexdigest(), again
    other = Mistake(
        "sign_data_other_base64",
        "串接的 sign_data 與送出的 base64 寫法不同（URL-safe、換行或少了 =）",
        "sign_data was joined in another spelling of base64 than was sent (URL-safe, line "
        "breaks, or without =)",
    )
    for text in (
        data.replace("+", "-").replace("/", "_"),
        data.replace("-", "+").replace("_", "/"),
        data.rstrip("="),
        data + "=" * (-len(data) % 4),
        data.replace("+", " "),
        *(
            joint.join(data[at : at + size] for at in range(0, len(data), size)) + end
            for size in (64, 76)
            for joint in ("\n", "\r\n")
            for end in ("", joint)
        ),
    ):
        yield text, other


def _texts(name: str, value: str) -> Iterator[tuple[str, Mistake]]:
    if not value:
        return
    changed = {
        "percent": (
            (urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)),
            *("做了百分號編碼（URL encode）", "percent-encoded"),
        ),
        "unquoted": ((urllib.parse.unquote_plus(value),), "做了 URL decode", "percent-decoded"),
        "json": (
            (json.dumps(value), json.dumps(value)[1:-1], value.replace("/", "\\/")),
            *("寫成 JSON 的跳脫字元（\\uXXXX、\\/）", "written with JSON escapes"),
        ),
        "html": (
            (html.escape(value), html.unescape(value)),
            *("做了 HTML 跳脫", "escaped for HTML"),
        ),
        "base64": (
            (
                base64.b64encode(value.encode()).decode(),
                base64.urlsafe_b64encode(value.encode()).decode(),
            ),
            *("轉成 base64", "turned into base64"),
        ),
        "sha256": (
            (hashlib.sha256(value.encode()).hexdigest(),),
            *("換成它的 SHA-256", "replaced by its SHA-256"),
        ),
        "blanks": (
            (
                value.strip(),
                re.sub(r"\s", "", value),
                re.sub(r"\s+", " ", value).strip(),
                f"{value} ",
            ),
            *("的空白被增減", "joined with other blanks"),
        ),
        "case": ((value.upper(), value.lower()), "換了大小寫", "joined in another case"),
        "hyphens": ((value.replace("-", ""),), "去掉了連字號", "joined without its hyphens"),
    }
    if name == "sign_data":  # its own encodings have a name of their own
        del changed["base64"], changed["sha256"]
    for texts, zh, en in changed.values():
        for text in texts:
            yield (
                text,
                Mistake(
                    "value_changed",
                    f"{name} 要照 JSON 本文中的原樣串接；這裡{zh}",
                    f"{name} is joined as it stands in the body; here it was {en}",
                ),
            )
    for text in _as_numbers(value):
        yield (
            text,
            Mistake(
                "number_for_text",
                f"{name} 是文字；這裡被當成數字串接（{text}），位數或前面的零因此改變",
                f"{name} is text; it was joined as a number ({text}), which changes its digits",
            ),
        )


def _as_numbers(value: str) -> Iterator[str]:
    if not re.fullmatch(r"[0-9]{1,40}", value):
        return
    number = float(value)
    yield str(int(value))
    yield f"{number:.0f}"
    yield repr(number)
    yield repr(number).replace("e+", "E").replace("e", "E")
    # As JavaScript writes it: 17 significant digits at most, then zeros.
    digits = f"{number!r}".replace(".0", "")
    mantissa, _, exponent = digits.partition("e")
    whole, _, fraction = mantissa.partition(".")
    if exponent:
        yield (whole + fraction).ljust(int(exponent) + 1, "0")


def _decoded(data: str) -> bytes | None:
    plain = data.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def encodings() -> Iterator[Encoding]:
    """Returns UTF-8, and then the other ways from text to bytes."""
    yield Encoding(lambda pieces: _encoded(pieces, "utf-8"))
    for end, zh, en in (
        (
            b"\n",
            "後面多了換行（例如 echo 沒加 -n）",
            "a line break stands behind it (echo without -n)",
        ),
        (b"\r\n", "後面多了換行（CRLF）", "a line break (CRLF) stands behind it"),
        (b" ", "後面多了空白", "a blank stands behind it"),
        (b"\0", "後面多了一個零位元組", "a zero byte stands behind it"),
    ):
        yield Encoding(
            lambda pieces, end=end: _encoded(pieces, "utf-8") + end,  # type: ignore[misc]
            Mistake("text_behind", f"串接的文字{zh}", f"the payload is right, but {en}"),
        )
    for codec, shown in (
        ("big5", "Big5"),
        ("cp950", "Big5 (CP950)"),
        ("big5hkscs", "Big5-HKSCS"),
        ("gb18030", "GB18030"),
        ("utf-16-le", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE"),
        ("utf-16", "UTF-16 (BOM)"),
        ("utf-32-le", "UTF-32"),
        ("utf-8-sig", "UTF-8 (BOM)"),
        ("ascii", "ASCII（中文變成 ?）"),
        ("latin-1", "ISO-8859-1（中文變成 ?）"),
    ):
        yield Encoding(
            lambda pieces, codec=codec: _encoded(pieces, codec),  # type: ignore[misc]
            Mistake(
                "charset",
                f"文字要以 UTF-8（不帶 BOM）編碼；這裡用了 {shown}",
                f"text is encoded as UTF-8 without BOM; {shown} was used",
            ),
        )
    yield Encoding(
        lambda pieces: b"\xfe\xff" + _encoded(pieces, "utf-16-be"),
        Mistake(
            "charset",
            "文字要以 UTF-8（不帶 BOM）編碼；這裡用了 UTF-16BE (BOM)",
            "text is encoded as UTF-8 without BOM; UTF-16BE (BOM) was used",
        ),
    )
    for wrong in ("latin-1", "cp1252"):
        yield Encoding(
            lambda pieces, wrong=wrong: _twice(pieces, wrong),  # type: ignore[misc]
            Mistake(
                "charset_twice",
                "UTF-8 的位元組被當成 Latin-1 再編碼一次（亂碼）",
                "UTF-8 was taken for Latin-1 and encoded once more (mojibake)",
            ),
        )
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield Encoding(
            lambda pieces, form=form: _normalised(pieces, form),  # type: ignore[misc]
            Mistake(
                "unicode_form",
                f"文字要照送出的原樣；這裡先做了 Unicode 正規化（{form}）",
                f"text is hashed as it is sent; it was normalised first ({form})",
            ),
        )


def _encoded(pieces: list[Piece], codec: str) -> bytes:
    if codec in ("utf-16", "utf-8-sig"):
        bom = "".encode(codec)
        return bom + b"".join(_one(each, codec).removeprefix(bom) for each in pieces)
    return b"".join(_one(each, codec) for each in pieces)


def _one(piece: Piece, codec: str) -> bytes:
    return piece if isinstance(piece, bytes) else piece.encode(codec, "replace")


def _twice(pieces: list[Piece], wrong: str) -> bytes:
    return _encoded(pieces, "utf-8").decode(wrong, "replace").encode()


def _normalised(pieces: list[Piece], form: str) -> bytes:
    known = {"NFC", "NFD", "NFKC", "NFKD"}
    if form not in known:
        raise ValueError(form)
    return _encoded(
        [
            each if isinstance(each, bytes) else unicodedata.normalize(form, each)  # type: ignore[arg-type]
            for each in pieces
        ],
        "utf-8",
    )
