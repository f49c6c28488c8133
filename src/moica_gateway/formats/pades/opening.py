"""A PDF is opened strictly, within limits, and nothing foreign escapes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pyhanko.pdf_utils.decode_limits import (
    DecodeLimits,
    DocumentDecodeBudget,
    StreamDecodeLimits,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfDecodeLimitError
from pyhanko.pdf_utils.reader import PdfFileReader

from moica_gateway.errors import GatewayError, error

__all__ = ["Appending", "open_for_reading", "open_for_signing", "readable"]

_MIB: Final = 1_048_576
_LIMITS: Final = DecodeLimits(
    per_stream=StreamDecodeLimits(max_output_size=64 * _MIB),
    document_budget=DocumentDecodeBudget(base_allowance=256 * _MIB, max_ratio=20),
)


class Appending(IncrementalPdfFileWriter):
    """An incremental update that leaves the document's metadata alone: what is not needed for the
    signature is not changed, and the time of day is not ours to look at."""

    def _update_meta(self) -> None:
        pass


def open_for_signing(data: bytes) -> Appending:
    """The strict reader is its ``prev``. Call inside `readable`."""
    return Appending(io.BytesIO(data), strict=True, decode_limits=_LIMITS)


def open_for_reading(data: bytes) -> PdfFileReader:
    """Strict: what is broken is not repaired, since every program repairs it otherwise. Call
    inside `readable`."""
    return PdfFileReader(io.BytesIO(data), strict=True, decode_limits=_LIMITS)


@contextmanager
def readable(code: str, who: str) -> Iterator[None]:
    """What the library raises becomes the error ``code``; ``who`` says what is to be done.

    A text of the library is not repeated: it may quote the document.
    """
    try:
        yield
    except GatewayError:
        raise
    except (MemoryError, RecursionError) as e:
        raise error(
            code,
            f"expected a PDF that can be read within the limits, it is nested too deeply or needs "
            f"too much memory ({type(e).__name__}); {who}",
        ) from None
    except PdfDecodeLimitError:
        raise error(
            code,
            "expected a PDF whose compressed streams stay within 64 MiB each and 256 MiB in all, "
            f"they grow beyond; {who}",
        ) from None
    except Exception as e:
        raise error(
            code,
            "expected a PDF as the standard has it, its header, cross-references, or an object is "
            f"broken ({type(e).__name__}); {who}",
        ) from e
