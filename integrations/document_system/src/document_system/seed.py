"""The demo's users and documents: a person of its own for each ending of the tour.

The document system stores no ID number; which ID number belongs to which sample person is the
simulator's business, and the demo says it.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Final, Literal

from document_system.models import Document, Step, User
from document_system.roc import TAIPEI
from document_system.store.attachments import add_attachment
from document_system.store.deputies import add_deputy
from document_system.store.documents import add_document
from document_system.store.users import add_user, has_users

__all__ = ["DEMO_PASSWORD", "USERS", "seed"]

DEMO_PASSWORD: Final = "demo-115"  # noqa: S105 - shown on the sign-in page of the demo on purpose

_UNIT: Final = "教務處註冊組"

USERS: Final = (
    User(user_id="clerk01", name="王小明", title="承辦人", unit=_UNIT),
    User(user_id="clerk02", name="李怡君", title="承辦人", unit=_UNIT),
    User(user_id="clerk03", name="張家豪", title="承辦人", unit="總務處文書組"),
    User(user_id="clerk04", name="黃淑芬", title="承辦人", unit="總務處文書組"),
    User(user_id="clerk05", name="吳俊傑", title="承辦人", unit="資訊處網路組"),
    User(user_id="chief01", name="陳美玲", title="科長", unit="教務處"),
    User(user_id="secretary01", name="林志成", title="主任秘書", unit="秘書室"),
)
_BY_ID: Final = {user.user_id: user for user in USERS}

_NONE: Final = "無"


def _document(
    number: str,
    subject: str,
    body: str,
    received_at: datetime,
    *,
    route: tuple[tuple[str, str], ...],
    from_agency: str = _NONE,
    state: str = "創稿登記",
    position: int = 0,
    due_days: int = 8,
) -> Document:
    steps = tuple(
        Step(
            position=at,
            user=_BY_ID[user_id],
            role=role,
            passed_at=received_at + timedelta(hours=at + 1) if at < position else None,
        )
        for at, (user_id, role) in enumerate(route)
    )
    return Document(
        number=number,
        subject=subject,
        body=body,
        from_agency=from_agency,
        state=state,
        received_at=received_at,
        due_at=(received_at + timedelta(days=due_days)).replace(hour=17, minute=0, second=0),
        position=position,
        sealed=False,
        signed_version=None,
        route=steps,
    )


def _upward(clerk: str) -> tuple[tuple[str, str], ...]:
    return ((clerk, "承辦"), ("chief01", "審核"), ("secretary01", "決行"))


def _at(hour: int, minute: int, second: int) -> datetime:
    return datetime(2026, 4, 29, hour, minute, second, tzinfo=TAIPEI)


def _documents() -> tuple[Document, ...]:
    return (
        _document(
            "1153000165",
            "檢送本校115學年度資訊安全教育訓練實施計畫1份，請查照。",
            "一、依據資通安全管理法施行細則及本校資訊安全政策辦理。\n"
            "二、本案訓練對象為全校教職員工，每人每年至少3小時。\n"
            "三、檢附實施計畫1份，奉核後函知各單位。",
            _at(14, 58, 11),
            route=_upward("clerk01"),
        ),
        _document(
            "1153000166",
            "函轉教育部「校園資通安全通報演練」相關資料，請各單位配合辦理。",
            "一、依教育部來函辦理。\n二、請各單位於演練期間指派聯絡窗口。",
            _at(15, 4, 2),
            route=_upward("clerk02"),
            from_agency="教育部",
        ),
        _document(
            "1153000167",
            "有關本校115年度財產盤點作業期程一案，請查照。",
            "一、依本校財產管理要點辦理。\n二、初盤自115年5月11日起至5月29日止。",
            _at(15, 11, 37),
            route=_upward("clerk03"),
        ),
        _document(
            "1153000168",
            "檢陳本校公文線上簽核系統使用行動自然人憑證推動計畫(草案)，請核示。",
            "一、為便利同仁於行動裝置上完成公文簽章，擬導入行動自然人憑證。\n"
            "二、擬先由本處試辦三個月，再行檢討。",
            _at(15, 20, 45),
            route=_upward("clerk04"),
        ),
        _document(
            "1153000169",
            "本校校園網路骨幹設備汰換案，擬辦理公開招標，請核示。",
            "一、現有骨幹設備已逾使用年限。\n二、所需經費由年度預算支應。",
            _at(15, 33, 9),
            route=_upward("clerk05"),
        ),
        _document(
            "1153000158",
            "有關115學年度第1學期開課資料調查一案，會請貴組惠示意見。",
            "一、開課資料須與學生資訊系統一致。\n二、會請教務處註冊組就學籍資料介接表示意見。",
            _at(10, 12, 30),
            route=(("clerk05", "承辦"), ("clerk01", "會辦"), ("secretary01", "決行")),
            state="會辦中",
            position=1,
        ),
        _document(
            "1153000151",
            "檢陳本校校園安全會議紀錄1份，請核示。",
            "一、會議業於115年4月27日召開完竣。\n二、檢附會議紀錄，奉核後分送各單位。",
            _at(9, 40, 18),
            route=_upward("clerk03"),
            state="待核",
            position=1,
        ),
        _document(
            "1153000152",
            "檢陳本校115年度資訊設備維護契約(草案)1份，請核示。",
            "一、現行契約於115年6月30日屆滿。\n二、檢附契約草案及教育部來函，奉核後辦理公告。",
            _at(9, 52, 40),
            route=_upward("clerk04"),
            from_agency="教育部",
            state="待核",
            position=1,
        ),
        _document(
            "1153000153",
            "有關本校宿舍網路維護時段調整一案，請核示。",
            "一、為減少影響，擬調整至每週三上午6時至8時。\n二、奉核後公告周知。",
            _at(10, 3, 5),
            route=_upward("clerk05"),
            state="待核",
            position=1,
        ),
        _document(
            "1153000150~1",
            "（示範）文號含有手機畫面不能顯示的字元，送出簽章前即被退回。",
            "一、與其他公文一併「連續簽章」時，僅此件被退回，其餘可繼續辦理。",
            _at(9, 12, 0),
            route=_upward("clerk03"),
            state="待核",
            position=1,
        ),
    )


_ATTACHMENTS: Final[tuple[tuple[str, Literal["own", "incoming"], str, str], ...]] = (
    (
        "1153000152",
        "own",
        "契約草案.txt",
        "第一條　維護範圍：資訊設備。\n第二條　期間：一年。\n",
    ),
    ("1153000152", "incoming", "教育部來函.txt", "請貴校依規定期程辦理資訊設備維護採購。\n"),
    ("1153000166", "incoming", "演練須知.txt", "演練期間：115年5月18日至5月22日。\n"),
)


def seed(db: sqlite3.Connection, password_hash: str) -> bool:
    """Fills an empty database; one that has users is left alone.

    Args:
        db: Inside a transaction.
        password_hash: Of `DEMO_PASSWORD`.

    Returns:
        Whether anything was written.
    """
    if has_users(db):
        return False
    for user in USERS:
        add_user(db, user, password_hash)
    for document in _documents():
        add_document(db, document)
    for at, (number, kind, name, text) in enumerate(_ATTACHMENTS, 1):
        add_attachment(
            db,
            f"att_demo{at}",
            number,
            kind=kind,
            name=name,
            media_type="text/plain",
            content=text.encode(),
            now=_at(9, 0, 0),
        )
    add_deputy(db, "secretary01", "chief01", datetime(2099, 12, 31, 23, 59, tzinfo=TAIPEI))
    return True
