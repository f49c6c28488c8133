"""The bytes that the key must cover, and the signed thing that comes out."""

from __future__ import annotations

from collections.abc import Mapping

from moica_gateway.formats.cades import CadesFormat
from moica_gateway.formats.cms_reading import CadesReader
from moica_gateway.formats.options import FormatOptions
from moica_gateway.formats.pades import PadesFormat, PadesReader
from moica_gateway.formats.pkcs import Pkcs1Format, Pkcs1Reader, Pkcs7Format
from moica_gateway.ports import Format, SignatureReader

__all__ = [
    "CadesFormat",
    "FormatOptions",
    "PadesFormat",
    "Pkcs1Format",
    "Pkcs1Reader",
    "Pkcs7Format",
    "formats_by_name",
    "readers_by_name",
]


def formats_by_name(options: FormatOptions | None = None) -> Mapping[str, Format]:
    """Every format of this version; the explicit registry."""
    formats: tuple[Format, ...] = (
        Pkcs1Format(),
        Pkcs7Format(),
        CadesFormat(),
        PadesFormat(options),
    )
    return {format_.name: format_ for format_ in formats}


def readers_by_name() -> Mapping[str, SignatureReader]:
    """Every reader of this version; the explicit registry."""
    readers: tuple[SignatureReader, ...] = (CadesReader(), PadesReader(), Pkcs1Reader())
    return {reader.name: reader for reader in readers}
