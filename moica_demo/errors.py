"""What the demonstration says when it cannot go on."""

from __future__ import annotations

__all__ = ["DemoError"]


class DemoError(Exception):
    """A clear sentence: what is wrong and what helps."""
