"""A small PKI by the holder profile, made in memory, good and broken. NOT FOR PRODUCTION."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

__all__ = ["MemoryPki"]

_CRL_URL = "http://crl.test/MOICA-G3-1.crl"


@cache
def _key(name: str) -> rsa.RSAPrivateKey:
    # Making a key takes a tenth of a second; the same name is the same key in one process.
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(**parts: str) -> x509.Name:
    oids = {
        "c": NameOID.COUNTRY_NAME,
        "o": NameOID.ORGANIZATION_NAME,
        "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "cn": NameOID.COMMON_NAME,
        "sn": NameOID.SERIAL_NUMBER,
    }
    return x509.Name([x509.NameAttribute(oids[k], v) for k, v in parts.items()])


def _directory_attributes(last_four: str) -> bytes:
    class Attribute(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
        _fields = [  # noqa: RUF012 - the library's way to declare a sequence
            ("type", core.ObjectIdentifier),
            ("values", core.SetOf, {"spec": core.Any}),
        ]

    def attribute(oid: str, value: core.Asn1Value) -> bytes:
        values = core.SetOf([core.Any(value)], spec=core.Any)
        return bytes(Attribute({"type": oid, "values": values}).dump())

    inner = (
        attribute("2.16.886.1.100.2.1", core.ObjectIdentifier("2.16.886.1.100.3.1.1"))
        + attribute("2.16.886.1.100.2.2", core.PrintableString("mobile"))
        + attribute("2.16.886.1.100.2.51", core.UTF8String(last_four))
    )
    return b"\x30" + bytes([len(inner)]) + inner


class MemoryPki:
    """Root, intermediate, and holders as asked for.

    Args:
        at: The middle of every validity.
        name: Another name is another, unknown hierarchy.
    """

    crl_url = _CRL_URL

    def __init__(self, at: datetime | None = None, name: str = "a") -> None:
        self.at = at or datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)
        self._name = name
        root_name = _name(c="TW", o="行政院", cn=f"Government Root {name}")
        issuer_name = _name(c="TW", o="行政院", ou="內政部憑證管理中心")
        self._root = self._authority(root_name, root_name, "root", "root", None)
        self._issuer = self._authority(issuer_name, root_name, "issuer", "root", 0)

    @property
    def root(self) -> bytes:
        """DER."""
        return self._root.public_bytes(Encoding.DER)

    @property
    def issuer(self) -> bytes:
        """DER of the intermediate."""
        return self._issuer.public_bytes(Encoding.DER)

    @property
    def root_pem(self) -> bytes:
        """For OpenSSL."""
        return self._root.public_bytes(Encoding.PEM)

    def holder(
        self,
        *,
        key: str = "holder",
        last_four: str | None = "6789",
        common_name: str = "王小明",
        policy: str | None = "2.16.886.101.0.3.3",
        signing: bool = True,
        valid: tuple[int, int] = (-30, 335),
        serial: int = 0x1234,
    ) -> bytes:
        """DER of a holder's certificate; ``valid``: days from `at`."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(c="TW", cn=common_name, sn="1061720472004809"))
            .issuer_name(self._issuer.subject)
            .public_key(_key(key).public_key())
            .serial_number(serial)
            .not_valid_before(self.at + timedelta(days=valid[0]))
            .not_valid_after(self.at + timedelta(days=valid[1]))
            .add_extension(_usage(signing=signing), critical=True)
            .add_extension(
                x509.CRLDistributionPoints(
                    [
                        x509.DistributionPoint(
                            [x509.UniformResourceIdentifier(_CRL_URL)], None, None, None
                        )
                    ]
                ),
                critical=False,
            )
        )
        if policy is not None:
            information = x509.PolicyInformation(x509.ObjectIdentifier(policy), None)
            builder = builder.add_extension(x509.CertificatePolicies([information]), critical=False)
        if last_four is not None:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(
                    x509.ObjectIdentifier("2.5.29.9"), _directory_attributes(last_four)
                ),
                critical=False,
            )
        made = builder.sign(_key(f"issuer-{self._name}"), hashes.SHA256())
        return made.public_bytes(Encoding.DER)

    def sign(self, message: bytes, key: str = "holder") -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256."""
        return _key(key).sign(message, padding.PKCS1v15(), hashes.SHA256())

    def crl(
        self,
        *revoked: int,
        number: int = 1,
        url: str = _CRL_URL,
        days: tuple[int, int] = (-1, 7),
        signer: str = "issuer",
    ) -> bytes:
        """DER; ``days`` of thisUpdate and nextUpdate from `at`."""
        point = x509.IssuingDistributionPoint(
            full_name=[x509.UniformResourceIdentifier(url)],
            relative_name=None,
            only_contains_user_certs=False,
            only_contains_ca_certs=False,
            only_some_reasons=None,
            indirect_crl=False,
            only_contains_attribute_certs=False,
        )
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._issuer.subject)
            .last_update(self.at + timedelta(days=days[0]))
            .next_update(self.at + timedelta(days=days[1]))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(point, critical=True)
        )
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial)
            builder = builder.add_revoked_certificate(
                entry.revocation_date(self.at - timedelta(days=1)).build()
            )
        made = builder.sign(_key(f"{signer}-{self._name}"), hashes.SHA256())
        return made.public_bytes(Encoding.DER)

    def _authority(
        self, subject: x509.Name, issuer: x509.Name, key: str, by: str, length: int | None
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(_key(f"{key}-{self._name}").public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.at - timedelta(days=1000))
            .not_valid_after(self.at + timedelta(days=3000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
            .add_extension(_usage(signing=True, authority=True), critical=True)
            .sign(_key(f"{by}-{self._name}"), hashes.SHA256())
        )


def _usage(*, signing: bool, authority: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=False,
        key_encipherment=not signing,
        data_encipherment=not signing,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
