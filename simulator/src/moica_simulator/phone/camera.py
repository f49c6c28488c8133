"""What the phone's camera sees: the text of the one QR code in a picture. And such a picture.

Pillow opens the picture, zxing-cpp finds the code. Everything here blocks, for about 20 ms with a
frame of 1280 × 720 and up to a second with the largest picture that is taken: call it in an
executor. What the text means is not judged here, and codes other than QR codes are not seen.
"""

import io

import zxingcpp
from PIL import Image

from moica_simulator.errors import SimulatorError

__all__ = ["LARGEST_PICTURE", "MEDIA_TYPES", "MOST_PIXELS", "draw_qr_code", "read_qr_code"]

LARGEST_PICTURE = 4 * 1024 * 1024
"""In bytes, as it is sent."""

MOST_PIXELS = 25_000_000
"""Width times height. A picture of a few kilobytes can unfold into gigabytes of them."""

MEDIA_TYPES = frozenset({"image/jpeg", "image/png"})
"""What a picture may be."""


_QR_CODE = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])


def read_qr_code(picture: bytes) -> str:
    """Reads the QR code in a picture.

    Args:
        picture: The bytes of a PNG or JPEG file.

    Returns:
        The text of the code.

    Raises:
        SimulatorError: `picture_too_large`, `picture_unreadable`, `picture_without_code`, or
            `picture_with_several_codes` if it holds codes with different contents.
    """
    if len(picture) > LARGEST_PICTURE:
        raise too_large(f"{len(picture)} bytes")
    grey = _unfold(picture)
    found = {
        each.text
        for each in zxingcpp.read_barcodes(
            grey, formats=_QR_CODE, text_mode=zxingcpp.TextMode.Plain
        )
    }
    if not found:
        raise SimulatorError(
            "picture_without_code",
            f"expected a picture with a QR code; none was found in {grey.width} × {grey.height} "
            "pixels. Take it from nearer, straight, and with the white margin around the code",
            status=422,
        )
    if len(found) > 1:
        raise SimulatorError(
            "picture_with_several_codes",
            f"expected one QR code in the picture; {len(found)} different ones came. Send a part "
            "of the picture with the one that is meant",
            status=422,
        )
    return found.pop()


def draw_qr_code(text: str) -> bytes:
    """Returns a PNG picture of a QR code that holds a text, with the margin that it needs."""
    drawn = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode)
    written = io.BytesIO()
    Image.fromarray(drawn.to_image(scale=8)).save(written, "PNG")
    return written.getvalue()


def too_large(came: str) -> SimulatorError:
    """Makes the error for a picture that is too large.

    Args:
        came: How large it is, with its unit.
    """
    return SimulatorError(
        "picture_too_large",
        f"expected a picture of at most {LARGEST_PICTURE} bytes and {MOST_PIXELS} pixels; {came} "
        "came. Send a smaller one, e.g. only the part with the code",
        status=413,
    )


def _unfold(picture: bytes) -> Image.Image:
    """Decodes a picture into shades of grey."""
    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as opened:
            # Asked before anything is unfolded: the size stands in the header.
            pixels = opened.width * opened.height
            if pixels <= MOST_PIXELS:
                return _grey(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large(f"more than {MOST_PIXELS} pixels") from error
    except Exception as error:
        # Whatever hostile bytes make of the decoders: OSError, SyntaxError, struct.error, ...
        raise SimulatorError(
            "picture_unreadable",
            "expected the bytes of a PNG or JPEG file; what came is neither, or damaged "
            f"({type(error).__name__}). Send the file as it is, not as a form or as base64",
        ) from error
    raise too_large(f"{pixels} pixels")


def _grey(opened: Image.Image) -> Image.Image:
    if not opened.has_transparency_data:
        return opened.convert("L")
    # A transparent margin is shown white, and would be black without this.
    shown = Image.new("RGBA", opened.size, "white")
    shown.alpha_composite(opened.convert("RGBA"))
    return shown.convert("L")
