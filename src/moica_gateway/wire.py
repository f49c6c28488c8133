"""The JSON types of the HTTP API v1: the promise to vendors. Changes slowly.

Requests have ``parse`` (strict, for the server: an unknown or wrong member is a `RequestError` that
says which, what was expected and what came) and ``to_json`` (for the client). Answers have
``to_json`` (for the server) and ``from_json`` (tolerant, for the client: members that are new are
ignored, enumerations that are new stay text). Times are RFC 3339 UTC. Not the domain's classes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from attrs import field, frozen

from moica_gateway.errors import GatewayError, Problem, error, error_of

__all__ = [
    "AuthenticationRequest",
    "BatchRequest",
    "Certificate",
    "ChallengeRequest",
    "ChallengeView",
    "CheckView",
    "CredentialView",
    "DeviceStatusRequest",
    "DeviceStatusView",
    "DocumentRequest",
    "DocumentView",
    "EventView",
    "OnBehalfOf",
    "PageRequest",
    "PageView",
    "RegistrationRequest",
    "SealRequest",
    "SignatureRequest",
    "SignatureView",
    "TransactionView",
    "VerificationRequest",
    "VerificationView",
    "VerifiedSignatureView",
    "format_time",
    "parse_time",
]

T = TypeVar("T")

_USER_ID: Final = re.compile(r"[\x21-\x7e]{1,100}")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_TRANSACTION_ID: Final = re.compile(r"[A-Za-z0-9_]{1,100}")
_FARTHEST: Final = 20_000
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,60}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_MAX_METADATA: Final = 50
_MAX_DOCUMENTS: Final = 1000


def format_time(value: datetime) -> str:
    """RFC 3339, UTC, milliseconds: ``2026-04-29T06:58:11.000Z``."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """RFC 3339 with a zone. Raises ``ValueError``."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("time lacks a zone")
    return value.astimezone(UTC)


# -- strict reading of requests --------------------------------------------------------------


def _invalid(name: str, expected: str, came: object) -> GatewayError:
    shown = type(came).__name__ if came is not None else "nothing"
    return error(
        "request_invalid",
        f"`{name}`: expected {expected}; came {shown}; the integrator corrects the request",
        member=name,
    )


class _Body:
    """A JSON object, read member by member; what is left over is an error."""

    def __init__(self, value: object, name: str = "") -> None:
        if not isinstance(value, Mapping):
            raise _invalid(name or "body", "a JSON object", value)
        self._value = dict(value)
        self._name = name

    def path(self, member: str) -> str:
        return f"{self._name}.{member}" if self._name else member

    def take(self, member: str) -> Any:
        return self._value.pop(member, None)

    def text(
        self,
        member: str,
        *,
        most: int,
        required: bool = False,
        pattern: re.Pattern[str] | None = None,
    ) -> str | None:
        came = self.take(member)
        if came is None and not required:
            return None
        if (
            not isinstance(came, str)
            or not 1 <= len(came) <= most
            or _CONTROL.search(came)
            or (pattern is not None and not pattern.fullmatch(came))
        ):
            form = f" of the form {pattern.pattern}" if pattern is not None else ""
            raise _invalid(
                self.path(member),
                f"text of 1 to {most} characters without control characters{form}",
                came,
            )
        return came

    def required_text(
        self, member: str, *, most: int, pattern: re.Pattern[str] | None = None
    ) -> str:
        return self.text(member, most=most, required=True, pattern=pattern) or ""

    def choice(self, member: str, allowed: tuple[str, ...]) -> str | None:
        came = self.take(member)
        if came is None:
            return None
        if not isinstance(came, str) or came not in allowed:
            raise _invalid(self.path(member), f"one of {', '.join(allowed)}", came)
        return came

    def integer(self, member: str, low: int, high: int) -> int | None:
        came = self.take(member)
        if came is None:
            return None
        if isinstance(came, bool) or not isinstance(came, int) or not low <= came <= high:
            raise _invalid(self.path(member), f"a whole number from {low} to {high}", came)
        return came

    def flag(self, member: str, default: bool) -> bool:
        came = self.take(member)
        if came is None:
            return default
        if not isinstance(came, bool):
            raise _invalid(self.path(member), "true or false", came)
        return came

    def base64(self, member: str) -> bytes | None:
        came = self.take(member)
        if came is None:
            return None
        if not isinstance(came, str):
            raise _invalid(self.path(member), "base64 text", came)
        try:
            return base64.b64decode(came, validate=True)
        except (binascii.Error, ValueError) as e:
            raise _invalid(self.path(member), "standard base64 with padding", came) from e

    def metadata(self) -> dict[str, str]:
        came = self.take("metadata")
        if came is None:
            return {}
        if (
            not isinstance(came, Mapping)
            or len(came) > _MAX_METADATA
            or not all(
                isinstance(k, str) and isinstance(v, str) and len(k) <= 40 and len(v) <= 500
                for k, v in came.items()
            )
        ):
            raise _invalid(
                self.path("metadata"),
                f"an object of at most {_MAX_METADATA} texts (keys 40, values 500 characters)",
                came,
            )
        return dict(came)

    def end(self) -> None:
        if self._value:
            name = self.path(sorted(str(k) for k in self._value)[0])
            raise error(
                "request_invalid",
                f"`{name[:60]}`: expected no such member; the integrator removes or corrects it",
                member=name[:60],
            )


