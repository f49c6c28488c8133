"""What the platform takes to be signed."""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_MESSAGE"]

MAX_MESSAGE: Final = 768
"""Bytes: as base64 the 1024 characters that ``sign_data`` may have (moi-sp-api.md, "Fields")."""
