"""Every other ending, as a clerk sees it: what the window says, and what stands behind it."""

from __future__ import annotations

from typing import Any

import pytest

from .desk import FAILED, SIGNING, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_refusal_is_shown_at_once_as_a_refusal(clerk: Any) -> None:
    """Not as a timeout; 「確定」 leads back, and 「送出」 again starts over."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    await phone.open_notification()
    await phone.refuse()
    window = await one.ended("已拒絕簽章")
    await expect(window).to_contain_text("公文未簽章，也未送出")
    await one.shoot("refused")
    await one.back_to_the_document()
    await one.not_sent()
    assert (await one.stage.transaction_of(one.number)).status == "rejected"


async def test_cancelled_and_confirmed_late_sends_nothing(clerk: Any) -> None:
    """The phone confirms what was cancelled at the desk: it stays cancelled, and nothing leaves."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    await phone.open_notification()
    await one.button("取消簽章").click()
    window = await one.ended("已取消簽章")
    await expect(window).to_contain_text("即使稍後才於手機上確認，也不會送出公文")
    await one.shoot("cancelled")
    await phone.confirm()
    await one.stage.late_answer(one.number)
    await one.page.reload()
    await one.ended("已取消簽章")
    await one.back_to_the_document()
    await one.not_sent()
    assert (await one.stage.transaction_of(one.number)).status == "cancelled"


async def test_push_and_code_both_confirmed_is_one_outcome(clerk: Any) -> None:
    """The first approval decides; the second is taken by the phone and changes nothing."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    content = await one.ask_for_code()
    await phone.scan(content)
    await expect(phone.hint).to_contain_text(one.number)
    await phone.confirm()
    await one.page.bring_to_front()
    await expect(one.heading("公文送出")).to_be_visible()
    version = (await one.stage.transaction_of(one.number)).version
    await phone.open_notification()
    await phone.confirm()
    await one.stage.late_answer(one.number)
    transaction = await one.stage.transaction_of(one.number)
    assert (transaction.status, transaction.version) == ("completed", version)
    await one.pass_on()
    await one.sent()


async def test_another_persons_phone_cannot_take_the_code(clerk: Any) -> None:
    """It is refused on that phone, and the window says whose phone it has to be."""
    one = await clerk()
    other = await clerk(registered=False)
    phone = await other.phone()
    await one.send_for_signing()
    content = await one.ask_for_code()
    other.forgiven.append("409")
    await phone.scan(content)
    await expect(phone.problem).to_contain_text("這張 QR Code 不是給您的")
    await one.shoot("phone-foreign-code", phone.page)
    window = await one.ended(FAILED)
    await one.shoot("foreign-phone")
    await expect(window).to_contain_text("這支手機不屬於這次簽章的當事人")
    transaction = await one.stage.transaction_of(one.number)
    assert transaction.error is not None
    assert (transaction.status, transaction.error.code) == ("failed", "wrong_device")
    await one.back_to_the_document()
    await one.not_sent()


async def test_the_platform_is_away_when_the_phone_is_to_ring(clerk: Any) -> None:
    """The window says that the platform is away and to try again later; trying again works."""
    one = await clerk()
    phone = await one.phone()
    for interface in ("SP-API-ATH-03", "SP-API-ATH-01"):
        await one.stage.simulator.add_fault(
            interface, http_status=503, id_number=one.person.id_number, times=None
        )
    await one.open_document()
    await one.to_the_route()
    await one.button("儲存並送出").click()
    window = await one.ended(FAILED)
    await expect(window).to_contain_text("暫時無法服務，請稍後再試")
    await one.shoot("platform-away")
    await one.back_to_the_document()
    await one.not_sent()
    one.stage.simulator.faults.clear()
    await one.button("送出").click()
    await one.button("儲存並送出").click()
    await expect(one.part("title")).to_have_text(SIGNING)
    await phone.open_notification()
    await phone.confirm()
    await one.pass_on()
    await one.sent()


async def test_the_platform_is_away_while_the_phone_confirms(clerk: Any) -> None:
    """Nothing is lost: when it is back within the time, the confirmation counts."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    await one.stage.simulator.add_fault("SP-API-ATH-02", http_status=503, times=None)
    await phone.open_notification()
    await phone.confirm()
    await one.stage.asked_in_vain(3)
    await one.page.bring_to_front()
    await expect(one.part("title")).to_have_text(SIGNING)
    one.stage.simulator.faults.clear()
    await one.pass_on()
    await one.sent()


