"""A browser without scripts: cookies, redirects, forms as they stand in the page."""

from __future__ import annotations

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser

from moica_demo.errors import DemoError

__all__ = ["Browser", "Form", "Page"]


@dataclass
class Form:
    """One form: where it goes and what stands in its fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.state: dict[str, str] = {}
        self.text: list[str] = []
        self.inputs: dict[str, str] = {}
        self.widget: dict[str, str] = {}
        self._form: Form | None = None
        self._button = False
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "data-status" in values:
            self.state = values
        if tag == "moica-transaction":
            self.widget = values
        if tag == "form":
            self._form = Form(values.get("action", ""))
            self.forms.append(self._form)
        if tag == "input" and values.get("id"):
            self.inputs[values["id"]] = values.get("value", "")
        if self._form is None:
            return
        if tag == "input" and "name" in values:
            chosen = values.get("type") not in ("radio", "checkbox") or "checked" in values
            if chosen and "disabled" not in values:
                self._form.fields[values["name"]] = values.get("value", "")
        elif tag == "select":
            self._select = values.get("name") if "disabled" not in values else None
        elif (
            tag == "option"
            and self._select
            and ("selected" in values or self._select not in self._form.fields)
        ):
            self._form.fields[self._select] = values.get("value", "")
        elif tag == "button":
            self._button = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "button":
            self._button = False
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(data.strip())
            if self._button and self._form is not None:
                self._form.buttons.append(data.strip())


@dataclass(frozen=True)
class Page:
    """What came: address after redirects, forms, words, the state of a confirmation, the widget."""

    url: str
    forms: tuple[Form, ...]
    text: str
    state: dict[str, str]
    inputs: dict[str, str]
    widget: dict[str, str]

    def form(self, action_ends_with: str) -> Form:
        """The form that goes there. Raises `DemoError` when the page has none."""
        for form in self.forms:
            if form.action.endswith(action_ends_with):
                return form
        raise DemoError(
            f"{self.url}: no form to …{action_ends_with}; the page says: {self.text[:300]}"
        )

    def needs(self, *words: str) -> None:
        """Raises `DemoError` when the page does not say all of that."""
        for word in words:
            if word not in self.text:
                raise DemoError(
                    f"{self.url}: expected 「{word}」; the page says: {self.text[:300]}"
                )


class Browser:
    """One signed-in user."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        )

    def get(self, path: str) -> Page:
        """Open a page."""
        return self._open(urllib.parse.urljoin(self._base, path), None)

    def submit(self, page: Page, form: Form, **fields: str | list[str]) -> Page:
        """Press the form's button, with these fields filled in; a list is boxes of one name."""
        body = urllib.parse.urlencode({**form.fields, **fields}, doseq=True).encode()
        return self._open(urllib.parse.urljoin(page.url, form.action), body)

    def download(self, path: str) -> bytes:
        """A file."""
        url = urllib.parse.urljoin(self._base, path)
        try:
            with self._opener.open(url, timeout=30) as reply:
                return bytes(reply.read())
        except OSError as e:
            raise DemoError(f"{url}: {e}") from e

    def _open(self, url: str, body: bytes | None) -> Page:
        origin = {} if body is None else {"Origin": self._base}
        request = urllib.request.Request(url, data=body, headers=origin)  # noqa: S310 - loopback
        try:
            with self._opener.open(request, timeout=30) as reply:
                raw, final = reply.read(), reply.url
        except urllib.error.HTTPError as e:
            raw, final = e.read(), url
        except OSError as e:
            raise DemoError(f"{url}: {e}") from e
        parser = _Parser()
        parser.feed(raw.decode("utf-8", errors="replace"))
        return Page(
            url=final,
            forms=tuple(parser.forms),
            text=" ".join(parser.text),
            state=parser.state,
            inputs=parser.inputs,
            widget=parser.widget,
        )
