"""A picture of a QR code: what is read, what is refused, and that nothing hostile gets through."""

import asyncio
import io
import json
import random
import struct
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest
import qrcode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from moica_simulator import Device, Simulator, SimulatorError
from moica_simulator.phone.camera import LARGEST_PICTURE, MOST_PIXELS, read_qr_code

TEXT = "eyJ0" + "aB3x" * 165 + ".Zm9v"


def code(text: str = TEXT, box: int = 4) -> Image.Image:
    """Draws a QR code with its margin, by another library than the one that reads it."""
    made = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, box_size=box)
    made.add_data(text)
    image = made.make_image().get_image()
    assert isinstance(image, Image.Image)
    return image.convert("L")


def file(image: Image.Image, kind: str = "PNG") -> bytes:
    """Writes a picture."""
    written = io.BytesIO()
    image.save(written, kind)
    return written.getvalue()


def frame(*codes: Image.Image, size: tuple[int, int] = (1280, 720)) -> Image.Image:
    """Lays codes side by side onto a grey ground."""
    made = Image.new("L", size, 140)
    for number, each in enumerate(codes):
        left = (2 * number + 1) * size[0] // (2 * len(codes)) - each.width // 2
        made.paste(each, (left, (size[1] - each.height) // 2))
    return made


def transparent(image: Image.Image) -> Image.Image:
    """Leaves the light modules out: black on nothing, whose colour is black as well."""
    made = Image.new("RGBA", image.size, (0, 0, 0, 0))
    made.paste((0, 0, 0, 255), mask=image.point(lambda value: 255 - value))
    return made


PICTURES: dict[str, Callable[[], bytes]] = {
    "png": lambda: file(code()),
    "jpeg": lambda: file(code(), "JPEG"),
    "coloured jpeg": lambda: file(code().convert("RGB"), "JPEG"),
    "palette": lambda: file(code().convert("P")),
    "one bit": lambda: file(code().convert("1")),
    "transparent": lambda: file(transparent(code())),
    "in a frame": lambda: file(frame(code().resize((576, 576))), "JPEG"),
    "on its side": lambda: file(frame(code()).rotate(90, expand=True), "JPEG"),
    "askew": lambda: file(frame(code().resize((500, 500))).rotate(17, fillcolor=140), "JPEG"),
    "light on dark": lambda: file(code().point(lambda value: 255 - value)),
    "280 pixels": lambda: file(code(box=1).resize((280, 280), Image.Resampling.LANCZOS)),
    "shown twice": lambda: file(frame(code(), code())),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_code_is_read(name: str) -> None:
    """From every kind of picture that a camera, a screenshot or a QR library makes."""
    assert read_qr_code(PICTURES[name]()) == TEXT


def header_only(width: int, height: int) -> bytes:
    """Makes a PNG that promises more than it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(1000))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", packed),
            chunk(b"IEND", b""),
        ]
    )


def gif() -> bytes:
    """A picture, of a kind that is not taken."""
    return file(code(), "GIF")


REFUSED: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "no code": (lambda: file(frame()), "picture_without_code", 422),
    "another kind of code": (lambda: file(Image.new("1", (1, 1))), "picture_without_code", 422),
    "two codes": (
        lambda: file(frame(code("one"), code("two"))),
        "picture_with_several_codes",
        422,
    ),
    "nothing": (lambda: b"", "picture_unreadable", 400),
    "text": (lambda: TEXT.encode(), "picture_unreadable", 400),
    "another format": (gif, "picture_unreadable", 400),
    "cut off": (lambda: file(code())[:-200], "picture_unreadable", 400),
    "a header and no pixels": (lambda: header_only(500, 500), "picture_unreadable", 400),
    "a bomb": (lambda: header_only(5001, 5000), "picture_too_large", 413),
    "a larger bomb": (lambda: header_only(10_000, 10_000), "picture_too_large", 413),
    "a bomb beyond measure": (lambda: header_only(60_000, 60_000), "picture_too_large", 413),
    "too many bytes": (lambda: bytes(LARGEST_PICTURE + 1), "picture_too_large", 413),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_picture_is_refused_with_a_reason(name: str) -> None:
    """Each in its own words, with what was expected and what to do."""
    make, error, status = REFUSED[name]
    with pytest.raises(SimulatorError) as caught:
        read_qr_code(make())
    assert (caught.value.code, caught.value.status) == (error, status)
    assert caught.value.detail.startswith("expected ")


def test_a_bomb_is_never_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels are counted from the header, before memory is taken for them."""

    def unfold(*_: object) -> None:
        raise AssertionError("unfolded")

    monkeypatch.setattr(Image.Image, "convert", unfold)
    with pytest.raises(SimulatorError) as caught:
        read_qr_code(header_only(5000, MOST_PIXELS // 5000 + 1))
    assert caught.value.code == "picture_too_large"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["PNG", "JPEG"]), st.integers(0, 2**32))
def test_a_damaged_picture_is_read_or_refused(kind: str, seed: int) -> None:
    """Whatever bytes are altered, nothing but our own error comes out."""
    chance = random.Random(seed)  # noqa: S311 - to damage, not to protect
    damaged = bytearray(file(code("short"), kind))
    for _ in range(chance.randint(1, 12)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    try:
        read_qr_code(bytes(damaged[: chance.randint(1, len(damaged))]))
    except SimulatorError as error:
        assert error.code.startswith("picture_")  # noqa: PT017 - most are refused, some are read


def test_a_frame_is_read_in_time() -> None:
    """A frame of 1280 × 720 takes a few tens of milliseconds; the best of five, below 150."""
    picture = file(frame(code()), "JPEG")

    def once() -> float:
        started = time.process_time()
        read_qr_code(picture)
        return time.process_time() - started

    assert min(once() for _ in range(5)) < 0.15


class Post:
    """Posts a picture to a phone, as its page does."""

    def __init__(self, sim: Simulator, http: Any) -> None:
        self._sim, self._http = sim, http

    async def __call__(
        self, device_id: str, raw: Any, media_type: str = "image/png"
    ) -> tuple[int, Any]:
        url = f"{self._sim.url}/sim/v1/devices/{device_id}/scan"
        headers = {"Content-Type": media_type}
        async with self._http.post(url, data=raw, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
def post(sim: Simulator, http: Any) -> Post:
    return Post(sim, http)


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
async def test_a_picture_is_scanned_over_the_control_api(
    kind: str, media_type: str, post: Post, system: Any, phone: Device
) -> None:
    """The same answer as to the text; scanning it again changes nothing."""
    _, ticket_id, ticket = await system.qr()
    picture = file(code(ticket), kind)
    for _ in range(2):
        status, item = await post(phone.id, picture, media_type)
        assert (status, item["sp_ticket_id"], item["status"]) == (200, ticket_id, "pending")


async def test_a_picture_is_scanned_in_process(sim: Simulator, system: Any, phone: Device) -> None:
    """`scan` takes bytes as it takes text, and the request can be confirmed."""
    body, ticket_id, ticket = await system.qr()
    view = await sim.scan(phone.id, file(code(ticket)))
    assert view.sp_ticket_id == ticket_id
    await sim.confirm(phone.id, ticket_id)
    assert await system.result_code(body, ticket_id) == "0"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("https://www.gov.tw/", "SPTKT_DIG_FT_ERR"),
        (TEXT, "SPTKT_DIG_FT_ERR"),
        ("公文文號：1153000165", "SPTKT_PLD_FT_ERR"),
        ("mobilemoica://moica.moi.gov.tw/w2a/verifySign?sp_ticket=a.b", "SPTKT_DIG_FT_ERR"),
    ],
)
async def test_a_code_of_something_else_is_the_apps_error(
    text: str, error: str, post: Post, phone: Device
) -> None:
    """As with the text: an address, another text, an app link, which belongs elsewhere."""
    status, refused = await post(phone.id, file(code(text)))
    assert (status, refused["error"]) == (409, error)


async def test_another_persons_phone_sees_the_code(
    post: Post, system: Any, phone: Device, other_phone: Device
) -> None:
    """Refused, and the ticket ends, as by the text."""
    body, ticket_id, ticket = await system.qr()
    status, refused = await post(other_phone.id, file(code(ticket)))
    assert (status, refused["error"]) == (409, "DEVID_SPTKT_MISMATCH")
    assert await system.result_code(body, ticket_id) == "DEVID_SPTKT_MISMATCH"


async def test_a_wrong_picture_is_answered_with_its_error(post: Post, phone: Device) -> None:
    """Over the control API: none, broken, of another kind, not bound, unknown."""
    assert (await post(phone.id, file(frame())))[1]["error"] == "picture_without_code"
    status, refused = await post(phone.id, b"no picture")
    assert (status, refused["error"]) == (400, "picture_unreadable")
    status, refused = await post(phone.id, gif(), "image/gif")
    assert (status, refused["error"]) == (415, "body_invalid")
    assert "image/png" in refused["detail"]
    assert (await post("none", file(code())))[0] == 404


async def test_an_unbound_phone_scans_nothing(post: Post, sim: Simulator) -> None:
    """The app has to be bound first."""
    fresh = await sim.add_device("新手機")
    status, refused = await post(fresh.id, file(code()))
    assert (status, refused["error"]) == (409, "device_not_bound")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_not_held(
    announced: bool, post: Post, phone: Device
) -> None:
    """413, whether its length was announced or it came in parts; a larger picture than any other
    body is taken."""

    async def parts() -> Any:
        for _ in range(5):
            yield bytes(1024 * 1024)

    whole = io.BytesIO(bytes(5 * 1024 * 1024))
    status, refused = await post(phone.id, whole if announced else parts())
    assert (status, refused["error"]) == (413, "picture_too_large")
    status, refused = await post(phone.id, io.BytesIO(bytes(3 * 1024 * 1024)))
    assert (status, refused["error"]) == (400, "picture_unreadable")


async def test_json_bodies_keep_their_own_limit(sim: Simulator, http: Any, phone: Device) -> None:
    """What a picture may is not what a JSON body may."""
    url = f"{sim.url}/sim/v1/devices/{phone.id}/scan"
    body = io.BytesIO(json.dumps({"payload": "x" * 1024 * 1024}).encode())
    async with http.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 413


class Watched(Executor):
    """Notes which threads do the work."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        made: Future[Any] = Future()

        def run() -> None:
            self.threads.append(threading.current_thread().name)
            try:
                made.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                made.set_exception(error)

        threading.Thread(target=run, name="watched").start()
        return made


async def test_the_loop_is_not_held_up(
    sim: Simulator, phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture is decoded by the executor."""
    watched = Watched()
    monkeypatch.setattr(sim.phones, "_executor", watched)
    with pytest.raises(SimulatorError):
        await asyncio.wait_for(sim.scan(phone.id, file(frame())), 30)
    assert watched.threads == ["watched"]
