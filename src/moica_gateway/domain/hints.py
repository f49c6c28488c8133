"""The words that the holder sees in the app: fixed templates of ours (security rule 9).

Only the match code, the document number and a brand set by an administrator vary. None of them may
carry control, direction or invisible characters.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from moica_gateway.errors import error

__all__ = ["brand", "document_number", "registration_hint", "signature_hint"]

_CJK: Final = "\u3400-\u4dbf\u4e00-\u9fff"
_NUMBER: Final = re.compile(rf"[0-9A-Za-z{_CJK}][0-9A-Za-z{_CJK}\-_/.()（）]{{0,49}}")
_BRAND: Final = re.compile(rf"[0-9A-Za-z{_CJK}\-_ ]{{0,20}}")


def document_number(text: str) -> str:
    """公文文號, in NFC.

    Raises:
        RequestError: ``request_invalid`` for another character set or length.
    """
    number = unicodedata.normalize("NFC", text)
    if not _NUMBER.fullmatch(number):
        raise error(
            "request_invalid",
            "`number`: expected 1 to 50 letters, digits, ideographs and - _ / . ( ), beginning "
            "with a letter, digit or ideograph; came other characters or another length; the "
            "integrator sends the document's number alone",
            member="number",
        )
    return number


def brand(text: str) -> str:
    """A tenant's brand in the hint; empty is none.

    Raises:
        ConfigurationError: for other characters, or more than 20.
    """
    if not _BRAND.fullmatch(text):
        raise error(
            "configuration_invalid",
            "`brand`: expected at most 20 letters, digits, ideographs, spaces and - _",
        )
    return text


def signature_hint(match_code: str, number: str, tenant_brand: str) -> str:
    """What is signed: ``公文文號：1153000165 驗證碼：42``."""
    return _hint(f"公文文號：{number}", match_code, tenant_brand)


def registration_hint(match_code: str, tenant_brand: str) -> str:
    """What is registered: ``登記行動自然人憑證 驗證碼：42``."""
    return _hint("登記行動自然人憑證", match_code, tenant_brand)


def _hint(what: str, match_code: str, tenant_brand: str) -> str:
    start = f"【{brand(tenant_brand)}】" if tenant_brand else ""
    return f"{start}{what} 驗證碼：{match_code}"
