"""TW FidO SP API (行動自然人憑證應用程式介面 v2.9), as ``ports.Upstream``.

``wire`` what is sent, ``envelope`` what comes back and how strictly it is read, ``checksum`` what
speaks for it, ``ticket`` the sp_ticket, ``codes`` the platform's error codes, ``client`` the HTTP,
``applink`` APP-API-01, ``upstream`` the port. Specification: ``protocol/moi-sp-api.md``.

Here: SP-API-ATH-01, ATH-02, ATH-03 and APP-API-01. Batch signing (ATH-04), device status (LF-01)
and the web redirect (WEB-01) are not spoken.
"""

from moica_gateway.protocols.twfido.checksum import parse_aes_key
from moica_gateway.protocols.twfido.upstream import TwFidoUpstream

__all__ = ["TwFidoUpstream", "parse_aes_key"]
