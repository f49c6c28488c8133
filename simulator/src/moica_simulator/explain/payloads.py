"""Payloads as they are joined by mistake: other fields, another order, something between.

A candidate is a `Joining`: which pieces in which order, with what between. How the pieces are
spelled, and the bytes of the whole, are `explain.spellings`' part; `explain.search` tries single
mistakes first and pairs after that.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from moica_simulator.explain.mistake import Mistake

__all__ = ["Covered", "Joining", "joinings", "subsets_and_orders", "whole_bodies"]

_SEPARATORS = {
    ",": ",",
    "|": "|",
    "&": "&",
    ";": ";",
    ":": ":",
    "-": "-",
    "_": "_",
    ".": ".",
    "/": "/",
    "+": "+",
    " ": "空白 (blank)",
    "\n": "換行 (LF)",
    "\r\n": "換行 (CRLF)",
    "\t": "tab",
    "\0": "NUL",
    ", ": "逗號與空白 (', ')",
}


@attrs.frozen
class Covered:
    """What a checksum has to cover, and where the values come from.

    Attributes:
        values: Every covered field in the wanted order; None where it is absent or null.
        body: The fields around, as they came, `sign_info` nested.
        other_orders: The orders of other interfaces, by their id.
    """

    values: Mapping[str, str | None] = attrs.field(repr=False)
    body: Mapping[str, Any] = attrs.field(repr=False)
    other_orders: Mapping[str, Sequence[str]]

    @property
    def order(self) -> tuple[str, ...]:
        """The wanted order."""
        return tuple(self.values)

    def flat(self) -> dict[str, str]:
        """Every scalar of the body as text, in its JSON order, `sign_info` opened in its place;
        not the checksum, which cannot cover itself."""
        found: dict[str, str] = {}
        for name, value in self.body.items():
            if name in ("sp_checksum", "idp_checksum"):
                continue
            inner = value if isinstance(value, Mapping) else {name: value}
            for each, content in inner.items():
                text = _scalar(content)
                if text is not None:
                    found.setdefault(each, text)
        return found


@attrs.frozen
class Joining:
    """Names of fields in an order, and what is written around them."""

    names: tuple[str, ...]
    mistake: Mistake | None = None
    between: str = ""
    only_filled: bool = False
    named: str = ""
    """What stands between a field's name and its value, if names are joined too."""


def joinings(covered: Covered) -> Iterator[Joining]:
    """Returns the right joining, and then each known wrong one."""
    order = covered.order
    yield Joining(order)
    yield from _orders(covered)
    for name, value in covered.values.items():
        if value:
            yield Joining(tuple(each for each in order if each != name), _left_out(name))
    yield from _extras(covered)
    yield from _other_interfaces(covered)
    for text, shown in _SEPARATORS.items():
        mistake = Mistake(
            "separator",
            f"欄位之間不放任何東西；這裡放了「{shown}」",
            f"fields are joined with nothing between; {shown!r} was put there",
        )
        yield Joining(order, mistake, between=text)
        yield Joining(order, mistake, between=text, only_filled=True)
    names = Mistake(
        "names_joined",
        "只串接欄位的值；這裡連欄位名稱也串接了",
        "only the values are joined; the names of the fields were joined too",
    )
    for named, between in (("=", "&"), ("=", ""), (":", ","), ("", ""), ("=", ",")):
        yield Joining(order, names, between=between, named=named or "\0")
        yield Joining(order, names, between=between, named=named or "\0", only_filled=True)


def subsets_and_orders(covered: Covered) -> Iterator[Joining]:
    """Returns what has no name of its own: several fields left out, and any other order."""
    filled = [name for name in covered.order if covered.values[name]]
    for count in range(2, len(filled)):
        for missing in itertools.combinations(filled, count):
            shown = "、".join(missing)
            yield Joining(
                tuple(name for name in covered.order if name not in missing),
                Mistake(
                    "fields_left_out",
                    f"少串接了這些欄位：{shown}",
                    f"these fields were left out: {', '.join(missing)}",
                ),
            )
    for order in itertools.permutations(filled):
        if order == tuple(filled):
            continue
        yield Joining(order, _other_order("order", "順序不對", "the order is wrong", order))


