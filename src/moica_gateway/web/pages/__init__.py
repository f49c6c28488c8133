"""The window as plain HTML without scripts, for IE mode and whoever switches scripts off."""

from __future__ import annotations

from moica_gateway.web.pages.routes import add_pages, page_code

__all__ = ["add_pages", "page_code"]
