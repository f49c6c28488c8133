"""Every error as a page in the user's language; nothing inside is shown, the log has it."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from document_system.errors import Refused
from document_system.outcomes import message_of
from document_system.web.render import page
from document_system.web.security import RELAY_PATH, CsrfRefused
from moica_gateway.errors import GatewayError

__all__ = ["faults"]

_log = logging.getLogger("document_system.web")

_WORDS = {
    400: ("無法讀取表單", "送出的資料無法讀取，請回上一頁再試一次。"),
    403: ("無法受理", "沒有執行此作業的權限。"),
    404: ("找不到頁面", "找不到這個頁面或這份公文，或您沒有檢視的權限。"),
    405: ("無法受理", "這個網址不支援此作業。"),
    413: ("資料過大", "送出的資料超過上限，請縮短內容後再試一次。"),
}


@web.middleware
async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what handlers raise into pages. The relay and the webhook answer for themselves."""
    if request.path.startswith((f"{RELAY_PATH}/", "/webhooks/")):
        return await handler(request)
    try:
        return await handler(request)
    except CsrfRefused:
        return await _page(request, 403, "表單已失效", "表單已失效，請回上一頁重新整理後再試一次。")
    except Refused as e:
        return await _page(request, 409, "無法受理", str(e))
    except GatewayError as e:
        _log.warning("gateway.failed code=%s path=%s", e.code, request.path)
        return await _page(request, 502, "簽章服務暫時無法使用", message_of(e.problem))
    except web.HTTPException as e:
        if e.status < 400:
            raise
        title, text = _WORDS.get(e.status, ("無法受理", "無法完成此作業。"))
        return await _page(request, e.status, title, text)
    except Exception:  # noqa: BLE001 - the outermost net: logged, and a page instead
        _log.exception("request.failed path=%s", request.path)
        return await _page(
            request, 500, "系統發生錯誤", "系統發生未預期的錯誤，請稍後再試或通知系統管理者。"
        )


async def _page(request: web.Request, status: int, title: str, text: str) -> web.Response:
    return await page(request, "message.html", status=status, title=title, text=text)
