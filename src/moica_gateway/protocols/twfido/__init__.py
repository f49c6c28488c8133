"""TW FidO SP API (行動自然人憑證應用程式介面 v2.9), as ``ports.Upstream``.

``operation`` what a ticket is for, ``wire`` what is sent, ``envelope`` what comes back and how
strictly it is read, ``result`` what success has to bring, ``endings`` what anything else means,
``checksum`` and ``guard`` what speaks for it, ``ticket`` the sp_ticket, ``codes`` the platform's
error codes, ``client`` the HTTP, ``applink`` APP-API-01, ``redirect`` WEB-01, ``upstream`` the
port. Specification: ``protocol/moi-sp-api.md``.

All seven interfaces. ``NFCSIGN`` is not asked for: it wants the citizen's card.
"""

from moica_gateway.protocols.twfido.checksum import parse_aes_key
from moica_gateway.protocols.twfido.upstream import TwFidoUpstream

__all__ = ["TwFidoUpstream", "parse_aes_key"]
