"""A worker whose one format does what the document says: all that a parser may do to us."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Any, Final

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import error
from moica_gateway.formats import worker
from moica_gateway.formats.frames import read_frame

_SECRETS: Final = ("MOICA_GATEWAY_DATABASE", "SECRET_OF_THE_TEST")


class Hostile:
    """Format and reader at once."""

    name = "hostile"
    levels: tuple[str, ...] = ("B-B",)
    needs_content = True
    binds_certificate = False
    parses = True

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        """The content is an order."""
        match content:
            case b"spin":
                while True:
                    pass
            case b"memory":
                hog = bytearray(2**31)
                return Prepared(message=Tbs(message=bytes(hog[:1])), state=b"")
            case b"swell":
                swollen = bytearray(400 * 1_048_576)
                del swollen
            case b"raise":
                raise ZeroDivisionError("a secret of the document")
            case b"exit":
                sys.exit(3)
            case b"crash":
                ctypes.string_at(0)
            case b"refuse":
                raise error("document_refused", "expected another", reason="javascript")
            case b"print":
                print("noise on standard output")  # noqa: T201 - what a library might do
                os.write(1, b"more noise")
            case b"write":
                with open("left-behind", "wb") as file:
                    file.write(b"x")
            case b"environment":
                found = ",".join(name for name in _SECRETS if name in os.environ)
                return Prepared(message=Tbs(message=b"found:" + found.encode()), state=b"")
            case _:
                pass
        said = f"{os.getpid()} {context.hint} {document.number}".encode()
        return Prepared(message=Tbs(message=said), state=content or b"")

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        """Both after each other."""
        while prepared.message.message == b"spin":
            pass
        data = prepared.state + signature
        return Artifact(data=data, media_type="text/plain", filename_extension=".txt")

    async def raise_level(
        self, artifact: bytes, level: str, timestamper: Any, material: Any
    ) -> bytes:
        """With two tokens."""
        first = await timestamper.timestamp(artifact)
        second = await timestamper.timestamp(first)
        return bytes(first + second + b"".join(material.certificates) + level.encode())

    def recognises(self, data: bytes) -> bool:
        """Whatever comes."""
        return True

    def read(self, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """One, with every member set."""
        if data == b"spin":
            time.sleep(3600)
        signature = FoundSignature(
            format="hostile",
            name="一",
            certificate=data,
            chain=(b"a", b"b"),
            message=Tbs(message=given.files["f"]),
            signature=b"s",
            covers="everything",
            content_matches=True,
        )
        return (signature,)


if __name__ == "__main__":
    source, to = worker.private_line()
    head = read_frame(source, 2**30).head
    worker.limit(head["memory"])
    hostile = Hostile()
    worker.serve({"hostile": hostile}, {"hostile": hostile}, source, to, head["memory"])
