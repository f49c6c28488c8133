"""A small PKI by the holder profile, made in memory, good and broken. NOT FOR PRODUCTION."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

__all__ = ["MemoryPki", "issuing_point"]

_CRL_URL = "http://crl.test/MOICA-G3-1.crl"


@cache
def _key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    # Making a key takes a tenth of a second; the same name is the same key in one process.
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _name(**parts: str) -> x509.Name:
    oids = {
        "c": NameOID.COUNTRY_NAME,
        "o": NameOID.ORGANIZATION_NAME,
        "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "cn": NameOID.COMMON_NAME,
        "sn": NameOID.SERIAL_NUMBER,
    }
    return x509.Name([x509.NameAttribute(oids[k], v) for k, v in parts.items()])


def _directory_attributes(last_four: str, holder_type: str) -> bytes:
    class Attribute(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
        _fields = [  # noqa: RUF012 - the library's way to declare a sequence
            ("type", core.ObjectIdentifier),
            ("values", core.SetOf, {"spec": core.Any}),
        ]

    def attribute(oid: str, value: core.Asn1Value) -> bytes:
        values = core.SetOf([core.Any(value)], spec=core.Any)
        return bytes(Attribute({"type": oid, "values": values}).dump())

    inner = (
        attribute("2.16.886.1.100.2.1", core.ObjectIdentifier(holder_type))
        + attribute("2.16.886.1.100.2.2", core.PrintableString("mobile"))
        + attribute("2.16.886.1.100.2.51", core.UTF8String(last_four))
    )
    return b"\x30" + bytes([len(inner)]) + inner


def issuing_point(
    names: Sequence[x509.GeneralName] | None,
    *,
    authorities: bool = False,
    indirect: bool = False,
    attributes: bool = False,
    reasons: frozenset[x509.ReasonFlags] | None = None,
    relative: x509.RelativeDistinguishedName | None = None,
) -> x509.IssuingDistributionPoint:
    """An IssuingDistributionPoint, by default for everything of its ``names``."""
    return x509.IssuingDistributionPoint(
        full_name=names,
        relative_name=relative,
        only_contains_user_certs=False,
        only_contains_ca_certs=authorities,
        only_some_reasons=reasons,
        indirect_crl=indirect,
        only_contains_attribute_certs=attributes,
    )


class MemoryPki:
    """Root, intermediate, and holders as asked for.

    Args:
        at: The middle of every validity.
        name: Another name is another, unknown hierarchy.
        unit: ``OU`` of the root, where it has one.
    """

    crl_url = _CRL_URL

    def __init__(self, at: datetime | None = None, name: str = "a", unit: str = "") -> None:
        self.at = at or datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)
        self._name = name
        above = {"ou": unit} if unit else {}
        root_name = _name(c="TW", o="行政院", **above, cn=f"Government Root {name}")
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
        number: str = "1061720472004809",
        country: str = "TW",
        holder_type: str = "2.16.886.1.100.3.1.1",
        usage_critical: bool = True,
        bits: int = 2048,
        urls: Sequence[str] = (_CRL_URL,),
        also: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """DER of a holder's certificate.

        Args:
            key: The same name is the same key pair.
            last_four: Of the ID number; None leaves the directory attributes out.
            common_name: The holder's name.
            policy: None leaves the policies out.
            signing: False makes the other certificate, for encipherment.
            valid: Days from `at`.
            serial: Of the certificate.
            number: ``serialNumber`` of the subject.
            country: Of the subject.
            holder_type: OID in the directory attributes.
            usage_critical: Whether the key usage is critical.
            bits: Of the key.
            urls: CRL distribution points, one each; none leaves the extension out.
            also: Further extensions, with whether they are critical.
        """
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(c=country, cn=common_name, sn=number))
            .issuer_name(self._issuer.subject)
            .public_key(_key(key, bits).public_key())
            .serial_number(serial)
            .not_valid_before(self.at + timedelta(days=valid[0]))
            .not_valid_after(self.at + timedelta(days=valid[1]))
            .add_extension(_usage(signing=signing), critical=usage_critical)
        )
        if urls:
            points = [
                x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
                for url in urls
            ]
            builder = builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
        for extension, critical in also:
            builder = builder.add_extension(extension, critical=critical)
        if policy is not None:
            information = x509.PolicyInformation(x509.ObjectIdentifier(policy), None)
            builder = builder.add_extension(x509.CertificatePolicies([information]), critical=False)
        if last_four is not None:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(
                    x509.ObjectIdentifier("2.5.29.9"), _directory_attributes(last_four, holder_type)
                ),
                critical=False,
            )
        made = builder.sign(_key(f"issuer-{self._name}"), hashes.SHA256())
        return made.public_bytes(Encoding.DER)

    def sign(self, message: bytes, key: str = "holder", bits: int = 2048) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256."""
        return _key(key, bits).sign(message, padding.PKCS1v15(), hashes.SHA256())

    def crl(
        self,
        *revoked: int,
        number: int | None = 1,
        url: str | None = _CRL_URL,
        days: tuple[int, int] = (-1, 7),
        signer: str = "issuer",
        issuer_name: x509.Name | None = None,
        point: x509.IssuingDistributionPoint | None = None,
        also: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """DER of a CRL of the intermediate.

        Args:
            revoked: Serial numbers.
            number: CRL number; None leaves it out.
            url: In the issuing distribution point; None leaves that out.
            days: Of thisUpdate and nextUpdate from `at`.
            signer: ``issuer``, or another name for another key.
            issuer_name: Instead of the intermediate's.
            point: Instead of one for ``url``.
            also: Further extensions, with whether they are critical.
        """
        if point is None and url is not None:
            point = issuing_point([x509.UniformResourceIdentifier(url)])
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer_name or self._issuer.subject)
            .last_update(self.at + timedelta(days=days[0]))
            .next_update(self.at + timedelta(days=days[1]))
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        if point is not None:
            builder = builder.add_extension(point, critical=True)
        for extension, critical in also:
            builder = builder.add_extension(extension, critical=critical)
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