def _channel(body: _Body) -> str:
    return body.choice("channel", ("push", "qr", "app_link", "redirect")) or "push"


@frozen(kw_only=True)
class OnBehalfOf:
    """代理: the user for whom it is signed, and why."""

    user_id: str
    reason: str

    @classmethod
    def parse(cls, value: object) -> OnBehalfOf:
        """Strict."""
        body = _Body(value, "on_behalf_of")
        made = cls(
            user_id=body.required_text("user_id", most=100, pattern=_USER_ID),
            reason=body.required_text("reason", most=200),
        )
        body.end()
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return {"user_id": self.user_id, "reason": self.reason}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OnBehalfOf:
        """Tolerant."""
        return cls(user_id=str(value["user_id"]), reason=str(value["reason"]))


@frozen(kw_only=True)
class RegistrationRequest:
    """``POST /v1/registrations``. ``id_number`` is shown nowhere."""

    user_id: str
    id_number: str = field(repr=False)
    user_name: str | None = field(default=None, repr=False)
    channel: str = "push"
    device_name: str | None = None
    time_limit: int | None = None
    enable: bool = True
    supersede: bool = False
    metadata: Mapping[str, str] = field(factory=dict)

    @classmethod
    def parse(cls, value: object) -> RegistrationRequest:
        """Strict."""
        body = _Body(value)
        made = cls(
            user_id=body.required_text("user_id", most=100, pattern=_USER_ID),
            id_number=body.required_text("id_number", most=20),
            user_name=body.text("user_name", most=100),
            channel=_channel(body),
            device_name=body.text("device_name", most=50),
            time_limit=body.integer("time_limit", 30, 600),
            enable=body.flag("enable", True),
            supersede=body.flag("supersede", False),
            metadata=body.metadata(),
        )
        body.end()
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire; what is not set is left out."""
        return _present(
            user_id=self.user_id,
            id_number=self.id_number,
            user_name=self.user_name,
            channel=self.channel,
            device_name=self.device_name,
            time_limit=self.time_limit,
            enable=self.enable,
            supersede=self.supersede or None,
            metadata=dict(self.metadata) or None,
        )


@frozen(kw_only=True)
class SealRequest:
    """Where a PDF's signature is to be seen: in the empty signature field of that name, or on
    ``page`` (from 1) in ``box``: left, bottom, right, top, in points from the lower left corner."""

    field: str | None = None
    page: int | None = None
    box: tuple[float, float, float, float] | None = None

    @classmethod
    def parse(cls, value: object, name: str) -> SealRequest:
        """Strict: a field, or page and box."""
        body = _Body(value, name)
        made = cls(
            field=body.text("field", most=100),
            page=body.integer("page", 1, 100_000),
            box=_box(body.take("box"), f"{name}.box"),
        )
        body.end()
        placed = (made.page is not None, made.box is not None)
        if placed != ((False, False) if made.field is not None else (True, True)):
            raise _invalid(name, "either `field`, or `page` with `box`", value)
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        box = list(self.box) if self.box is not None else None
        return _present(field=self.field, page=self.page, box=box)


def _box(came: object, name: str) -> tuple[float, float, float, float] | None:
    if came is None:
        return None
    numbers = came if isinstance(came, list) else []
    if len(numbers) != 4 or not all(
        isinstance(n, int | float) and not isinstance(n, bool) and abs(n) <= _FARTHEST
        for n in numbers
    ):
        raise _invalid(name, f"four numbers of at most {_FARTHEST} points", came)
    left, bottom, right, top = (float(n) for n in numbers)
    return left, bottom, right, top


@frozen(kw_only=True)
class DocumentRequest:
    """A document to sign: ``sha256`` (hexadecimal) or ``content``, or both, which must agree;
    neither where `SignatureRequest.previous` names the content."""

    number: str
    version: str | None = None
    title: str | None = None
    media_type: str | None = None
    sha256: str | None = None
    content: bytes | None = field(default=None, repr=False)
    id: str | None = None
    seal: SealRequest | None = None

    @classmethod
    def parse(
        cls, value: object, name: str = "document", *, appending: bool = False
    ) -> DocumentRequest:
        """Strict. Whether number, size and format fit together is the services' to say."""
        body = _Body(value, name)
        content = body.base64("content_base64")
        sha256 = body.text("sha256", most=64, pattern=_SHA256)
        seal = body.take("seal")
        made = cls(
            number=body.required_text("number", most=50),
            version=body.text("version", most=50),
            title=body.text("title", most=500),
            media_type=body.text("media_type", most=161, pattern=_MEDIA_TYPE),
            sha256=sha256.lower() if sha256 else None,
            content=content,
            id=body.text("id", most=100, pattern=_USER_ID),
            seal=SealRequest.parse(seal, f"{name}.seal") if seal is not None else None,
        )
        if body.take("attachments") not in (None, []):
            # Left out silently, they would look signed to whoever sent them.
            raise error(
                "request_invalid",
                f"`{name}.attachments`: expected none, this version of the gateway does not sign "
                "attachments yet (ASiC-E); the integrator sends the document alone",
                member=f"{name}.attachments",
            )
        body.end()
        if made.sha256 is None and made.content is None and not appending:
            raise _invalid(f"{name}.sha256", "`sha256` or `content_base64`", None)
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire; what is not set is left out."""
        return _present(
            id=self.id,
            number=self.number,
            version=self.version,
            title=self.title,
            media_type=self.media_type,
            sha256=self.sha256,
            content_base64=_opt(self.content, _base64),
            seal=self.seal.to_json() if self.seal else None,
        )


@frozen(kw_only=True)
class SignatureRequest:
    """``POST /v1/signatures``."""

    user_id: str
    document: DocumentRequest
    format: str | None = None
    level: str | None = None
    channel: str = "push"
    device_name: str | None = None
    time_limit: int | None = None
    on_behalf_of: OnBehalfOf | None = None
    previous: str | None = None
    """The id of a completed transaction: what it signed is signed once more."""
    supersede: bool = False
    metadata: Mapping[str, str] = field(factory=dict)

    @classmethod
    def parse(cls, value: object) -> SignatureRequest:
        """Strict."""
        body = _Body(value)
        behalf = body.take("on_behalf_of")
        previous = body.text("previous", most=100, pattern=_TRANSACTION_ID)
        made = cls(
            user_id=body.required_text("user_id", most=100, pattern=_USER_ID),
            document=DocumentRequest.parse(body.take("document"), appending=previous is not None),
            format=body.text("format", most=20),
            level=body.text("level", most=10),
            channel=_channel(body),
            device_name=body.text("device_name", most=50),
            time_limit=body.integer("time_limit", 30, 600),
            on_behalf_of=OnBehalfOf.parse(behalf) if behalf is not None else None,
            previous=previous,
            supersede=body.flag("supersede", False),
            metadata=body.metadata(),
        )
        body.end()
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire; what is not set is left out."""
        return _present(
            user_id=self.user_id,
            document=self.document.to_json(),
            format=self.format,
            level=self.level,
            channel=self.channel,
            device_name=self.device_name,
            time_limit=self.time_limit,
            on_behalf_of=self.on_behalf_of.to_json() if self.on_behalf_of else None,
            previous=self.previous,
            supersede=self.supersede or None,
            metadata=dict(self.metadata) or None,
        )


