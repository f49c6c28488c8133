"""A double of `ports.Workshop` without processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent, ValidationMaterial
from moica_gateway.ports import Format, LevelFormat, SignatureReader, Timestamper

__all__ = ["HereWorkshop"]


class HereWorkshop:
    """Calls everything in place."""

    def __init__(
        self, formats: Mapping[str, Format], readers: Mapping[str, SignatureReader] | None = None
    ) -> None:
        self._formats = formats
        self._readers = readers or {}

    async def prepare(
        self, name: str, document: Document, content: bytes | None, context: SignContext
    ) -> Prepared:
        """See the port."""
        return self._formats[name].prepare(document, content, context)

    async def finish(
        self, name: str, prepared: Prepared, signature: bytes, context: SignContext
    ) -> Artifact:
        """See the port."""
        return self._formats[name].finish(prepared, signature, context)

    async def raise_level(
        self,
        name: str,
        artifact: bytes,
        level: str,
        timestamper: Timestamper,
        material: ValidationMaterial,
    ) -> bytes:
        """See the port."""
        levels = cast(LevelFormat, self._formats[name])
        return await levels.raise_level(artifact, level, timestamper, material)

    async def read(self, name: str, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """See the port."""
        return self._readers[name].read(data, given)
