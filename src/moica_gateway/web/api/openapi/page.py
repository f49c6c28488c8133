"""``/docs``: the OpenAPI document as a page for people. No script, no foreign host.

Made from the same document that ``/openapi.json`` answers, so that they cannot differ; the error
reference is made from the catalogue.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from moica_gateway.errors import CATALOGUE

__all__ = ["PAGE_POLICY", "docs_page"]

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, "Noto Sans TC", "Noto Sans CJK TC", sans-serif; margin: 0 auto;
  padding: 1rem; max-width: 62rem; color: #1b2733; background: #fff; }
a { color: #0b5cad; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #8a97a5; }
code { font-size: .9em; overflow-wrap: anywhere; } .verb { font-weight: 700; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem;
  border-bottom: 1px solid #cfd6dd; }
a:focus-visible, .scroll:focus-visible { outline: 3px solid #0b5cad; }
@media (prefers-color-scheme: dark) { body { color: #eef2f6; background: #18212b; }
  a { color: #8cc2ff; } th, td { border-color: #43505e; } }
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"
_MARK: Final = re.compile(r"(`[^`]+`|\*\*[^*]+\*\*|\[\[\w+\]\])")


def docs_page(document: Mapping[str, Any]) -> bytes:
    """UTF-8 HTML."""
    html = Element("html", lang="en")
    head = SubElement(html, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "title").text = f"{document['info']['title']} API"
    SubElement(head, "style").text = _STYLE
    body = SubElement(html, "body")
    info = document["info"]
    SubElement(body, "h1").text = f"{info['title']} {info['version']}: HTTP API v1"
    for paragraph in info["description"].split("\n\n"):
        _words(SubElement(body, "p"), " ".join(paragraph.split()))
    _contents(body, document)
    for tag in document["tags"]:
        section = SubElement(body, "section")
        SubElement(section, "h2", id=tag["name"]).text = tag["name"].capitalize()
        _words(SubElement(section, "p"), tag["description"])
        for path, method, operation in _operations(document):
            if operation["tags"] == [tag["name"]]:
                _operation(section, path, method, operation)
    types = SubElement(body, "section")
    SubElement(types, "h2", id="types").text = "Types"
    for name, schema in document["components"]["schemas"].items():
        _type(types, name, schema)
    _errors(SubElement(body, "section"))
    page: bytes = tostring(html, encoding="utf-8", method="html")
    return b"<!doctype html>\n" + page


def _operations(document: Mapping[str, Any]) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    return (
        (path, method.upper(), operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    )


def _contents(body: Element, document: Mapping[str, Any]) -> None:
    items = SubElement(SubElement(body, "nav", {"aria-label": "Contents"}), "ul")
    for path, method, operation in _operations(document):
        item = SubElement(items, "li")
        link = SubElement(item, "a", href=f"#{operation['operationId']}")
        SubElement(link, "code").text = f"{method} {path}"
        _words(SubElement(item, "span"), f" {operation['summary']}")
    for target, words in (("types", "Types"), ("errors", "Errors")):
        SubElement(SubElement(items, "li"), "a", href=f"#{target}").text = words


def _operation(into: Element, path: str, method: str, operation: Mapping[str, Any]) -> None:
    heading = SubElement(into, "h3", id=operation["operationId"])
    SubElement(heading, "span", {"class": "verb"}).text = f"{method} "
    SubElement(heading, "code").text = path
    _words(SubElement(into, "p"), operation["summary"] + ".")
    if "description" in operation:
        _words(SubElement(into, "p"), operation["description"])
    if operation["parameters"]:
        rows = _table(into, f"Parameters of {operation['operationId']}", "name", "in", "what")
        for one in operation["parameters"]:
            more = one.get("description") or one["schema"].get("description", "")
            _row(rows, f"`{one['name']}`", one["in"], f"{_shape(one['schema'])} {more}")
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        _words(SubElement(into, "p"), f"Body: {_shape(content['schema'])}")
    rows = _table(into, f"Answers of {operation['operationId']}", "status", "what")
    for status, answer in operation["responses"].items():
        shapes = {
            _shape(content["schema"])
            for kind, content in answer.get("content", {}).items()
            if kind == "application/json"
        }
        _row(rows, status, " ".join([*sorted(shapes), answer["description"]]))


def _type(into: Element, name: str, schema: Mapping[str, Any]) -> None:
    SubElement(into, "h3", id=f"type-{name}").text = name
    if "description" in schema:
        _words(SubElement(into, "p"), schema["description"])
    rows = _table(into, f"Members of {name}", "member", "shape", "what")
    for member, one in schema["properties"].items():
        needed = " (always)" if member in schema["required"] else ""
        _row(rows, f"`{member}`{needed}", _shape(one), one.get("description", ""))


def _errors(into: Element) -> None:
    SubElement(into, "h2", id="errors").text = "Errors"
    SubElement(
        into, "p"
    ).text = "As answers (status 400 and above), and as a transaction's error (marked with a dash)."
    rows = _table(into, "Error codes", "code", "status", "who can act", "what helps", "shown as")
    for code, row in CATALOGUE.items():
        status = str(row.status) if row.status >= 400 else "–"
        shown = f"{row.zh} {row.en}"
        _row(rows, f"`{code}` {row.title}", status, row.who_can_act, row.what_helps, shown)


def _table(into: Element, label: str, *columns: str) -> Element:
    # Scrolls by itself on a narrow screen, so it must be reachable by keyboard.
    box = SubElement(
        into, "div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": label}
    )
    table = SubElement(box, "table")
    head = SubElement(SubElement(table, "thead"), "tr")
    for column in columns:
        SubElement(head, "th", scope="col").text = column
    return SubElement(table, "tbody")


def _row(rows: Element, *cells: str) -> None:
    row = SubElement(rows, "tr")
    for cell in cells:
        _words(SubElement(row, "td"), cell.strip())


def _shape(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[[{name}]]"
    if "enum" in schema:
        return " | ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_shape(schema['items'])}"
    if kind == "object" and "items" in schema.get("properties", {}):
        return f"page: {_shape(schema['properties']['items'])}"
    name = " or ".join(kind) if isinstance(kind, list) else kind
    limits = [
        f"{words} {schema[key]}"
        for key, words in (
            ("format", ""),
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "at most"),
            ("default", "default"),
        )
        if key in schema
    ]
    return " ".join([name, *limits]).replace("  ", " ")


def _words(into: Element, text: str) -> None:
    """`code`, **strong** and [[type]] of our own texts; everything else is text."""
    last: Element | None = None
    for piece in _MARK.split(text):
        if piece.startswith("`") and piece.endswith("`") and len(piece) > 2:
            last = SubElement(into, "code")
            last.text = piece[1:-1]
        elif piece.startswith("**") and len(piece) > 4:
            last = SubElement(into, "strong")
            last.text = piece[2:-2]
        elif piece.startswith("[["):
            last = SubElement(into, "a", href=f"#type-{piece[2:-2]}")
            last.text = piece[2:-2]
        elif last is None:
            into.text = (into.text or "") + piece
        else:
            last.tail = (last.tail or "") + piece