def _document_at(index: int, value: object) -> DocumentRequest:
    try:
        return DocumentRequest.parse(value, f"documents[{index}]")
    except GatewayError as e:
        which: dict[str, Any] = {"document_index": index}
        id = value.get("id") if isinstance(value, Mapping) else None
        if isinstance(id, str) and _USER_ID.fullmatch(id):
            which["document_id"] = id
        raise error_of(e.problem.with_detail(e.problem.detail, **which)) from e


@frozen(kw_only=True)
class BatchRequest:
    """``POST /v1/signature-batches``: one request to the holder for several documents, in order.
    How many the tenant allows is the services' to say."""

    user_id: str
    documents: tuple[DocumentRequest, ...]
    format: str | None = None
    level: str | None = None
    channel: str = "push"
    device_name: str | None = None
    time_limit: int | None = None
    on_behalf_of: OnBehalfOf | None = None
    supersede: bool = False
    metadata: Mapping[str, str] = field(factory=dict)

    @classmethod
    def parse(cls, value: object) -> BatchRequest:
        """Strict; what is wrong with a document names it: ``documents[3].sha256``."""
        body = _Body(value)
        came = body.take("documents")
        if not isinstance(came, list) or not 1 <= len(came) <= _MAX_DOCUMENTS:
            raise _invalid("documents", f"a list of 1 to {_MAX_DOCUMENTS} documents", came)
        behalf = body.take("on_behalf_of")
        made = cls(
            user_id=body.required_text("user_id", most=100, pattern=_USER_ID),
            documents=tuple(_document_at(index, one) for index, one in enumerate(came)),
            format=body.text("format", most=20),
            level=body.text("level", most=10),
            channel=_channel(body),
            device_name=body.text("device_name", most=50),
            time_limit=body.integer("time_limit", 30, 600),
            on_behalf_of=OnBehalfOf.parse(behalf) if behalf is not None else None,
            supersede=body.flag("supersede", False),
            metadata=body.metadata(),
        )
        if body.take("previous") is not None:
            raise error(
                "request_invalid",
                "`previous`: expected none, a batch signs each document anew; the integrator "
                "leaves it out",
                member="previous",
            )
        body.end()
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire; what is not set is left out."""
        return _present(
            user_id=self.user_id,
            documents=[document.to_json() for document in self.documents],
            format=self.format,
            level=self.level,
            channel=self.channel,
            device_name=self.device_name,
            time_limit=self.time_limit,
            on_behalf_of=self.on_behalf_of.to_json() if self.on_behalf_of else None,
            supersede=self.supersede or None,
            metadata=dict(self.metadata) or None,
        )


def _one_person(body: _Body) -> tuple[str | None, str | None]:
    """``user_id`` or ``id_number``, exactly one of them."""
    user_id = body.text("user_id", most=100, pattern=_USER_ID)
    id_number = body.text("id_number", most=20)
    if (user_id is None) == (id_number is None):
        came = "neither" if user_id is None else "both"
        raise error(
            "request_invalid",
            f"expected exactly one of `user_id` and `id_number`; came {came}; the integrator "
            "corrects the request",
            member="user_id",
        )
    return user_id, id_number


@frozen(kw_only=True)
class AuthenticationRequest:
    """``POST /v1/authentications``: exactly one of ``user_id`` and ``id_number``."""

    user_id: str | None = None
    id_number: str | None = field(default=None, repr=False)
    channel: str = "push"
    device_name: str | None = None
    time_limit: int | None = None
    supersede: bool = False
    metadata: Mapping[str, str] = field(factory=dict)

    @classmethod
    def parse(cls, value: object) -> AuthenticationRequest:
        """Strict."""
        body = _Body(value)
        user_id, id_number = _one_person(body)
        made = cls(
            user_id=user_id,
            id_number=id_number,
            channel=_channel(body),
            device_name=body.text("device_name", most=50),
            time_limit=body.integer("time_limit", 30, 600),
            supersede=body.flag("supersede", False),
            metadata=body.metadata(),
        )
        body.end()
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire; what is not set is left out."""
        return _present(
            user_id=self.user_id,
            id_number=self.id_number,
            channel=self.channel,
            device_name=self.device_name,
            time_limit=self.time_limit,
            supersede=self.supersede or None,
            metadata=dict(self.metadata) or None,
        )


