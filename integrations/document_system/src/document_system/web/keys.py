"""Every typed key of the application and of a request, in one file."""

from __future__ import annotations

import jinja2
from aiohttp import web
from attrs import field, frozen

from document_system.asking import Asking, Desk
from document_system.follow_up import FollowUp
from document_system.models import User
from document_system.passwords import Passwords
from document_system.registering import Registering
from document_system.settings import Settings
from document_system.signing import Signing
from document_system.web.throttle import Throttle
from document_system.withdrawing import Withdrawing
from moica_gateway.webhooks import WebhookReceiver

__all__ = [
    "ASKING",
    "DESK",
    "FOLLOW_UP",
    "PASSWORDS",
    "RECEIVER",
    "REGISTERING",
    "SESSION",
    "SETTINGS",
    "SIGNING",
    "TEMPLATES",
    "THROTTLE",
    "WITHDRAWING",
    "Session",
]


@frozen(kw_only=True)
class Session:
    """Who is on the other side, and the token that their forms bear."""

    token: str = field(repr=False)
    csrf: str = field(repr=False)
    user: User | None


SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
DESK: web.AppKey[Desk] = web.AppKey("desk", Desk)
ASKING: web.AppKey[Asking] = web.AppKey("asking", Asking)
SIGNING: web.AppKey[Signing] = web.AppKey("signing", Signing)
REGISTERING: web.AppKey[Registering] = web.AppKey("registering", Registering)
FOLLOW_UP: web.AppKey[FollowUp] = web.AppKey("follow_up", FollowUp)
RECEIVER: web.AppKey[WebhookReceiver] = web.AppKey("receiver", WebhookReceiver)
PASSWORDS: web.AppKey[Passwords] = web.AppKey("passwords", Passwords)
TEMPLATES: web.AppKey[jinja2.Environment] = web.AppKey("templates", jinja2.Environment)
THROTTLE: web.AppKey[Throttle] = web.AppKey("throttle", Throttle)
WITHDRAWING: web.AppKey[Withdrawing] = web.AppKey("withdrawing", Withdrawing)

SESSION: web.RequestKey[Session] = web.RequestKey("session", Session)
