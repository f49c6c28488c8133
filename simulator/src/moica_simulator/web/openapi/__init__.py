"""OpenAPI 3.1 of the control API, `/sim/v1/openapi.json`; tests hold it against every answer.

A new route is one row of `operations.OPERATIONS`, a new body one entry of `schemas.schemas`, a new
error code one row of `errors.ERRORS`. What the relying systems call (`/moise/sp/...`) is not in
it: that API is the Ministry's.
"""

from typing import Any

from moica_simulator.web.openapi.errors import ERRORS
from moica_simulator.web.openapi.operations import OPERATIONS, paths
from moica_simulator.web.openapi.schemas import schemas

__all__ = ["ERRORS", "OPERATIONS", "control_document"]

_ABOUT = """\
Sets the scene of a simulated TW FidO platform (行動自然人憑證) with its CA and phones, and looks
behind it. **模擬器，不得用於正式環境 · NOT FOR PRODUCTION**: it asks nobody who they are.

Times are RFC 3339 in UTC. Bodies are `application/json` of at most 256 KiB; unknown fields are
refused, and null is the same as absent. Lists come in parts: `next_cursor` is the `cursor` of the
next, or null. Requests with an `Origin` other than the simulator's own are refused.

Errors are `{"error", "detail"}`. With 409 `error` may be a code of the platform
(`error-codes.csv`): what it refused to a phone.
"""


def control_document(version: str) -> dict[str, Any]:
    """The whole document as JSON types.

    Args:
        version: Of the simulator.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "moica-simulator control API",
            "version": version,
            "summary": "A simulated TW FidO platform for tests. NOT FOR PRODUCTION",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "people", "description": "The register, activation codes, citizen cards"},
            {"name": "phones", "description": "Binding, states, and what the holder does"},
            {"name": "platform", "description": "Relying systems, faults, history, clock"},
            {"name": "certificates", "description": "The CA's books"},
        ],
        "paths": paths(),
        "components": {"schemas": schemas()},
        "security": [],
    }
