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
from moica_simulator.ca import revocation, timestamp
from moica_simulator.ca.authority import Authority, PkiUrls
from moica_simulator.ca.profile import CertificateShape
from moica_simulator.clock import Clock
from moica_simulator.errors import SimulatorError
from moica_simulator.randomness import Randomness
from moica_simulator.records import IssuedCertificate, Person
from moica_simulator.state import AuthorityRecords

__all__ = ["CertificateOffice"]

_COMPLETE = "complete"
_HOLD = "certificateHold"
_RULE = CertificateShape()
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
        self,
        person: Person,
        device_id: str,
        request_der: bytes,
        shape: CertificateShape = _RULE,
    ) -> IssuedCertificate:
        """Issues a certificate and enters it in the books.

        Args:
            person: The holder.
            device_id: Where the key is.
            request_der: PKCS#10.
            shape: How it differs from the rule.

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
                shape=shape,
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
        if found.revoked_at is not None and found.reason != _HOLD:
            return found
        since = found.revoked_at or self._clock.now()
        return self._changed(attrs.evolve(found, revoked_at=since, reason=reason))

    def suspend(self, serial: str) -> IssuedCertificate:
        """Suspends a certificate (停用): lists and OCSP name it with `certificateHold`.

        Raises:
            SimulatorError: If there is no such certificate.
        """
        return self.revoke(serial, _HOLD)

    def resume(self, serial: str) -> IssuedCertificate:
        """Ends a suspension (復用); a certificate that is not suspended stays as it is.

        Raises:
            SimulatorError: If there is no such certificate, or it is revoked for good.
        """
        found = self.find(serial)
        if found.revoked_at is None:
            return found
        if found.reason != _HOLD:
            raise SimulatorError(
                "certificate_revoked",
                "expected a suspended certificate; this one is revoked, and stays so: bind the "
                "phone anew",
                status=409,
            )
        return self._changed(attrs.evolve(found, revoked_at=None, reason=None))

    def _changed(self, certificate: IssuedCertificate) -> IssuedCertificate:
        self._records.certificates.put(certificate)
        self._lists.pop(certificate.partition, None)
        self._lists.pop(_COMPLETE, None)
        return certificate

    def can_sign(self, certificate: bytes, now: datetime) -> bool:
        """Says whether a certificate of ours is within its time and not revoked."""
        parsed = x509.load_der_x509_certificate(certificate)
        found = self._records.certificates.get(f"{parsed.serial_number:x}")
        within = parsed.not_valid_before_utc <= now <= parsed.not_valid_after_utc
        return found is not None and found.revoked_at is None and within

    def of_another(self, id_number: str | None) -> bytes | None:
        """Returns the newest certificate of somebody else, DER, or None if there is nobody."""
        others = [each for each in self._records.certificates.all() if each.id_number != id_number]
        return others[-1].der if others else None

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
        """Answers an OCSP request, DER to DER; what is no request is told so in DER, too."""
        try:
            serial = ocsp.load_der_ocsp_request(request_der).serial_number
        except ValueError:
            return revocation.malformed_request()
        issued = self._records.certificates.get(f"{serial:x}")
        return await asyncio.get_running_loop().run_in_executor(
            self._executor,
            lambda: revocation.answer_ocsp(
                self.authority, request_der, issued, now=self._clock.now()
            ),
        )

    async def answer_timestamp(self, request_der: bytes) -> bytes:
        """Answers a timestamp request (RFC 3161), DER to DER, refusals too."""
        number = self._records.next_timestamp_number()
        return await asyncio.get_running_loop().run_in_executor(
            self._executor,
            lambda: timestamp.answer(
                self.authority, request_der, number=number, now=self._clock.now()
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
