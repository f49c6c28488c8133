"""Forged and replayed forms at the callback (WEB-01) of the running gateway: one table.

A stranger's form ends nothing: the transaction stays as it was, the honest form completes it
afterwards, and every form is answered with the same page. What is authentic and bad, or says that
it is over, ends it. The table stands in THREAT_MODEL.md, and is compared with it here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from attrs import define, field, frozen

from moica_gateway.domain.values import TenantId
from moica_gateway.wire import TransactionView

from .hostile import Desk
from .house import House, Visit
from .row import Place

pytestmark = pytest.mark.asyncio(loop_scope="module")

_HEAD: Final = "| form | what | rule | what follows |\n|---|---|---|---|"
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_NOBODY: Final = "B223456782"


@define
class Errand:
    """What the browser carries there and back."""

    desk: Desk
    fields: dict[str, str] = field(repr=False)

    @property
    def presence(self) -> bool:
        """Whether nothing is signed."""
        return self.fields["op_code"] == "ATH"

    def signature(self, message: bytes | None = None) -> str:
        """Over what was asked for."""
        asked = base64.b64decode(self.fields["sign_data"]) if message is None else message
        return base64.b64encode(self.desk.platform.pki.sign(asked, "holder", None)).decode()

    def form(self, *, covered: tuple[str, ...] | None = None, **changes: Any) -> bytes:
        """The honest one but for the changes, sealed for what it says unless told otherwise."""
        fields: dict[str, Any] = {
            "transaction_id": self.fields["transaction_id"],
            "error_code": "0",
            "id_num": self.desk.id_number,
        }
        if not self.presence:
            fields["signed_response"] = self.signature()
            fields["cert"] = base64.b64encode(self.desk.certificate).decode()
        fields = {n: v for n, v in (fields | changes).items() if v is not ...}
        if "idp_checksum" not in changes:
            named = ("error_code", "id_num", "signed_response")
            said = covered or tuple(fields.get(name, "") for name in named)
            fields["idp_checksum"] = self.desk.seal(self.fields["transaction_id"], *said)
        return urlencode(fields).encode()


@frozen(kw_only=True)
class Form:
    """A row: ``code`` is recorded where ``ends`` is None, else the transaction's."""

    name: str
    rule: str
    forge: Callable[[Errand], bytes]
    code: str
    ends: str | None = None
    signs: bool = True
    presence: bool = True

    @property
    def what(self) -> str:
        """For the table."""
        return ", ".join(name for name, holds in (("s", self.signs), ("a", self.presence)) if holds)


def _stale(errand: Errand, **changes: str) -> bytes:
    honest = (
        "0",
        errand.desk.id_number,
        "" if errand.presence else errand.signature(),
    )
    return errand.form(covered=honest, **changes)


FORMS: Final = (
    Form(name="no checksum", rule="2", code="checksum_missing",
         forge=lambda e: e.form(idp_checksum=...)),
    Form(name="checksum of zeros", rule="2", code="checksum_invalid",
         forge=lambda e: e.form(idp_checksum="00" * 92)),
    Form(name="checksum under a stranger's key", rule="2", code="checksum_invalid",
         forge=lambda e: e.form(idp_checksum=e.desk.seal("x", key=bytes(32)))),
    Form(name="our own checksum, from the form that left", rule="1", code="checksum_reflected",
         forge=lambda e: e.form(idp_checksum=e.fields["sp_checksum"])),
    Form(name="checksum of another transaction", rule="1", code="checksum_mismatch",
         forge=lambda e: e.form(idp_checksum=e.desk.seal("other", "0", e.desk.id_number))),
    Form(name="zero IV", rule="1", code="checksum_invalid", signs=False,
         forge=lambda e: e.form(idp_checksum=e.desk.seal(
             e.fields["transaction_id"], "0", e.desk.id_number, iv=bytes(12)))),
    Form(name="another ID number, checksum stale", rule="5", code="checksum_mismatch",
         forge=lambda e: _stale(e, id_num=_NOBODY)),
    Form(name="a refusal under success's checksum", rule="2", code="checksum_mismatch",
         forge=lambda e: _stale(e, error_code="APP_USER_CANCEL")),
    Form(name="a refusal with a wrong checksum", rule="2", code="checksum_invalid",
         forge=lambda e: e.form(error_code="APP_USER_CANCEL", idp_checksum="ab" * 92)),
    Form(name="signature changed, checksum stale", rule="1", code="checksum_mismatch",
         presence=False, forge=lambda e: _stale(e, signed_response=e.signature(b"x"))),
    Form(name="a signature for a question of presence", rule="5", code="answer_invalid",
         signs=False, forge=lambda e: e.form(signed_response="c2ln", cert="c2ln")),
    Form(name="presence for a question of signing", rule="5", code="answer_incomplete",
         presence=False, forge=lambda e: e.form(signed_response=..., cert=...)),
    Form(name="success without an ID number", rule="5", code="answer_incomplete",
         forge=lambda e: e.form(id_num=...)),
    Form(name="another person's confirmation", rule="5", code="id_number_mismatch",
         ends="failed", forge=lambda e: e.form(id_num=_NOBODY)),
    Form(name="signature over other bytes, sealed", rule="3", code="upstream_tampered",
         ends="failed", presence=False,
         forge=lambda e: e.form(signed_response=e.signature(b"other bytes"))),
    Form(name="a refusal without a checksum", rule="2", code="holder_refused", ends="rejected",
         forge=lambda e: e.form(error_code="APP_USER_CANCEL", idp_checksum=...)),
)  # fmt: skip


