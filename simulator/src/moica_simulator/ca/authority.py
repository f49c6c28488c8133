"""The hierarchy, and how a holder certificate is issued.

Responder and timestamper have certificates of their own.

Root and intermediate are RSA-3072, smaller than the real ones' 4096, so that a first launch stays
short; in fast mode they are RSA-2048. Holder keys are RSA-2048 as the profile wants, and are made
in the phone: the CA sees a certificate request and never a holder's private key.

What is plain here blocks for the time of its RSA work: `ca.office` runs it off the loop.
"""

import asyncio
from concurrent.futures import Executor
from datetime import datetime, timedelta

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from moica_simulator.assumptions import CRL_PARTITIONS
from moica_simulator.ca import profile
from moica_simulator.keys import KeySource
from moica_simulator.randomness import Randomness
from moica_simulator.records import (
    AuthorityMaterial,
    IssuedCertificate,
    Person,
    ServiceMaterial,
)

__all__ = ["Authority", "PkiUrls", "Service", "found_authority"]

_RULE = profile.CertificateShape()


@attrs.frozen
class PkiUrls:
    """The addresses that stand in certificates; all below the simulator's own `/pki`."""

    base: str

    def partition(self, number: int) -> str:
        """One partition of the revocation list."""
        return f"{self.base}/pki/crl/MOICA-SIM-{number}.crl"

    @property
    def complete(self) -> str:
        """The whole revocation list."""
        return f"{self.base}/pki/crl/MOICA-SIM-complete.crl"

    @property
    def root_crl(self) -> str:
        """The root's revocation list, about the intermediate."""
        return f"{self.base}/pki/crl/GRCA-SIM.crl"

    @property
    def chain(self) -> str:
        """The certificates issued to the intermediate, as PKCS#7."""
        return f"{self.base}/pki/certs/IssuedToThisCA.p7b"

    @property
    def root_certificate(self) -> str:
        """The root's certificate, DER."""
        return f"{self.base}/pki/certs/GRCA-SIM.crt"

    @property
    def ocsp(self) -> str:
        """The responder."""
        return f"{self.base}/pki/ocsp"

    @property
    def timestamps(self) -> str:
        """The timestamper."""
        return f"{self.base}/pki/tsa"


@attrs.frozen
class Service:
    """A certificate of the intermediate's for a service of the CA, with its key."""

    key: rsa.RSAPrivateKey = attrs.field(repr=False)
    certificate: x509.Certificate


@attrs.frozen
class Authority:
    """Root and intermediate with their keys, the responder's and the timestamper's. Immutable;
    what it issued is in `AuthorityRecords`."""

    root_key: rsa.RSAPrivateKey = attrs.field(repr=False)
    root: x509.Certificate
    intermediate_key: rsa.RSAPrivateKey = attrs.field(repr=False)
    intermediate: x509.Certificate
    responder: Service
    timestamper: Service

    @classmethod
    def load(cls, material: AuthorityMaterial) -> "Authority":
        """Reads what `export` wrote."""
        return cls(
            _load_key(material.root_key),
            x509.load_der_x509_certificate(material.root_certificate),
            _load_key(material.intermediate_key),
            x509.load_der_x509_certificate(material.intermediate_certificate),
            _load_service(material.responder),
            _load_service(material.timestamper),
        )

    def export(self) -> AuthorityMaterial:
        """Writes keys and certificates for the store."""
        return AuthorityMaterial(
            _dump_key(self.root_key),
            self.root.public_bytes(Encoding.DER),
            _dump_key(self.intermediate_key),
            self.intermediate.public_bytes(Encoding.DER),
            _dump_service(self.responder),
            _dump_service(self.timestamper),
        )

    def issue(
        self,
        person: Person,
        device_id: str,
        request: x509.CertificateSigningRequest,
        *,
        now: datetime,
        randomness: Randomness,
        urls: PkiUrls,
        shape: profile.CertificateShape = _RULE,
    ) -> IssuedCertificate:
        """Issues a holder certificate: for signing and one year, unless its shape says otherwise.

        Args:
            person: Whose name, card number and last four characters go in.
            device_id: For the books.
            request: Carries the phone's public key and proves possession of the private one.
            now: The first moment of validity.
            randomness: Gives the serial number.
            urls: Where revocation and issuer can be asked for.
            shape: How it differs from the rule.

        Raises:
            ValueError: If the request's signature or key is wrong.
        """
        public_key = request.public_key()
        if not request.is_signature_valid:
            raise ValueError("the certificate request is not signed by its own key")
        if not isinstance(public_key, rsa.RSAPublicKey) or public_key.key_size != 2048:
            raise ValueError("a holder's key is RSA-2048")
        serial = int.from_bytes(randomness.token(16)) >> 1 or 1
        partition = serial % CRL_PARTITIONS
        not_before, not_after = shape.validity(now)
        signs = shape.usage is profile.Usage.DIGITAL_SIGNATURE
        builder = (
            x509.CertificateBuilder()
            .subject_name(profile.holder_name(person.name, person.card_number))
            .issuer_name(self.intermediate.subject)
            .public_key(public_key)
            .serial_number(serial)
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(_authority_key_id(self.intermediate_key), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(_key_usage(digital_signature=signs, enciphers=not signs), critical=True)
            .add_extension(
                profile.subject_directory_attributes(
                    person.id_number, shape.last_four, shape.carrier
                ),
                critical=False,
            )
            .add_extension(_crl_points(urls.partition(partition), urls.complete), critical=False)
            .add_extension(_information_access(urls.chain, urls.ocsp), critical=False)
        )
        if shape.policy:
            builder = builder.add_extension(profile.certificate_policies(), critical=False)
        certificate = builder.sign(self.intermediate_key, hashes.SHA256())
        return IssuedCertificate(
            serial=f"{serial:x}",
            id_number=person.id_number,
            device_id=device_id,
            partition=partition,
            der=certificate.public_bytes(Encoding.DER),
        )

    def anchors_pem(self) -> str:
        """Returns root and intermediate as PEM: enough for OpenSSL to complete any chain."""
        pair = (self.root, self.intermediate)
        return "".join(each.public_bytes(Encoding.PEM).decode() for each in pair)

    def chain_p7b(self) -> bytes:
        """Returns intermediate and root as a PKCS#7 bag of certificates, DER."""
        return pkcs7.serialize_certificates([self.intermediate, self.root], Encoding.DER)


async def found_authority(
    keys: KeySource,
    *,
    executor: Executor,
    bits: int,
    now: datetime,
    randomness: Randomness,
    urls: PkiUrls,
) -> Authority:
    """Makes a new hierarchy; its two keys are made side by side, off the event loop."""
    loop = asyncio.get_running_loop()
    root_key, intermediate_key, *service_keys = await asyncio.gather(
        *(loop.run_in_executor(executor, keys.rsa_key, size) for size in (bits, bits, 2048, 2048))
    )
    # A day back, so that a program whose clock is a little slow accepts a fresh simulator.
    since = now.replace(microsecond=0) - timedelta(days=1)
    until = since + timedelta(days=20 * 365)
    root_builder = (
        x509.CertificateBuilder()
        .subject_name(profile.root_name())
        .issuer_name(profile.root_name())
        .public_key(root_key.public_key())
        .serial_number(int.from_bytes(randomness.token(16)) >> 1 or 1)
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False
        )
    )
    intermediate_builder = (
        x509.CertificateBuilder()
        .subject_name(profile.intermediate_name())
        .issuer_name(profile.root_name())
        .public_key(intermediate_key.public_key())
        .serial_number(int.from_bytes(randomness.token(16)) >> 1 or 1)
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(_authority_key_id(root_key), critical=False)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(intermediate_key.public_key()),
            critical=False,
        )
        .add_extension(_key_usage(digital_signature=True, signs_certificates=True), critical=True)
        .add_extension(_crl_points(urls.root_crl), critical=False)
        .add_extension(_information_access(urls.root_certificate), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(profile.certificate_policies(), critical=False)
    )
    responder, timestamper = (
        _service(name, oid, key, intermediate_key, since, randomness, urls)
        for (name, oid), key in zip(_SERVICES, service_keys, strict=True)
    )
    return Authority(
        root_key,
        root_builder.sign(root_key, hashes.SHA256()),
        intermediate_key,
        intermediate_builder.sign(root_key, hashes.SHA256()),
        responder,
        timestamper,
    )


