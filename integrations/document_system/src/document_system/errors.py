"""What this program raises on purpose: what the operator set up wrong, and what a user may not do.

The gateway's errors stay the SDK's (`moica_gateway.errors`); nothing is translated twice.
"""

from __future__ import annotations

__all__ = ["Refused", "SetupError"]


class SetupError(Exception):
    """A setting is wrong; the text names it and is shown as it is.

    Action: the operator corrects the setting and starts again.
    """


class Refused(Exception):
    """The user asked for something that the state does not allow.

    Action: show the text (zh-TW) and the page that the user came from.
    """
