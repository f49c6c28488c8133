"""The signing window over several documents."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def documents(signed: int, other: str | None = None) -> list[dict[str, Any]]:
    """25, on two tickets."""
    return [
        {
            "id": f"d{n}",
            "number": f"11530001{n:02d}",
            "sha256": "0" * 64,
            **({"ticket": 1} if n >= 20 else {}),
            **({"status": "completed"} if n < signed else {"status": other} if other else {}),
        }
        for n in range(25)
    ]


async def test_a_batch_shows_its_first_document_how_many_and_which_part(window: Any) -> None:
    """As the phone shows it; the part goes on, and what an earlier ticket left is not shown."""
    window.site.say(documents=documents(0), ticket=0, tickets=2)
    await window.says("document-number", "1153000100 等 25 件，第 1 批，共 2 批")
    old = window.site.challenge("c1", "qr", left=-5)
    new = {**window.site.challenge("c2", "push", left=200), "ticket": 1}
    window.site.say(
        documents=documents(20),
        ticket=1,
        expires_at=new["expires_at"],
        challenges=[{**old, "status": "lapsed"}, new],
    )
    await window.says("document-number", "1153000100 等 25 件，第 2 批，共 2 批")
    assert not await window.seen("new-qr-button")
    # One more at most: the server's clock is known to the second.
    assert int((await window.text("countdown")).split()[1]) <= 201
    assert await window.text("match-code") == "42"
    assert await window.overflow() == 0


async def test_a_stopped_batch_says_how_many_are_signed(window: Any) -> None:
    """In place of the part."""
    window.site.say(
        status="rejected", documents=documents(20, "rejected"), ticket=1, tickets=2, partial=True
    )
    await window.ended()
    assert await window.text("document-number") == "1153000100 等 25 件，已簽章 20 件"
