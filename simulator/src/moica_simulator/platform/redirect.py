"""WEB-01 as the platform sees it: the form that a browser brings, the ID number, the callback.

A form is checked like any request, before anybody has typed an ID number; what is wrong with it
is shown to the browser and nobody is called back. The typed ID number makes the ticket. When the
callback is posted, and how often, is not decided here but in `callback`.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import attrs

from moica_simulator import assumptions
from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError, SimulatorError
from moica_simulator.platform import wire
from moica_simulator.platform.idp import Finding, IdentityProvider
from moica_simulator.platform.reply import SUCCESS, Reply
from moica_simulator.platform.wire import Interface
from moica_simulator.randomness import Randomness
from moica_simulator.records import (
    Confirmed,
    Failed,
    Redirect,
    Refused,
    ServiceProvider,
    Ticket,
    Undecided,
)
from moica_simulator.state import PlatformRecords, UsedTransaction

__all__ = ["RedirectDesk", "checked_url"]

_SIGN_FIELDS = ("sign_type", "sign_data", "tbs_encoding", "hash_algorithm")


class RedirectDesk:
    """Keeps the redirects.

    Args:
        records: The platform's tables.
        idp: Checks forms and makes tickets.
        clock: For lapsing.
        randomness: Names the browser's pages.
    """

    def __init__(
        self,
        records: PlatformRecords,
        *,
        idp: IdentityProvider,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._records = records
        self._idp = idp
        self._clock = clock
        self._randomness = randomness

    def open(self, form: Mapping[str, str], finding: Finding) -> Redirect:
        """Takes the form of a browser that was sent here.

        Raises:
            PlatformError: With the code of the first rule that it breaks.
        """
        provider = self._idp.service_provider(form)
        self._idp.verify_checksum(Interface.REDIRECT, form, provider, finding)
        read = self._idp.reading.fields(Interface.REDIRECT, form)
        form = {name: str(value) for name, value in read.items() if value is not None}
        request = wire.parse_ticket_request(Interface.REDIRECT, _nested(form))
        if provider.callback_url is None:
            raise PlatformError(
                assumptions.REDIRECT_WITHOUT_CALLBACK_CODE,
                "this sp_service_id has no callback_url; set it by "
                "PUT /sim/v1/service-providers/{id}/callback-url",
            )
        used = UsedTransaction(provider.sp_service_id, request.transaction_id)
        if self._records.transactions.get(used.key) is not None:
            raise PlatformError("TXNLOG_INS_ERR", "this transaction_id was used before")
        return self._records.redirects.put(
            Redirect(
                redirect_id=self._randomness.uuid(),
                sp_service_id=provider.sp_service_id,
                transaction_id=request.transaction_id,
                form=dict(form),
            )
        )

    def type_id_number(self, redirect_id: str, id_number: str) -> Redirect:
        """Takes the typed ID number: makes the ticket, or ends the redirect with a code.

        Raises:
            SimulatorError: `redirect_unknown`.
            PlatformError: If the holder may type it again; nothing has happened then.
        """
        found = self.find(redirect_id)
        if found.id_number:
            return found
        finding = Finding()
        try:
            self._idp.new_ticket(
                Interface.REDIRECT,
                self._provider(found),
                {**_nested(found.form), "id_num": id_number},
                finding,
            )
        except PlatformError as error:
            if assumptions.redirect_asks_again(error.code):
                raise
            return self.put(attrs.evolve(found, id_number=id_number, failed_code=error.code))
        return self.put(
            attrs.evolve(found, id_number=id_number, sp_ticket_id=finding.sp_ticket_id or "")
        )

    def find(self, redirect_id: str) -> Redirect:
        """Returns a redirect.

        Raises:
            SimulatorError: `redirect_unknown`.
        """
        found = self._records.redirects.get(redirect_id)
        if found is None:
            raise SimulatorError(
                "redirect_unknown",
                "no browser was sent here under this address; begin again at the relying system",
                status=404,
            )
        return found

    def of_ticket(self, sp_ticket_id: str) -> Redirect | None:
        """Returns the redirect that made a ticket, or None."""
        return next(iter(self._records.redirects.of(sp_ticket_id)), None)

    def put(self, redirect: Redirect) -> Redirect:
        """Stores a redirect."""
        return self._records.redirects.put(redirect)

    def open_callbacks(self) -> list[Redirect]:
        """Returns what was typed and not called back for good yet."""
        most = len(assumptions.CALLBACK_RETRIES)
        return [
            each
            for each in self._records.redirects.all()
            if each.id_number and not each.delivered and each.attempts <= most
        ]

    def ticket(self, redirect: Redirect) -> Ticket | None:
        """Returns a redirect's ticket, None if there is none."""
        return self._records.tickets.get(redirect.sp_ticket_id)

    def due_at(self, redirect: Redirect) -> datetime:
        """Returns when the first callback is due: at once after an end, else at the lapse."""
        found = self.ticket(redirect)
        if found is None or not isinstance(found.outcome, Undecided):
            return self._clock.now()
        return found.expires_at

    def callback_url(self, redirect: Redirect) -> str | None:
        """Returns where the callback goes now."""
        return self._provider(redirect).callback_url

    def hint(self, redirect: Redirect) -> tuple[str, str]:
        """Returns who asks, and the hint."""
        return self._provider(redirect).name, redirect.form.get("hint", "")

    def reply(self, redirect: Redirect) -> Reply:
        """Returns what the callback says, once the redirect has ended or lapsed."""
        provider, found = self._provider(redirect), self.ticket(redirect)
        result: dict[str, str | list[str]] = {"id_num": redirect.id_number}
        code = redirect.failed_code
        if found is not None:
            match found.outcome:
                case Confirmed() as confirmed:
                    code = SUCCESS
                    if confirmed.signed_responses:
                        (result["signed_response"],) = confirmed.signed_responses
                    if confirmed.certificate is not None:
                        result["cert"] = base64.b64encode(confirmed.certificate).decode()
                case Refused():
                    code = "APP_USER_CANCEL"
                case Failed() as failed:
                    code = failed.code
                case Undecided():
                    code = "SPTKT_OVD"
        return Reply(
            Interface.REDIRECT,
            code
            if code == SUCCESS
            else assumptions.wire_error_code(Interface.REDIRECT.value, code),
            "",
            transaction_id=redirect.transaction_id,
            result=result,
            key=provider.aes_key,
        )

    def _provider(self, redirect: Redirect) -> ServiceProvider:
        found = self._records.service_providers.get(redirect.sp_service_id)
        if found is None:
            raise ValueError("a redirect has its relying system: the state folder is damaged")
        return found


def checked_url(url: str | None) -> str | None:
    """Returns a callback URL that can be posted to, or None.

    Raises:
        SimulatorError: `service_provider_invalid`.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not (usable and url.isascii() and url.isprintable() and " " not in url):
        raise SimulatorError(
            "service_provider_invalid",
            "callback_url: expected http://host/... or https://host/...",
        )
    return url


def _nested(form: Mapping[str, str]) -> dict[str, Any]:
    """Shapes the flat form like the JSON of the other interfaces; an empty field is absent."""
    given = {name: value for name, value in form.items() if value and name != "id_num"}
    info = {name: given.pop(name) for name in _SIGN_FIELDS if name in given}
    return {**given, "sign_info": info} if info else given
