"""The CA at work: issues, revokes, and keeps its lists fresh, off the event loop.

A list is signed when it is asked for, if none is at hand, the last one is half through its life,
or a certificate was revoked since.
"""

import asyncio
from concurrent.futures import Executor
from datetime import datetime

import attrs
from cryptography import x509
from cryptography.x509 import ocsp

from moica_simulator.assumptions import CARD_CARRIER, CRL_PARTITIONS
from moica_simulator.ca import revocation
from moica_simulator.ca.authority import Authority, PkiUrls
from moica_simulator.clock import Clock
from moica_simulator.errors import SimulatorError
from moica_simulator.randomness import Randomness
from moica_simulator.records import IssuedCertificate, Person
from moica_simulator.state import AuthorityRecords

__all__ = ["CertificateOffice"]

_COMPLETE = "complete"
_ROOT = "root"


class CertificateOffice:
    """Issues and revokes certificates, and serves what relying parties ask for.

    Args:
        authority: The hierarchy.
        records: The CA's books.
        clock: For validity and lists.
        randomness: For serial numbers.
        urls: What is written into certificates issued from now on.
        executor: Where RSA signatures are made.
    """

    def __init__(
        self,
        authority: Authority,
        records: AuthorityRecords,
        *,
        clock: Clock,
        randomness: Randomness,
        urls: PkiUrls,
        executor: Executor,
    ) -> None:
        self.authority = authority
        self.urls = urls
        self._records = records
        self._clock = clock
        self._randomness = randomness
        self._executor = executor
        self._lists: dict[int | str, revocation.ListOfRevoked] = {}
        self._signing = asyncio.Lock()

    async def issue(
        self, person: Person, device_id: str, request_der: bytes, *, carrier: str = "mobile"
    ) -> IssuedCertificate:
        """Issues a certificate and enters it in the books.

        Raises:
            ValueError: If the request is malformed, not signed by its key, or the key is wrong.
        """
        request = x509.load_der_x509_csr(request_der)
        issued = await asyncio.get_running_loop().run_in_executor(
            self._executor,
            lambda: self.authority.issue(
                person,
                device_id,
                request,
                now=self._clock.now(),
                randomness=self._randomness,
                urls=self.urls,
                carrier=carrier,
            ),
        )
        return self._records.certificates.put(issued)

    def revoke(self, serial: str, reason: str) -> IssuedCertificate:
        """Revokes a certificate from now on; one that is revoked already stays as it is.

        Raises:
            SimulatorError: If there is no such certificate, or the reason is unknown.
        """
        try:
            revocation.reason_flag(reason)
        except ValueError as error:
            known = ", ".join(flag.value for flag in x509.ReasonFlags)
            raise SimulatorError(
                "reason_unknown", f"reason: expected one of {known}; {reason!r} came"
            ) from error
        found = self.find(serial)
        if found.revoked_at is not None:
            return found
        revoked = attrs.evolve(found, revoked_at=self._clock.now(), reason=reason)
        self._records.certificates.put(revoked)
        self._lists.pop(revoked.partition, None)
        self._lists.pop(_COMPLETE, None)
        return revoked

    def can_sign(self, certificate: bytes, now: datetime) -> bool:
        """Says whether a certificate of ours is within its time and not revoked."""
        parsed = x509.load_der_x509_certificate(certificate)
        found = self._records.certificates.get(f"{parsed.serial_number:x}")
        within = parsed.not_valid_before_utc <= now <= parsed.not_valid_after_utc
        return found is not None and found.revoked_at is None and within

    def is_card_of(self, certificate: bytes, id_number: str) -> bool:
        """Says whether a certificate is that of a person's citizen card."""
        parsed = x509.load_der_x509_certificate(certificate)
        found = self._records.certificates.get(f"{parsed.serial_number:x}")
        return (
            found is not None
            and found.der == certificate
            and (found.device_id, found.id_number) == (CARD_CARRIER, id_number)
        )

    def find(self, serial: str) -> IssuedCertificate:
        """Returns the certificate of that serial number.

        Args:
            serial: Hexadecimal, in either case, with or without colons and leading zeros.

        Raises:
            SimulatorError: If there is none.
        """
        wanted = serial.replace(":", "").lower().lstrip("0")
        found = self._records.certificates.get(wanted)
        if found is None:
            raise SimulatorError(
                "certificate_unknown",
                f"no certificate has the serial number {serial!r} (hexadecimal); "
                "GET /sim/v1/certificates lists them",
                status=404,
            )
        return found

    async def partition_list(self, number: int) -> bytes | None:
        """Returns the revocation list of one partition, DER, or None if there is none such."""
        return await self._list(number) if 0 <= number < CRL_PARTITIONS else None

    async def complete_list(self) -> bytes:
        """Returns the revocation list of all holders, DER."""
        return await self._list(_COMPLETE)

    async def root_list(self) -> bytes:
        """Returns the root's revocation list, DER."""
        return await self._list(_ROOT)

    async def answer_ocsp(self, request_der: bytes) -> bytes:
        """Answers an OCSP request, DER to DER.

        Raises:
            ValueError: If it is no OCSP request.
        """
        serial = ocsp.load_der_ocsp_request(request_der).serial_number
        issued = self._records.certificates.get(f"{serial:x}")
        return await asyncio.get_running_loop().run_in_executor(
            self._executor,
            lambda: revocation.answer_ocsp(
                self.authority, request_der, issued, now=self._clock.now()
            ),
        )

    async def _list(self, which: int | str) -> bytes:
        async with self._signing:
            kept = self._lists.get(which)
            now = self._clock.now()
            if kept is not None and self._still_fresh(kept):
                return kept.der
            revoked = [] if which == _ROOT else self._revoked_in(which)
            number = self._records.next_list_number()
            made = await asyncio.get_running_loop().run_in_executor(
                self._executor,
                lambda: revocation.make_list(
                    self.authority,
                    revoked,
                    number=number,
                    now=now,
                    urls=self.urls,
                    partition=which if isinstance(which, int) else None,
                    of_root=which == _ROOT,
                ),
            )
            if which == _ROOT or revoked == self._revoked_in(which):
                self._lists[which] = made
            return made.der

    def _still_fresh(self, kept: revocation.ListOfRevoked) -> bool:
        # A clock that was set back must not leave a list from the future in use.
        return kept.made_at <= self._clock.now() < kept.renew_at

    def _revoked_in(self, which: int | str) -> list[IssuedCertificate]:
        return [
            each
            for each in self._records.certificates.all()
            if each.revoked_at is not None and which in (_COMPLETE, each.partition)
        ]