async def test_the_platform_stays_away(clerk: Any) -> None:
    """Past the time limit and the grace after it, it ends as unreachable, and says so."""
    one = await clerk()
    await one.send_for_signing()
    await one.stage.simulator.add_fault("SP-API-ATH-02", http_status=503, times=None)
    one.stage.advance(80)
    window = await one.ended(FAILED)
    await expect(window).to_contain_text("行動自然人憑證平臺")
    await one.shoot("platform-stays-away")
    transaction = await one.stage.transaction_of(one.number)
    assert transaction.error is not None
    assert (transaction.status, transaction.error.code) == ("failed", "upstream_unreachable")
    await one.back_to_the_document()
    await one.not_sent()


async def test_registering_with_a_phone_that_is_not_bound(clerk: Any) -> None:
    """`IDNUM_USERPROF_NF`: the dialogue says what to do, and 「申請」 works once it is bound."""
    one = await clerk(registered=False, bound=False)
    await one.open_dialog()
    await one.apply()
    alert = one.page.get_by_role("alert")
    await expect(alert).to_contain_text("請先至內政部網站完成裝置綁定")
    await one.shoot("not-bound")
    state = one.page.locator("#transaction-state")
    await expect(state).to_have_attribute("data-error", "device_not_bound")
    phone = await one.phone()
    code = await one.stage.simulator.new_activation_code(one.person.id_number)
    await phone.bind(code.code, one.person.user.name)
    await one.page.bring_to_front()
    await one.apply()
    await expect(one.part("title")).to_have_text("行動自然人憑證登記中")
    await phone.open_notification()
    await phone.confirm()
    await expect(one.page.get_by_text("註冊完成")).to_be_visible()


async def test_signing_with_a_phone_that_was_unbound_since(clerk: Any) -> None:
    """The window says that no phone is bound and where to bind one."""
    one = await clerk()
    await one.stage.simulator.unbind(one.person.device)
    await one.open_document()
    await one.to_the_route()
    await one.button("儲存並送出").click()
    window = await one.ended(FAILED)
    await expect(window).to_contain_text("請先至內政部網站完成裝置綁定")
    await one.shoot("signing-not-bound")
    await one.back_to_the_document()
    await one.not_sent()


async def test_the_certificate_bears_another_name(clerk: Any) -> None:
    """Nothing is registered, and the dialogue says that the names differ."""
    one = await clerk(registered=False, name="王小明", certificate_name="王大明")
    phone = await one.phone()
    await one.page.bring_to_front()
    await one.open_dialog()
    await one.apply()
    await phone.open_notification()
    await phone.approve()
    await one.page.bring_to_front()
    await expect(one.page.get_by_role("alert")).to_contain_text("姓名與憑證上的姓名不符")
    await one.shoot("name-mismatch")
    assert await one.stage.client.credentials(one.person.user.user_id) == []


async def test_somebody_elses_id_number_that_is_registered(clerk: Any) -> None:
    """Refused before any phone rings; the dialogue says whom to ask."""
    victim = await clerk()
    one = await clerk(registered=False)
    await one.open_dialog()
    await one.apply(victim.person.id_number)
    await expect(one.page.get_by_role("alert")).to_contain_text("請洽系統管理者")
    await one.shoot("somebody-elses-id")
    assert one.stage.rings(victim.person) == 1
    assert await one.stage.client.credentials(one.person.user.user_id) == []


async def test_an_id_number_that_cannot_be_one(clerk: Any) -> None:
    """A slip of the finger is said at once, and nobody's phone rings."""
    one = await clerk(registered=False)
    before = one.stage.begun
    await one.open_dialog()
    await one.apply(one.person.id_number[:-1] + str((int(one.person.id_number[-1]) + 1) % 10))
    await expect(one.page.get_by_role("alert")).to_contain_text("格式不正確")
    await one.shoot("wrong-id")
    assert one.stage.begun == before


async def test_after_two_refusals_the_phone_is_left_alone(clerk: Any) -> None:
    """The third 「送出」 rings no phone, and the page says kindly why and what to do instead."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    for again in (True, False):
        await phone.open_notification()
        await phone.refuse()
        await phone.button("完成").click()
        await one.ended("已拒絕簽章")
        await one.back_to_the_document()
        await one.button("送出").click()
        await one.button("儲存並送出").click()
        if again:
            await expect(one.part("title")).to_have_text(SIGNING)
    await expect(one.page.get_by_text("請改用「QR Code 模式登入」，或稍後再試")).to_be_visible()
    await one.shoot("push-paused")
    assert one.stage.rings(one.person) == 3
    await one.not_sent()
    await one.button("QR Code 模式登入").click()
    await phone.scan(await one.read_code())
    await phone.confirm()
    await one.page.bring_to_front()
    await one.pass_on()
    assert one.stage.rings(one.person) == 3