@frozen(kw_only=True)
class DeviceStatusRequest:
    """``POST /v1/device-status``: exactly one of ``user_id`` and ``id_number``."""

    user_id: str | None = None
    id_number: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, value: object) -> DeviceStatusRequest:
        """Strict."""
        body = _Body(value)
        user_id, id_number = _one_person(body)
        body.end()
        return cls(user_id=user_id, id_number=id_number)

    def to_json(self) -> dict[str, Any]:
        """For the wire; what is not set is left out."""
        return _present(user_id=self.user_id, id_number=self.id_number)


@frozen(kw_only=True)
class VerificationRequest:
    """``POST /v1/verifications``: any signature of this PKI, ours or not.

    Attributes:
        signature: The signed thing as it was fetched (``.p7s``, PDF), or a bare value.
        format: Left out, it is recognised; a bare value is not.
        content: What a detached signature stands for.
        sha256: Its digest (hexadecimal), where only that is known.
        certificate: DER of the signer's, for a bare value.
    """

    signature: bytes = field(repr=False)
    format: str | None = None
    content: bytes | None = field(default=None, repr=False)
    sha256: str | None = None
    certificate: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, value: object) -> VerificationRequest:
        """Strict. Which formats there are is the services' to say."""
        body = _Body(value)
        signature = body.base64("signature_base64")
        if not signature:
            raise _invalid("signature_base64", "base64 of what was signed", None)
        sha256 = body.text("sha256", most=64, pattern=_SHA256)
        made = cls(
            signature=signature,
            format=body.text("format", most=20),
            content=body.base64("content_base64"),
            sha256=sha256.lower() if sha256 else None,
            certificate=body.base64("certificate_base64"),
        )
        body.end()
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire; what is not set is left out."""
        return _present(
            signature_base64=_base64(self.signature),
            format=self.format,
            content_base64=_opt(self.content, _base64),
            sha256=self.sha256,
            certificate_base64=_opt(self.certificate, _base64),
        )


@frozen(kw_only=True)
class ChallengeRequest:
    """``POST /v1/transactions/{id}/challenges``."""

    channel: str
    return_url: str | None = None

    @classmethod
    def parse(cls, value: object) -> ChallengeRequest:
        """Strict."""
        body = _Body(value)
        channel = body.choice("channel", ("push", "qr", "app_link"))
        if channel is None:
            raise _invalid("channel", "one of push, qr, app_link", None)
        made = cls(channel=channel, return_url=body.text("return_url", most=500))
        body.end()
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return _present(channel=self.channel, return_url=self.return_url)


# -- answers -------------------------------------------------------------------------------------


def _present(**members: Any) -> dict[str, Any]:
    return {k: v for k, v in members.items() if v is not None}


def _opt(value: Any, read: Callable[[Any], T]) -> T | None:
    return None if value is None else read(value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _malformed(what: str) -> GatewayError:
    return error(
        "upstream_malformed",
        f"expected a v1 {what} from the gateway, came something else; check that `base_url` is a "
        "moica-gateway and not a proxy's page",
    )


@frozen(kw_only=True)
class PageRequest:
    """``POST /v1/transactions/{id}/pages``: the window without scripts."""

    return_url: str | None = None

    @classmethod
    def parse(cls, value: object) -> PageRequest:
        """Strict."""
        body = _Body(value)
        made = cls(return_url=body.text("return_url", most=1000))
        body.end()
        return made

    def to_json(self) -> dict[str, Any]:
        """For the wire; what is not set is left out."""
        return _present(return_url=self.return_url)


@frozen(kw_only=True)
class DocumentView:
    """A document of a transaction; ``status`` once it is signed, or the transaction has ended."""

    id: str
    number: str
    sha256: str
    version: str | None = None
    title: str | None = None
    media_type: str | None = None
    status: str | None = None
    ticket: int = 0
    """Of a batch: which request to the phone covers it, from 0."""

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return _present(
            id=self.id,
            number=self.number,
            version=self.version,
            title=self.title,
            media_type=self.media_type,
            sha256=self.sha256,
            status=self.status,
            ticket=self.ticket or None,
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DocumentView:
        """Tolerant."""
        return cls(
            id=str(value["id"]),
            number=str(value["number"]),
            sha256=str(value["sha256"]),
            version=value.get("version"),
            title=value.get("title"),
            media_type=value.get("media_type"),
            status=value.get("status"),
            ticket=int(value.get("ticket") or 0),
        )


@frozen(kw_only=True)
class ChallengeView:
    """One way in which the phone is asked."""

    channel: str
    status: str
    expires_at: datetime
    id: str | None = None
    qr_payload: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    form: Mapping[str, Any] | None = field(default=None, repr=False)
    error: Problem | None = None
    ticket: int = 0
    """Of a batch: for which of its documents it asks, from 0."""

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return _present(
            id=self.id,
            channel=self.channel,
            status=self.status,
            expires_at=format_time(self.expires_at),
            qr_payload=self.qr_payload,
            url=self.url,
            form=self.form,
            error=self.error.to_json() if self.error else None,
            ticket=self.ticket or None,
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ChallengeView:
        """Tolerant."""
        return cls(
            id=value.get("id"),
            channel=str(value["channel"]),
            status=str(value["status"]),
            expires_at=parse_time(value["expires_at"]),
            qr_payload=value.get("qr_payload"),
            url=value.get("url"),
            form=value.get("form"),
            error=_opt(value.get("error"), Problem.from_json),
            ticket=int(value.get("ticket") or 0),
        )


@frozen(kw_only=True)
class CheckView:
    """One line of a report; ``passed`` None means: not checked, ``detail`` says why."""

    name: str
    passed: bool | None
    detail: str

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return {"name": self.name, "passed": self.passed, "detail": self.detail}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CheckView:
        """Tolerant."""
        return cls(name=str(value["name"]), passed=value["passed"], detail=str(value["detail"]))


@frozen(kw_only=True)
class Certificate:
    """The signer's certificate as DER."""

    der: bytes = field(repr=False)

    def to_json(self) -> str:
        """Base64."""
        return _base64(self.der)

    @classmethod
    def from_json(cls, value: str) -> Certificate:
        """From base64."""
        return cls(der=base64.b64decode(value, validate=True))


