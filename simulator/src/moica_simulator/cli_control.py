"""The control API from a shell: `person`, `phone`, `fault` and so on; each prints its JSON."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import click

from moica_simulator.assumptions import CARD_PIN

__all__ = ["COMMANDS"]

_url = click.option(
    "--url",
    envvar="SIMULATOR_URL",
    default="http://127.0.0.1:8701",
    show_default=True,
    help="Where the simulator serves (SIMULATOR_URL).",
)


@click.group(help="People in the register.")
def person() -> None:
    """Holds the commands about people."""


@person.command("add", help="Enter a person.")
@click.argument("id_number")
@click.argument("name")
@click.option("--pin", help="Of the citizen card; 123456 without.")
@_url
def person_add(url: str, id_number: str, name: str, pin: str | None) -> None:
    """Enters a person."""
    body = {"id_number": id_number, "name": name, "pin": pin}
    _print(url, "POST", "/people", {key: value for key, value in body.items() if value})


@person.command("list", help="List people.")
@_url
def person_list(url: str) -> None:
    """Lists people."""
    _print(url, "GET", "/people")


@person.command("code", help="Issue an activation code (註冊啟用碼).")
@click.argument("id_number")
@_url
def person_code(url: str, id_number: str) -> None:
    """Issues an activation code."""
    _print(url, "POST", f"/people/{id_number}/activation-codes")


@person.command("unlock-card", help="Unlock a person's citizen card (鎖卡解碼).")
@click.argument("id_number")
@_url
def person_unlock_card(url: str, id_number: str) -> None:
    """Unlocks a card."""
    _print(url, "POST", f"/people/{id_number}/unlock-card")


@person.command("deregister", help="Take a person out of the platform's users (註銷).")
@click.argument("id_number")
@_url
def person_deregister(url: str, id_number: str) -> None:
    """Takes a person out."""
    _print(url, "POST", f"/people/{id_number}/deregister")


@click.command("test-persons", help="Make the ready-made persons, and list what each does.")
@_url
def test_persons(url: str) -> None:
    """Makes the ready-made persons."""
    _print(url, "POST", "/test-persons")


@click.group(help="Phones.")
def phone() -> None:
    """Holds the commands about phones."""


@phone.command("list", help="List phones.")
@_url
def phone_list(url: str) -> None:
    """Lists phones."""
    _print(url, "GET", "/devices")


@phone.command("add", help="Add a phone; with --id-number it is bound at once.")
@click.argument("name", default="我的手機")
@click.option("--platform", type=click.Choice(["Android", "iOS"]), default="Android")
@click.option("--id-number")
@_url
def phone_add(url: str, name: str, platform: str, id_number: str | None) -> None:
    """Adds a phone."""
    path = f"/people/{id_number}/devices" if id_number else "/devices"
    _print(url, "POST", path, {"name": name, "platform": platform})


@phone.command("bind", help="Bind a phone by an activation code, or by a citizen card (--nfc).")
@click.argument("device_id")
@click.argument("activation_code", required=False)
@click.option("--nfc", "card_number", metavar="CARD_NUMBER", help="The number of the card.")
@click.option("--pin", default=CARD_PIN, show_default=True, help="Of the card.")
@_url
def phone_bind(
    url: str, device_id: str, activation_code: str | None, card_number: str | None, pin: str
) -> None:
    """Binds a phone."""
    if (activation_code is None) == (card_number is None):
        raise click.UsageError("give an activation code, or --nfc with the number of a card")
    body = (
        {"activation_code": activation_code}
        if activation_code
        else {"by": "nfc", "card_number": card_number, "pin": pin}
    )
    _print(url, "POST", f"/devices/{device_id}/bind", body)


@phone.command("unlock", help="Unlock a phone, so that its sensor takes fingers again.")
@click.argument("device_id")
@_url
def phone_unlock(url: str, device_id: str) -> None:
    """Unlocks a phone."""
    _print(url, "POST", f"/devices/{device_id}/unlock")


@phone.command("unbind", help="Unbind a phone.")
@click.argument("device_id")
@_url
def phone_unbind(url: str, device_id: str) -> None:
    """Unbinds a phone."""
    _print(url, "POST", f"/devices/{device_id}/unbind")


@phone.command("inbox", help="List the requests that have arrived in a phone.")
@click.argument("device_id")
@_url
def phone_inbox(url: str, device_id: str) -> None:
    """Lists a phone's requests."""
    _print(url, "GET", f"/devices/{device_id}/inbox")


