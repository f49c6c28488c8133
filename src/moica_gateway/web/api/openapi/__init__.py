"""OpenAPI 3.1 of exactly the routes of this version; tests hold it against router and answers."""

from __future__ import annotations

from typing import Any

from moica_gateway.web.api.openapi.operations import paths
from moica_gateway.web.api.openapi.page import PAGE_POLICY, docs_page
from moica_gateway.web.api.openapi.schemas import schemas

__all__ = ["PAGE_POLICY", "docs_page", "openapi_document"]

_ABOUT = """\
Sign official documents (公文) with Taiwan's mobile citizen certificate (行動自然人憑證, TW FidO).

Times are RFC 3339 in UTC. Errors are problem documents (RFC 9457) whose `code` is stable and whose
`user_message` may be shown as it is. A 4xx answer to a POST that makes something means that nothing
was made; once a transaction exists the answer is 201, even where its `status` is `failed` already.

**What a client of v1 may rely on**: members, codes, statuses and enumerated values that are here
stay, with their meaning. New members, codes, enumerated values and routes may come: ignore what you
do not know. Requests are read strictly: an unknown member is refused.
"""


def openapi_document(version: str) -> dict[str, Any]:
    """The whole document as JSON types."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "moica-gateway",
            "version": version,
            "summary": "Mobile citizen certificate signatures for document systems",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": "transactions", "description": "Registering, signing, and how it ended"},
            {"name": "browser", "description": "What the window in the user's browser reads"},
            {"name": "credentials", "description": "使用者憑證登記"},
            {"name": "events", "description": "The webhooks' bodies as a feed"},
            {
                "name": "pages",
                "description": "What browsers open or post by themselves: no client calls these",
            },
            {"name": "service", "description": "Health, versions, metrics; no key needed"},
        ],
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`mgk_live_…` or `mgk_test_…`, of one tenant, with scopes",
                },
                "browserToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`btk_…`, for one transaction; in `Authorization` only",
                },
            },
        },
        "security": [{"apiKey": []}],
    }
