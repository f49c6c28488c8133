"""Public doubles of every port, for tests of this project and of whoever plugs into it."""

from __future__ import annotations

__all__: list[str] = []