@phone.command("scan", help="Scan the content of a QR code (掃碼驗證).")
@click.argument("device_id")
@click.argument("payload")
@_url
def phone_scan(url: str, device_id: str, payload: str) -> None:
    """Scans a QR code."""
    _print(url, "POST", f"/devices/{device_id}/scan", {"payload": payload})


@phone.command("confirm", help="Press 「確認」.")
@click.argument("device_id")
@click.argument("sp_ticket_id")
@_url
def phone_confirm(url: str, device_id: str, sp_ticket_id: str) -> None:
    """Confirms a request."""
    _print(url, "POST", f"/devices/{device_id}/requests/{sp_ticket_id}/confirm")


@phone.command("refuse", help="Press 「取消」.")
@click.argument("device_id")
@click.argument("sp_ticket_id")
@_url
def phone_refuse(url: str, device_id: str, sp_ticket_id: str) -> None:
    """Refuses a request."""
    _print(url, "POST", f"/devices/{device_id}/requests/{sp_ticket_id}/refuse")


@phone.command("behaviour", help="Set what the holder does with requests by itself.")
@click.argument("device_id")
@click.argument(
    "on_request",
    type=click.Choice(["manual", "confirm", "refuse", "ignore", "late", "twice"]),
)
@click.option("--delay-s", type=float, default=0.0, show_default=True)
@_url
def phone_behaviour(url: str, device_id: str, on_request: str, delay_s: float) -> None:
    """Sets a phone's behaviour."""
    body = {"on_request": on_request, "delay_s": delay_s}
    _print(url, "PUT", f"/devices/{device_id}/behaviour", body)


@phone.command("state", help="Set what a phone can do now.")
@click.argument("device_id")
@click.option("--push", type=click.Choice(["works", "unregistered"]))
@click.option("--network", type=click.Choice(["on", "airplane"]))
@click.option("--fingerprint-failures", type=int)
@_url
def phone_state(url: str, device_id: str, **state: Any) -> None:
    """Sets a phone's state."""
    given = {name: value for name, value in state.items() if value is not None}
    _print(url, "PUT", f"/devices/{device_id}/state", given)


@phone.command("renew", help="Renew a phone's certificate, with a new key.")
@click.argument("device_id")
@_url
def phone_renew(url: str, device_id: str) -> None:
    """Renews a certificate."""
    _print(url, "POST", f"/devices/{device_id}/renew", {})


@click.group(help="Faults of the platform's answers.")
def fault() -> None:
    """Holds the commands about faults."""


@fault.command("add", help="Set a fault, e.g. fault add SP-API-ATH-02 --code DB_CONN_ERR.")
@click.argument("interface")
@click.option("--code")
@click.option("--http-status", type=int)
@click.option("--latency-s", type=float)
@click.option("--drop", type=click.Choice(["answer", "request"]))
@click.option("--tamper")
@click.option("--alter")
@click.option("--line")
@click.option("--clock-skew-s", type=float)
@click.option("--ticket-skew-s", type=float)
@click.option("--sp-service-id")
@click.option("--device-id")
@click.option("--rate", type=float)
@click.option("--no-reseal", "reseal", is_flag=True, default=True, flag_value=False)
@click.option("--id-number")
@click.option("--times", type=int, default=1, show_default=True, help="0 for always.")
@_url
def fault_add(url: str, interface: str, times: int, **harm: Any) -> None:
    """Sets a fault."""
    given = {name: value for name, value in harm.items() if value is not None}
    _print(url, "POST", "/faults", {"interface": interface, "times": times or None, **given})


@fault.command("list", help="List faults and how often each was applied.")
@_url
def fault_list(url: str) -> None:
    """Lists faults."""
    _print(url, "GET", "/faults")