@frozen(kw_only=True)
class SignatureView:
    """What a completed signature was made with."""

    format: str
    signed_at: datetime
    certificate: Certificate
    report: tuple[CheckView, ...]
    level: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return _present(
            format=self.format,
            level=self.level,
            certificate=self.certificate.to_json(),
            signed_at=format_time(self.signed_at),
            report=[check.to_json() for check in self.report],
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SignatureView:
        """Tolerant."""
        return cls(
            format=str(value["format"]),
            level=value.get("level"),
            certificate=Certificate.from_json(value["certificate"]),
            signed_at=parse_time(value["signed_at"]),
            report=tuple(CheckView.from_json(check) for check in value["report"]),
        )


@frozen(kw_only=True)
class CredentialView:
    """A registered certificate."""

    id: str
    user_id: str
    type: str
    status: str
    issuer_name: str
    serial_number: str
    not_before: datetime
    not_after: datetime
    subject_name: str = field(repr=False)
    id_number_masked: str
    fingerprint_sha256: str
    user_name: str | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return _present(
            id=self.id,
            user_id=self.user_id,
            user_name=self.user_name,
            type=self.type,
            status=self.status,
            issuer_name=self.issuer_name,
            serial_number=self.serial_number,
            not_before=format_time(self.not_before),
            not_after=format_time(self.not_after),
            subject_name=self.subject_name,
            id_number_masked=self.id_number_masked,
            fingerprint_sha256=self.fingerprint_sha256,
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CredentialView:
        """Tolerant."""
        try:
            return cls(
                id=str(value["id"]),
                user_id=str(value["user_id"]),
                user_name=value.get("user_name"),
                type=str(value["type"]),
                status=str(value["status"]),
                issuer_name=str(value["issuer_name"]),
                serial_number=str(value["serial_number"]),
                not_before=parse_time(value["not_before"]),
                not_after=parse_time(value["not_after"]),
                subject_name=str(value["subject_name"]),
                id_number_masked=str(value["id_number_masked"]),
                fingerprint_sha256=str(value["fingerprint_sha256"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise _malformed("credential") from e


@frozen(kw_only=True)
class TransactionView:
    """A transaction as the caller may see it (a browser sees less: no certificate, no metadata)."""

    id: str
    version: int
    kind: str
    status: str
    created_at: datetime
    expires_at: datetime
    match_code: str
    documents: tuple[DocumentView, ...]
    challenges: tuple[ChallengeView, ...]
    user_id: str | None = None
    on_behalf_of: OnBehalfOf | None = None
    """As it was asked for: for whom ``user_id`` signs, and why."""
    previous: str | None = None
    """The transaction to whose signed file this one appends."""
    assurance: str | None = None
    """A completed authentication: ``certificate``, or ``platform`` for its bare word."""
    partial: bool = False
    tickets: int = 1
    """How many requests to the phone it takes, one after another; more than 1 for a batch only."""
    ticket: int = 0
    """Which of them is asked now, from 0; once ended, which was asked last."""
    credential: CredentialView | None = None
    signature: SignatureView | None = None
    error: Problem | None = None
    metadata: Mapping[str, Any] = field(factory=dict)
    browser_token: str | None = field(default=None, repr=False)

    @property
    def terminal(self) -> bool:
        """True once it has ended."""
        return self.status != "pending"

    @property
    def signed_documents(self) -> tuple[DocumentView, ...]:
        """Those whose artifact is there, also while the others are still asked for, and where the
        transaction ended otherwise (``partial``)."""
        return tuple(d for d in self.documents if d.status == "completed")

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return _present(
            id=self.id,
            version=self.version,
            kind=self.kind,
            status=self.status,
            created_at=format_time(self.created_at),
            expires_at=format_time(self.expires_at),
            user_id=self.user_id,
            on_behalf_of=self.on_behalf_of.to_json() if self.on_behalf_of else None,
            previous=self.previous,
            assurance=self.assurance,
            documents=[document.to_json() for document in self.documents],
            partial=self.partial or None,
            ticket=self.ticket if self.tickets > 1 else None,
            tickets=self.tickets if self.tickets > 1 else None,
            match_code=self.match_code,
            challenges=[challenge.to_json() for challenge in self.challenges],
            credential=self.credential.to_json() if self.credential else None,
            signature=self.signature.to_json() if self.signature else None,
            error=self.error.to_json() if self.error else None,
            metadata=dict(self.metadata) or None,
            browser_token=self.browser_token,
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TransactionView:
        """Tolerant.

        Raises:
            UpstreamError: ``upstream_malformed`` when it is no transaction at all.
        """
        try:
            return cls(
                id=str(value["id"]),
                version=int(value["version"]),
                kind=str(value["kind"]),
                status=str(value["status"]),
                created_at=parse_time(value["created_at"]),
                expires_at=parse_time(value["expires_at"]),
                user_id=value.get("user_id"),
                on_behalf_of=_opt(value.get("on_behalf_of"), OnBehalfOf.from_json),
                previous=value.get("previous"),
                documents=tuple(DocumentView.from_json(d) for d in value["documents"]),
                assurance=value.get("assurance"),
                partial=bool(value.get("partial", False)),
                ticket=int(value.get("ticket") or 0),
                tickets=int(value.get("tickets") or 1),
                match_code=str(value["match_code"]),
                challenges=tuple(ChallengeView.from_json(c) for c in value["challenges"]),
                credential=_opt(value.get("credential"), CredentialView.from_json),
                signature=_opt(value.get("signature"), SignatureView.from_json),
                error=_opt(value.get("error"), Problem.from_json),
                metadata=dict(value.get("metadata") or {}),
                browser_token=value.get("browser_token"),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as e:
            raise _malformed("transaction") from e


@frozen(kw_only=True)
class DeviceStatusView:
    """What the platform knows of a person's phones."""

    bound: bool
    certificate_usable: bool

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return {"bound": self.bound, "certificate_usable": self.certificate_usable}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DeviceStatusView:
        """Strict about both members: what is not a boolean must not pass for a yes.

        Raises:
            UpstreamError: ``upstream_malformed``.
        """
        bound, usable = value.get("bound"), value.get("certificate_usable")
        if not isinstance(bound, bool) or not isinstance(usable, bool):
            raise _malformed("device status")
        return cls(bound=bound, certificate_usable=usable)


@frozen(kw_only=True)
class VerifiedSignatureView:
    """One signature of a file, and what holds of it.

    Attributes:
        name: Where it stands: a PDF field, a number.
        result: ``verified``; ``failed``, where a check did not hold; ``incomplete``, where one that
            is needed could not be made.
        covers: In words: what of the file it stands for.
        subject_name: Of the signer's certificate; None where that cannot be read.
        certificate: None where what stands in its place is not one.
        claimed_at: When the signer says it was; that alone proves nothing.
        hint: What the holder saw, where it stands inside what is signed.
    """

    name: str
    result: str
    covers: str
    report: tuple[CheckView, ...]
    level: str | None = None
    subject_name: str | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    claimed_at: datetime | None = None
    hint: str | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return _present(
            name=self.name,
            result=self.result,
            covers=self.covers,
            level=self.level,
            subject_name=self.subject_name,
            certificate=self.certificate.to_json() if self.certificate else None,
            claimed_at=_opt(self.claimed_at, format_time),
            hint=self.hint,
            report=[check.to_json() for check in self.report],
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> VerifiedSignatureView:
        """Tolerant."""
        return cls(
            name=str(value["name"]),
            result=str(value["result"]),
            covers=str(value["covers"]),
            level=value.get("level"),
            subject_name=value.get("subject_name"),
            certificate=_opt(value.get("certificate"), Certificate.from_json),
            claimed_at=_opt(value.get("claimed_at"), parse_time),
            hint=value.get("hint"),
            report=tuple(CheckView.from_json(check) for check in value["report"]),
        )


@frozen(kw_only=True)
class VerificationView:
    """What holds of a signed file.

    Attributes:
        result: The worst of its signatures'; ``verified`` only if every one is.
        format: As which it was read.
    """

    result: str
    format: str
    signatures: tuple[VerifiedSignatureView, ...]

    @property
    def verified(self) -> bool:
        """Whether every signature in it is good."""
        return self.result == "verified"

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return {
            "result": self.result,
            "format": self.format,
            "signatures": [each.to_json() for each in self.signatures],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> VerificationView:
        """What says good of itself without a signature that is good is not believed.

        Raises:
            UpstreamError: ``upstream_malformed``.
        """
        try:
            made = cls(
                result=str(value["result"]),
                format=str(value["format"]),
                signatures=tuple(
                    VerifiedSignatureView.from_json(each) for each in value["signatures"]
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise _malformed("verification") from e
        if made.verified and not (
            made.signatures and all(each.result == "verified" for each in made.signatures)
        ):
            raise _malformed("verification")
        return made


@frozen(kw_only=True)
class EventView:
    """A webhook's body, and an item of ``GET /v1/events`` (there with ``id``, its webhook-id)."""

    type: str
    timestamp: datetime
    data: Mapping[str, Any]
    id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the wire; a webhook's body has no ``id``, the header ``webhook-id`` bears it."""
        return _present(
            id=self.id, type=self.type, timestamp=format_time(self.timestamp), data=dict(self.data)
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EventView:
        """Tolerant.

        Raises:
            UpstreamError: ``upstream_malformed`` when it is no event at all.
        """
        try:
            return cls(
                id=value.get("id"),
                type=str(value["type"]),
                timestamp=parse_time(value["timestamp"]),
                data=dict(value["data"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as e:
            raise _malformed("event") from e


@frozen(kw_only=True)
class PageView:
    """One page of a list; ``items`` as JSON objects."""

    items: tuple[Mapping[str, Any], ...]
    next_cursor: str | None = None

    def to_json(self) -> dict[str, Any]:
        """``{items, next_cursor}``; ``next_cursor`` is null on the last page."""
        return {"items": [dict(item) for item in self.items], "next_cursor": self.next_cursor}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PageView:
        """Tolerant.

        Raises:
            UpstreamError: ``upstream_malformed`` when it is no page at all.
        """
        try:
            return cls(items=tuple(value["items"]), next_cursor=value.get("next_cursor"))
        except (KeyError, TypeError, AttributeError) as e:
            raise _malformed("list") from e
