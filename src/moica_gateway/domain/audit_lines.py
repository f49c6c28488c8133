"""The audit record as JSON Lines: an export of a tenant, or the part that a transaction's proof is.

One object a line, ``docs/reference/audit.md``: ``start`` where a part begins, ``record``, ``link``
(a record of which only the digest is shown), ``head``, and ``unsealed`` behind all. Reading is for
files that anybody may have written: what is no such line is a finding, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from attrs import frozen

from moica_gateway.domain.audit import (
    AuditEntry,
    AuditHead,
    digest_of,
    head_members,
    key_id_of,
    record_bytes,
    record_members,
    require_plain,
)
from moica_gateway.domain.audit_check import ChainCheck, Report
from moica_gateway.domain.values import TenantId

__all__ = [
    "Signed",
    "check_lines",
    "entry_line",
    "head_line",
    "head_of",
    "link_line",
    "start_line",
]

Signed = Callable[[bytes, bytes, bytes], bool]
"""Whether a public key has signed: ``(public_key, signature, data)``."""

_LARGEST: Final = 2**53
_UNREADABLE: Final = (AttributeError, KeyError, TypeError, ValueError, RecursionError)


# -- writing -----------------------------------------------------------------------------------


def start_line(tenant: str, position: int, hash_: bytes) -> str:
    """Where a part begins: behind that position."""
    return _line({"type": "start", "tenant": tenant, "position": position, "hash": hash_.hex()})


def entry_line(entry: AuditEntry) -> str:
    """A record, sealed or not, as it is stored; also one that cannot be read."""
    members: dict[str, Any] = {"type": "record" if entry.position is not None else "unsealed"}
    if entry.position is not None:
        members["position"] = entry.position
        members["hash"] = entry.hash.hex() if entry.hash is not None else None
    members["record"] = (
        record_members(entry.tenant, entry.sequence, entry.record) if entry.record else None
    )
    return _line(members)


def link_line(entry: AuditEntry) -> str:
    """A sealed record that is nobody's business. Raises ``ValueError`` for one that is not sealed
    or cannot be read."""
    if entry.digest is None or entry.position is None or entry.hash is None:
        raise ValueError("expected a sealed record")
    return _line(
        {
            "type": "link",
            "tenant": entry.tenant,
            "position": entry.position,
            "hash": entry.hash.hex(),
            "digest": entry.digest.hex(),
        }
    )


def head_line(head: AuditHead) -> str:
    """A signed head."""
    return _line({"type": "head", **head_members(head)})


def _line(members: Mapping[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


# -- reading -----------------------------------------------------------------------------------


def head_of(members: Mapping[str, Any]) -> AuditHead:
    """A head from its JSON object; its signature is not looked at.

    Raises:
        ValueError: for anything else, also where ``count`` or ``key_id`` contradict the rest.
    """
    try:
        head = AuditHead(
            tenant=TenantId(_text(members["tenant"])),
            position=_position(members["position"]),
            hash=_bytes(members["hash"], 32),
            at=_time(members["at"]),
            public_key=_bytes(members["public_key"], 32),
            signature=_bytes(members["signature"], 64),
        )
        made = head_members(head)
    except _UNREADABLE:
        raise ValueError("expected a head of an audit record") from None
    if any(members.get(name) != made[name] for name in ("v", "count", "key_id", "at")):
        raise ValueError("expected a head of an audit record whose members agree")
    return head


@frozen
class _Trust:
    key_ids: frozenset[str]
    signed: Signed

    def believes(self, head: AuditHead) -> bool:
        return key_id_of(head.public_key) in self.key_ids and self.signed(
            head.public_key, head.signature, head.signed_bytes
        )


class _Parts:
    """The walks of a file: one a tenant, and one more at each ``start``."""

    def __init__(self, trust: _Trust, outside: Mapping[str, list[AuditHead]]) -> None:
        self._trust = trust
        self._outside = outside
        self._open: dict[str, tuple[ChainCheck, list[AuditHead]]] = {}
        self.done: list[tuple[str, Report]] = []

    def start(self, tenant: str, after: int, previous: bytes) -> ChainCheck:
        self._end(tenant)
        heads = [head for head in self._outside.get(tenant, ()) if head.position > after]
        check = ChainCheck(after, previous)
        self._open[tenant] = (check, heads)
        return check

    def of(self, tenant: str) -> ChainCheck:
        if tenant not in self._open:
            check = ChainCheck()
            self._open[tenant] = (check, list(self._outside.get(tenant, ())))
        return self._open[tenant][0]

    def fed(self, tenant: str) -> None:
        """Compare with heads from outside, once their position has come."""
        check, heads = self._open[tenant]
        while heads and heads[0].position <= check.position:
            check.head(heads.pop(0))

    def head(self, head: AuditHead, place: str) -> None:
        check = self.of(head.tenant)
        if self._trust.believes(head):
            check.head(head)
        else:
            check.unsigned_head(head.position, place)

    def finish(self) -> None:
        for tenant in tuple(self._open):
            self._end(tenant, last=True)
        for tenant in self._outside.keys() - {tenant for tenant, _ in self.done}:
            self.of(tenant)
            self._end(tenant, last=True)

    def _end(self, tenant: str, *, last: bool = False) -> None:
        if tenant in self._open:
            check, heads = self._open.pop(tenant)
            for head in heads if last else ():
                check.head(head)
            self.done.append((tenant, check.finish()))


def check_lines(
    lines: Iterable[bytes],
    *,
    public_keys: Iterable[bytes],
    heads: Iterable[AuditHead],
    signed: Signed,
) -> list[tuple[str, Report]]:
    """Check a file with nothing but public keys, and heads that were kept elsewhere.

    Args:
        lines: Of the file.
        public_keys: Whose heads are believed.
        heads: From outside, their signatures looked at; any order.
        signed: The signature check.

    Returns:
        For each part of a chain, whose it is and what was found. A tenant without a name is where
        lines stand that tell none.
    """
    outside: dict[str, list[AuditHead]] = {}
    for head in sorted(heads, key=lambda one: one.position):
        outside.setdefault(head.tenant, []).append(head)
    parts = _Parts(_Trust(frozenset(key_id_of(key) for key in public_keys), signed), outside)
    current = ""
    for number, text in enumerate(lines, 1):
        if text.strip():
            current = _feed(parts, text, f"line {number}", current)
    parts.finish()
    return parts.done


def _feed(parts: _Parts, text: bytes, place: str, current: str) -> str:
    """One line; returns whose it is. One that cannot be read is its predecessor's."""
    try:
        members = json.loads(text)
        kind = members["type"]
        if kind == "record" or kind == "unsealed":
            whose = _text(members["record"]["tenant"]) if members["record"] else current
        elif kind in ("start", "link", "head"):
            whose = _text(members["tenant"])
        else:
            raise ValueError("another type")
        if kind == "head":
            parts.head(head_of(members), place)
            return whose
        if kind == "start":
            parts.start(whose, _position(members["position"], 0), _bytes(members["hash"], 32))
            return whose
        position = None if kind == "unsealed" else _position(members["position"])
        hash_ = None if kind == "unsealed" else _bytes(members["hash"], 32)
    except _UNREADABLE:
        parts.of(current).record(place, None, b"", None)
        return current
    parts.of(whose).record(
        place, position, hash_, _digest(members), withheld=members["type"] == "link"
    )
    parts.fed(whose)
    return whose


def _digest(members: Mapping[str, Any]) -> bytes | None:
    try:
        if members["type"] == "link":
            return _bytes(members["digest"], 32)
        record = members["record"]
        require_plain(record)
        return digest_of(record_bytes(record)) if isinstance(record, dict) else None
    except _UNREADABLE:
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value


def _position(value: object, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _LARGEST:
        raise ValueError("expected a position")
    return value


def _bytes(value: object, length: int) -> bytes:
    text = _text(value)
    if len(text) != 2 * length or text != text.lower():
        raise ValueError("expected bytes as small hexadecimal digits")
    return bytes.fromhex(text)


def _time(value: object) -> datetime:
    return datetime.fromisoformat(_text(value).replace("Z", "+00:00"))