_SERVICES = (
    ("OCSP Responder", ExtendedKeyUsageOID.OCSP_SIGNING),
    ("Time Stamping Authority", ExtendedKeyUsageOID.TIME_STAMPING),
)


def _service(
    name: str,
    oid: x509.ObjectIdentifier,
    key: rsa.RSAPrivateKey,
    issuer_key: rsa.RSAPrivateKey,
    since: datetime,
    randomness: Randomness,
    urls: PkiUrls,
) -> Service:
    """A certificate of one purpose alone. The responder's says that nobody need ask whether it is
    revoked (RFC 6960 4.2.2.2.1): only itself could answer."""
    responder = oid == ExtendedKeyUsageOID.OCSP_SIGNING
    builder = (
        x509.CertificateBuilder()
        .subject_name(profile.service_name(name))
        .issuer_name(profile.intermediate_name())
        .public_key(key.public_key())
        .serial_number(int.from_bytes(randomness.token(16)) >> 1 or 1)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=20 * 365))
        .add_extension(_authority_key_id(issuer_key), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        # A timestamper's must be critical (RFC 3161 2.3); a responder's need not.
        .add_extension(x509.ExtendedKeyUsage([oid]), critical=not responder)
        .add_extension(_crl_points(urls.complete), critical=False)
    )
    if responder:
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    return Service(key, builder.sign(issuer_key, hashes.SHA256()))


def _authority_key_id(key: rsa.RSAPrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_usage(
    *,
    digital_signature: bool = False,
    enciphers: bool = False,
    signs_certificates: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=enciphers,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _crl_points(*urls: str) -> x509.CRLDistributionPoints:
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint([name], None, None, None) for name in names]
    )


def _information_access(issuer: str, ocsp: str | None = None) -> x509.AuthorityInformationAccess:
    access = AuthorityInformationAccessOID
    pairs = [(access.CA_ISSUERS, issuer)] + ([(access.OCSP, ocsp)] if ocsp else [])
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(oid, x509.UniformResourceIdentifier(url)) for oid, url in pairs]
    )


def _dump_service(service: Service) -> ServiceMaterial:
    return ServiceMaterial(_dump_key(service.key), service.certificate.public_bytes(Encoding.DER))


def _load_service(material: ServiceMaterial) -> Service:
    return Service(_load_key(material.key), x509.load_der_x509_certificate(material.certificate))


def _dump_key(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(der: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_der_private_key(der, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the CA's key is no RSA key: the state folder is damaged")
    return key
