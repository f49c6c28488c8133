"""Dates as Taiwan's offices write them: ROC year (minus 1911), Taipei time.

Taipei has kept UTC+8 without summer time since 1980, so no time zone database is needed.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

__all__ = ["TAIPEI", "roc_date", "roc_time"]

TAIPEI: Final = timezone(timedelta(hours=8), "Asia/Taipei")


def roc_date(value: datetime) -> str:
    """``115/04/24``.

    Args:
        value: Any aware time.
    """
    local = value.astimezone(TAIPEI)
    return f"{local.year - 1911}/{local.month:02}/{local.day:02}"


def roc_time(value: datetime) -> str:
    """``115/04/29 14:58:11``.

    Args:
        value: Any aware time.
    """
    return f"{roc_date(value)} {value.astimezone(TAIPEI):%H:%M:%S}"
