"""The bytes that the key must cover, and the signed thing that comes out."""

from __future__ import annotations

from collections.abc import Mapping

from moica_gateway.formats.cades import CadesFormat
from moica_gateway.formats.pkcs import Pkcs1Format
from moica_gateway.ports import Format

__all__ = ["CadesFormat", "Pkcs1Format", "formats_by_name"]


def formats_by_name() -> Mapping[str, Format]:
    """Every format of this version; the explicit registry."""
    formats: tuple[Format, ...] = (Pkcs1Format(), CadesFormat())
    return {format_.name: format_ for format_ in formats}
