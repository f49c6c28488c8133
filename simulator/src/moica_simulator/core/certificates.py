"""The in-process API's part about the CA: anchors, and the standing of certificates."""

from moica_simulator.assumptions import CARD_CARRIER
from moica_simulator.core.rooms import Rooms
from moica_simulator.records import IssuedCertificate

__all__ = ["Certificates"]


class Certificates(Rooms):
    """The CA's books."""

    @property
    def anchors_pem(self) -> str:
        """Root and intermediate as PEM, from which OpenSSL can complete any chain."""
        return self.ca.authority.anchors_pem()

    async def revoke(
        self, serial: str, *, reason: str = "unspecified", forget_device: bool = False
    ) -> IssuedCertificate:
        """Revokes a holder certificate: lists and OCSP say so from now on.

        Args:
            serial: Hexadecimal.
            reason: As RFC 5280 spells it, e.g. `keyCompromise`.
            forget_device: Whether the platform unbinds the phone at once. By default it goes on
                working, as between a revocation and the platform's hearing of it.

        Raises:
            SimulatorError: `certificate_unknown`, `reason_unknown`.
        """
        revoked = self.ca.revoke(serial, reason)
        has_phone = revoked.device_id != CARD_CARRIER
        if forget_device and has_phone and self.handsets.get(revoked.device_id).bound:
            self.enrolment.unbind(revoked.device_id)
        return revoked

    def suspend(self, serial: str) -> IssuedCertificate:
        """Suspends a holder certificate (停用): lists and OCSP name it with `certificateHold`.

        Raises:
            SimulatorError: `certificate_unknown`.
        """
        return self.ca.suspend(serial)

    def reinstate(self, serial: str) -> IssuedCertificate:
        """Ends a suspension (復用).

        Raises:
            SimulatorError: `certificate_unknown`, `certificate_revoked`.
        """
        return self.ca.resume(serial)
