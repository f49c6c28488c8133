"""「顯示第 1 至 1 項結果，共 1 項」: which rows of a list a page shows."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Shown", "page_of"]


@frozen(kw_only=True)
class Shown:
    """One page of a list; numbers count from 1."""

    page: int
    last: int
    offset: int
    count: int
    rows: int

    @property
    def first_row(self) -> int:
        """0 where there is nothing."""
        return self.offset + 1 if self.count else 0

    @property
    def last_row(self) -> int:
        """0 where there is nothing."""
        return min(self.offset + self.rows, self.count)


def page_of(wanted: str, count: int, rows: int) -> Shown:
    """The wanted page, or the nearest that exists.

    Args:
        wanted: From the query; anything.
        count: All rows.
        rows: Rows a page.
    """
    last = max(1, -(-count // rows))
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 7 else 1
    number = min(max(number, 1), last)
    return Shown(page=number, last=last, offset=(number - 1) * rows, count=count, rows=rows)
