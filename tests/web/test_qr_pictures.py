"""The QR code as SVG and PNG: what a camera reads from it, and when it is shown."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
import zxingcpp
from PIL import Image, ImageDraw

from moica_gateway.domain.models import Fault
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import problem
from moica_gateway.web.api.qr import qr_png, qr_svg

REGISTRATION = {"user_id": "u1", "id_number": "A123456789", "time_limit": 60}
QR = {"channel": "qr"}
PICTURES = ("qr.svg", "qr.png")
RUN = re.compile(r"M(\d+) (\d+)h(\d+)v1h-\d+z")


def drawn(svg: bytes, scale: int = 4) -> Image.Image:
    """The SVG's own path, run by run; nothing else of it is looked at."""
    text = svg.decode()
    size = int(re.search(r'viewBox="0 0 (\d+) \1"', text)[1])  # type: ignore[index]
    picture = Image.new("L", (size * scale, size * scale), 255)
    pen = ImageDraw.Draw(picture)
    for x, y, length in (tuple(map(int, run)) for run in RUN.findall(text)):
        left, top = x * scale, y * scale
        pen.rectangle((left, top, left + length * scale - 1, top + scale - 1), fill=0)
    return picture


def read(name: str, body: bytes) -> str:
    """What the phone's camera makes of it."""
    picture = Image.open(io.BytesIO(body)) if name == "qr.png" else drawn(body)
    [found] = zxingcpp.read_barcodes(picture.convert("L"))
    return str(found.text)


@pytest.fixture
async def returning(api: Any) -> Any:
    """A pending transaction of a tenant with a registered origin."""
    policy = TenantPolicy(return_origins=("https://oa.example",))
    await api.services.tenants.create_tenant(TenantId("t1"), "t1", policy)
    path, token, _ = await asked(api)
    return SimpleNamespace(api=api, path=path, token=token)


async def asked(api: Any) -> tuple[str, str, dict[str, Any]]:
    """Path, browser token and view of a transaction that waits for push and QR."""
    _, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    path, token = f"/v1/transactions/{made['id']}", made["browser_token"]
    _, seen, _ = await api.call("POST", f"{path}/challenges", QR, token=token)
    return path, token, seen


@pytest.mark.parametrize("length", [20, 300, 640, 720, 1200])
def test_both_pictures_hold_the_whole_ticket(length: int) -> None:
    """Whatever its length; the PNG's code is 280 pixels or more, in whole modules."""
    ticket = ("eyJ0cmFuc2FjdGlvbl9pZCI6IjQxNTcwYzAyLTUyMjYtNGQyZSJ9-_." * 30)[:length]
    assert read("qr.svg", qr_svg(ticket)) == ticket
    body = qr_png(ticket)
    assert read("qr.png", body) == ticket
    picture = Image.open(io.BytesIO(body))
    modules = int(re.search(rb'viewBox="0 0 (\d+)', qr_svg(ticket))[1])  # type: ignore[index]
    scale, rest = divmod(picture.width, modules)
    assert (picture.mode, picture.width, rest) == ("1", picture.height, 0)
    assert (modules - 8) * scale >= 280
    assert picture.crop((0, 0, picture.width, 4 * scale)).getcolors() == [
        (picture.width * 4 * scale, 255)
    ]