def whole_bodies(covered: Covered, body_text: str) -> Iterator[tuple[str, Mistake]]:
    """Returns the JSON body as a whole, as it may have been hashed."""
    mistake = Mistake(
        "whole_body",
        "應串接指定的欄位；這裡對整份 JSON 本文算了雜湊",
        "the named fields are joined; here the JSON body as a whole was hashed",
    )
    without = {name: value for name, value in covered.body.items() if name != "sp_checksum"}
    bodies: list[Mapping[str, Any]] = [without]
    bodies += [{**covered.body, "sp_checksum": empty} for empty in ("", None)]
    if isinstance(info := covered.body.get("sign_info"), Mapping):
        bodies.append(info)
    if body_text:
        yield body_text, mistake
    for body in bodies:
        for sort_keys, ascii_only in itertools.product((False, True), repeat=2):
            for separators, indent in (((",", ":"), None), ((", ", ": "), None), (None, 2)):
                yield (
                    json.dumps(
                        body,
                        ensure_ascii=ascii_only,
                        separators=separators,
                        indent=indent,
                        sort_keys=sort_keys,
                    ),
                    mistake,
                )


def _orders(covered: Covered) -> Iterator[Joining]:
    order = covered.order
    in_json = tuple(name for name in covered.flat() if name in order)
    if "device_user_def_desc" in order:
        others = tuple(name for name in order if name != "device_user_def_desc")
        for place in range(len(others) + 1):
            moved = (*others[:place], "device_user_def_desc", *others[place:])
            yield Joining(
                moved,
                Mistake(
                    "device_position",
                    "device_user_def_desc 要放在 op_code 前面，不是它在 JSON 中的位置；"
                    f"這裡串接的順序是 {'、'.join(moved)}",
                    "device_user_def_desc stands before op_code, not where it stands in the JSON "
                    f"body; here the order was {', '.join(moved)}",
                ),
            )
    # Where only that field stands elsewhere, it has been said above.
    rest = [name for name in order if name in in_json and name != "device_user_def_desc"]
    moved_only = [name for name in in_json if name != "device_user_def_desc"] == rest
    data_last = (*(name for name in in_json if name != "sign_data"), "sign_data")
    for names in () if moved_only else (in_json, data_last):
        yield Joining(
            names,
            _other_order(
                "json_order",
                "欄位依 JSON 本文的順序串接，但順序另有規定",
                "the fields are joined in the order of the JSON body, but there is an order of "
                "their own",
                order,
            ),
        )
    for names, zh, en in (
        (tuple(sorted(order)), "欄位名稱的字母順序", "alphabetical order"),
        (order[::-1], "相反的順序", "reverse order"),
    ):
        yield Joining(
            names, _other_order("order", f"欄位依{zh}串接", f"fields are joined in {en}", names)
        )


def _other_interfaces(covered: Covered) -> Iterator[Joining]:
    for interface, other in covered.other_orders.items():
        yield Joining(
            tuple(other),
            Mistake(
                "order_of_another_interface",
                f"用了 {interface} 的欄位與順序：{'、'.join(other)}",
                f"the fields and order of {interface} were used: {', '.join(other)}",
            ),
        )


def _extras(covered: Covered) -> Iterator[Joining]:
    order, flat = covered.order, covered.flat()
    extras = [name for name in flat if name not in order and flat[name]]
    for name in extras:
        mistake = Mistake(
            "extra_field",
            f"多串接了 {name}；它不在規定的欄位裡",
            f"{name} was joined too; it is none of the covered fields",
        )
        for place in range(len(order) + 1):
            yield Joining((*order[:place], name, *order[place:]), mistake)
    yield Joining(
        tuple(flat),
        Mistake(
            "all_fields",
            "串接了 JSON 本文的所有欄位；只要規定的欄位",
            "every field of the JSON body was joined; only the covered ones are wanted",
        ),
    )
    inside = ("sign_type", "sign_data", "tbs_encoding", "hash_algorithm")
    yield Joining(
        (*(name for name in order if name != "sign_data"), *inside),
        Mistake(
            "extra_field",
            "串接了 sign_info 的所有欄位；只要 sign_data",
            "every field of sign_info was joined; only sign_data is wanted",
        ),
    )


def _left_out(name: str) -> Mistake:
    return Mistake("field_left_out", f"少串接了 {name}", f"{name} was left out of the payload")


def _other_order(name: str, zh: str, en: str, shown: Sequence[str]) -> Mistake:
    return Mistake(name, f"{zh}（{'、'.join(shown)}）", f"{en} ({', '.join(shown)})")


def _scalar(value: Any) -> str | None:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "".join(value)
    return None