@fault.command("clear", help="Remove all faults.")
@_url
def fault_clear(url: str) -> None:
    """Removes all faults."""
    _print(url, "DELETE", "/faults")


@click.group(help="How the platform as a whole behaves.")
def profile() -> None:
    """Holds the commands about profiles."""


@profile.command("show", help="Show which profile is on.")
@_url
def profile_show(url: str) -> None:
    """Shows the profile."""
    _print(url, "GET", "/profile")


@profile.command("set", help="Set standard, strict, lenient or chaos.")
@click.argument("name", type=click.Choice(["standard", "strict", "lenient", "chaos"]))
@click.option("--seed", type=int, help="Of chaos; without it one is drawn.")
@_url
def profile_set(url: str, name: str, seed: int | None) -> None:
    """Sets the profile."""
    _print(url, "PUT", "/profile", {"name": name, "seed": seed})


@click.group(help="What relying systems asked, and were answered.")
def requests() -> None:
    """Holds the commands about the history."""


@requests.command("list", help="List requests with their answers, oldest first.")
@click.option("--interface", help="E.g. SP-API-ATH-02.")
@click.option("--sp-service-id", help="Of this system.")
@click.option("--id-number", help="About this person.")
@click.option("--sp-ticket-id", help="About this ticket.")
@click.option("--since", help="From this moment, e.g. 2026-04-24T12:00:00+08:00.")
@click.option("--checksum", type=click.Choice(["right", "wrong", "unchecked"]))
@click.option("--order", type=click.Choice(["oldest", "newest"]))
@click.option("--limit", type=click.IntRange(1, 1000))
@_url
def requests_list(url: str, **filters: Any) -> None:
    """Lists requests."""
    _print(url, "GET", "/requests", query={k: str(v) for k, v in filters.items() if v is not None})


@click.group(help="The clock of platform, CA and phones.")
def clock() -> None:
    """Holds the commands about the clock."""


@clock.command("show", help="Show the simulated time.")
@_url
def clock_show(url: str) -> None:
    """Shows the clock."""
    _print(url, "GET", "/clock")


@clock.command("advance", help="Move time forward.")
@click.argument("seconds", type=float)
@_url
def clock_advance(url: str, seconds: float) -> None:
    """Advances the clock."""
    _print(url, "POST", "/clock", {"advance_s": seconds})


@clock.command("set", help="Go to a moment, also an earlier one: 2026-04-24T12:00:00+08:00.")
@click.argument("moment")
@_url
def clock_set(url: str, moment: str) -> None:
    """Sets the clock."""
    _print(url, "POST", "/clock", {"set_to": moment})


@clock.command("freeze", help="Stop time, until it is moved by advance or set, or runs again.")
@_url
def clock_freeze(url: str) -> None:
    """Freezes the clock."""
    _print(url, "POST", "/clock", {"freeze": True})


@clock.command("run", help="Let a frozen clock run on from where it stands.")
@_url
def clock_run(url: str) -> None:
    """Lets the clock run."""
    _print(url, "POST", "/clock", {"freeze": False})


@clock.command("reset", help="Go back to the machine's time, running.")
@_url
def clock_reset(url: str) -> None:
    """Resets the clock."""
    _print(url, "POST", "/clock", {"reset": True})


def _print(
    url: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    query: Mapping[str, str] | None = None,
) -> None:
    answer = asyncio.run(_call(url, method, path, body, query or {}))
    if answer is not None:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))


async def _call(
    url: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None,
    query: Mapping[str, str],
) -> Any:
    import aiohttp
    from yarl import URL

    target = URL(f"{url.rstrip('/')}/sim/v1") / path.lstrip("/")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.request(method, target % query, json=body) as response,
        ):
            if response.status == 204:
                return None
            answer = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise click.ClickException(
            f"no simulator answers at {url} ({type(error).__name__}). Start one by "
            "`moica-simulator serve`, or name another by --url or SIMULATOR_URL."
        ) from error
    if response.status >= 400:
        raise click.ClickException(f"{answer['error']}: {answer['detail']}")
    return answer


COMMANDS: tuple[click.Command, ...] = (person, test_persons, phone, fault, profile, requests, clock)