@pytest.mark.parametrize("name", PICTURES)
async def test_the_picture_is_the_payload_and_is_kept_by_nobody(api: Any, name: str) -> None:
    """For the browser's token and for a key; `no-store`, of its own type, and not to be sniffed."""
    path, token, seen = await asked(api)
    kind = {"qr.svg": "image/svg+xml", "qr.png": "image/png"}[name]
    for bearer in (token, api.key):
        status, body, headers = await api.call("GET", f"{path}/{name}", token=bearer)
        assert (status, headers["Content-Type"], headers["Cache-Control"]) == (
            200,
            kind,
            "no-store",
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert read(name, body) == seen["challenges"][1]["qr_payload"]


@pytest.mark.parametrize("name", PICTURES)
async def test_the_newest_open_code_is_shown(api: Any, name: str) -> None:
    """A new code replaces the old one while both are open."""
    path, token, _ = await asked(api)
    await api.clock.advance(50)
    await api.clock.settle()
    _, seen, _ = await api.call("POST", f"{path}/challenges", QR, token=token)
    _, body, _ = await api.call("GET", f"{path}/{name}", token=token)
    assert read(name, body) == seen["challenges"][2]["qr_payload"]
    assert seen["challenges"][1]["qr_payload"] != seen["challenges"][2]["qr_payload"]


@pytest.mark.parametrize("name", PICTURES)
async def test_a_lapsed_code_is_never_shown(api: Any, name: str) -> None:
    """Not even while the platform's last word is awaited, or a later challenge is still open."""
    away = Fault(problem=problem("upstream_unreachable", "away"), spoke=False)
    api.upstream.answer("ticket-2", away)
    path, token, _ = await asked(api)
    await api.clock.advance(50)
    await api.clock.settle()
    await api.call("POST", f"{path}/challenges", {"channel": "push"}, token=token)
    await api.clock.advance(10)
    status, refused, headers = await api.call("GET", f"{path}/{name}", token=token)
    assert (status, refused["code"], headers["Cache-Control"]) == (404, "not_found", "no-store")
    _, seen, _ = await api.call("GET", path, token=token)
    assert [c["status"] for c in seen["challenges"]] == ["lapsed", "sent", "sent"]
    assert "qr_payload" not in seen["challenges"][1]


@pytest.mark.parametrize("name", PICTURES)
async def test_after_the_end_and_without_a_code_there_is_no_picture(api: Any, name: str) -> None:
    """404 while only push was asked, after a cancel, and with another's token."""
    _, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    path, token = f"/v1/transactions/{made['id']}", made["browser_token"]
    assert (await api.call("GET", f"{path}/{name}", token=token))[0] == 404
    await api.call("POST", f"{path}/challenges", QR, token=token)
    assert (await api.call("GET", f"{path}/{name}", token=token))[0] == 200
    assert (await api.call("GET", f"{path}/{name}", token=api.foreign))[0] == 404
    assert (await api.call("GET", f"{path}/{name}", token="btk_x"))[0] == 401
    await api.call("POST", f"{path}/cancel")
    assert (await api.call("GET", f"{path}/{name}", token=token))[0] == 404


@pytest.mark.parametrize(
    "return_url",
    [
        "https://evil.example/documents/1",
        "https://oa.example.evil.example/",
        "https://oa.example@evil.example/",
        "https://oa.example:8443/",
        "http://oa.example/",
        "javascript:alert(1)",
        "//oa.example/",
        "/documents/1",
        "https://[",
        "https://oa.example/\n",
        "https://oa.exa\tmple/",
        "https://oa.example/\\evil",
        "https://oa.example/ a",
        "https://oa.example/\u202egpj.elif",
        "",
    ],
)
async def test_a_return_url_of_another_origin_is_refused(returning: Any, return_url: str) -> None:
    """422 with the member's name; no challenge is made, and the platform is not asked."""
    body = {"channel": "app_link", "return_url": return_url}
    path, token = returning.path, returning.token
    api = returning.api
    begun = len(api.upstream.begun)
    status, refused, _ = await api.call("POST", f"{path}/challenges", body, token=token)
    assert (status, refused["code"], refused["member"]) == (422, "request_invalid", "return_url")
    assert len(api.upstream.begun) == begun


async def test_a_return_url_of_a_registered_origin_goes_into_the_link(returning: Any) -> None:
    """As it was given; without one the link is made all the same."""
    back = "https://oa.example/documents/1/signing/cnf_1?a=簽"
    for body in ({"channel": "app_link", "return_url": back}, {"channel": "app_link"}):
        status, seen, _ = await returning.api.call(
            "POST", f"{returning.path}/challenges", body, token=returning.token
        )
        assert status == 201
        url = seen["challenges"][-1]["url"]
        assert url.endswith(f"return={body.get('return_url', '')}")