def written() -> str:
    """As it stands in THREAT_MODEL.md."""
    lines = [_HEAD]
    for row in FORMS:
        follows = f"{row.ends}, `{row.code}`" if row.ends else f"unchanged (`{row.code}`)"
        lines.append(f"| {row.name} | {row.what} | {row.rule} | {follows} |")
    return "\n".join(lines)


async def begin(visit: Visit, signs: bool) -> tuple[TransactionView, Errand]:
    """By redirect, with what the browser would carry away."""
    client = visit.client
    if signs:
        begun = await client.begin_authentication(
            user_id="clerk", channel="redirect", supersede=True
        )
    else:
        begun = await client.begin_authentication(
            id_number=visit.desk.id_number, channel="redirect", supersede=True
        )
    form = begun.challenges[0].form
    assert form is not None
    assert visit.desk.id_number not in str(form)
    return begun, Errand(visit.desk, dict(form["fields"]))


async def bring(house: House, tenant: TenantId, form: bytes) -> bytes:
    """The page that the browser is shown."""
    async with house.session.post(
        f"{house.url}/callbacks/moi/{tenant}", data=form, headers=_FORM
    ) as reply:
        assert reply.status == 200
        return await reply.read()


CASES: Final = [
    pytest.param(row, signs, id=f"{row.name} [{'s' if signs else 'a'}]")
    for row in FORMS
    for signs in (True, False)
    if (row.signs if signs else row.presence)
]


@pytest.mark.parametrize(("row", "signs"), CASES)
async def test_no_forged_form_completes_or_ends_anything(
    house: House, row: Form, signs: bool
) -> None:
    """And what is authentic ends it as the table says."""
    visit = await house.guest(Place.SIGNATURE_RESULT)
    begun, errand = await begin(visit, signs)
    page = await bring(house, visit.tenant, row.forge(errand))
    after = await visit.client.transaction(begun.id)
    records = await house.audit(visit, begun.id)
    visit.refuse_personal([r for r in records if r.action != "transaction.created"])
    if row.ends is None:
        assert (after.status, after.version) == ("pending", begun.version)
        assert [r.data["code"] for r in records if r.action == "callback.forged"] == [row.code]
        assert await bring(house, visit.tenant, errand.form()) == page
        after = await visit.client.transaction(begun.id)
        assert (after.status, after.assurance) == (
            "completed",
            "certificate" if signs else "platform",
        )
    else:
        assert (after.status, after.error and after.error.code) == (row.ends, row.code)
        assert after.assurance is None
        again = after
        assert await bring(house, visit.tenant, errand.form()) == page
        assert await visit.client.transaction(begun.id) == again
    house.kept[Place.SIGNATURE_RESULT.registration] = visit


async def test_a_form_counts_once_and_for_its_own_tenant_only(house: House) -> None:
    """Replayed, it changes nothing; brought to another tenant, it is unknown; for a later
    transaction of the same person, it is another's."""
    visit = await house.guest(Place.SIGNATURE_RESULT)
    stranger = await house.visit()
    begun, errand = await begin(visit, signs=True)
    honest = errand.form()
    await bring(house, stranger.tenant, honest)
    assert (await visit.client.transaction(begun.id)).status == "pending"
    await bring(house, visit.tenant, honest)
    done = await visit.client.transaction(begun.id)
    assert done.status == "completed"
    later, _ = await begin(visit, signs=True)
    for _ in range(3):
        await bring(house, visit.tenant, honest)
    assert await visit.client.transaction(begun.id) == done
    assert (await visit.client.transaction(later.id)).status == "pending"
    assert await house.audit(stranger, begun.id) == []


async def test_register_and_sign_by_redirect(house: House) -> None:
    """The positive control of the whole way: a certificate, an artifact, and nothing polled."""
    visit = await house.visit()
    registration = await visit.client.begin_registration(
        user_id="clerk", id_number=visit.desk.id_number, channel="redirect"
    )
    form = registration.challenges[0].form
    assert form is not None
    await bring(house, visit.tenant, Errand(visit.desk, dict(form["fields"])).form())
    assert (await visit.client.transaction(registration.id)).status == "completed"
    assert await house.bound(visit)
    begun, errand = await begin(visit, signs=True)
    await bring(house, visit.tenant, errand.form())
    done = await visit.client.transaction(begun.id)
    assert (done.status, done.assurance) == ("completed", "certificate")
    assert await house.artifact_status(visit, begun.id) == 200
    assert visit.desk.asked == []


async def test_the_threat_model_holds_exactly_this_table() -> None:
    """Document and tests cannot drift apart."""
    document = Path(__file__).parents[2].joinpath("THREAT_MODEL.md").read_text("utf-8")
    assert written() in document
