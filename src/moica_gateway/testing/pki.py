"""A small PKI by the holder profile, made in memory, good and broken. NOT FOR PRODUCTION.

Root -> intermediate -> holder, in the form of the real ones (moi-sp-api.md, "Certificates"), with
partitioned CRLs. Everything that can be wrong with a certificate or a CRL is an argument, so that a
test says what is broken and nothing else. Keys are RSA-2048, made once a name and process.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

__all__ = ["MemoryPki", "directory_attributes", "distribution_points", "issuing_point"]

_CRL_URL = "http://crl.test/MOICA-G3-1.crl"
_COMPLETE_URL = "http://crl.test/MOICA-G3-complete.crl"
_ROOT_CRL_URL = "http://crl.test/GRCA.crl"
_BITS = 2048
_HOLDER_TYPE = "2.16.886.1.100.2.1"
_CARRIER = "2.16.886.1.100.2.2"
_LAST_FOUR = "2.16.886.1.100.2.51"


@cache
def _key(name: str, bits: int) -> rsa.RSAPrivateKey:
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


class _Values(core.SetOf):  # type: ignore[misc]  # asn1crypto ships no types
    _child_spec = core.Any


class _Attribute(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
    _fields = [("type", core.ObjectIdentifier), ("values", _Values)]  # noqa: RUF012 - the library's way to declare


class _Attributes(core.SequenceOf):  # type: ignore[misc]  # asn1crypto ships no types
    _child_spec = _Attribute


def directory_attributes(
    *pairs: tuple[str, Sequence[core.Asn1Value]],
) -> x509.UnrecognizedExtension:
    """2.5.29.9 with those types and values, in that order, right or wrong."""
    attributes = _Attributes(
        [{"type": oid, "values": [core.Any(value) for value in values]} for oid, values in pairs]
    )
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES, attributes.dump())


def _holder_attributes(last_four: str | None, holder_type: str | None) -> Any:
    pairs: list[tuple[str, Sequence[core.Asn1Value]]] = []
    if holder_type is not None:
        pairs.append((_HOLDER_TYPE, [core.ObjectIdentifier(holder_type)]))
    pairs.append((_CARRIER, [core.PrintableString("mobile")]))
    if last_four is not None:
        pairs.append((_LAST_FOUR, [core.UTF8String(last_four)]))
    return directory_attributes(*pairs)


def distribution_points(*points: Sequence[str]) -> x509.CRLDistributionPoints:
    """One distribution point for each sequence of addresses."""
    return x509.CRLDistributionPoints(
        [
            x509.DistributionPoint(
                [x509.UniformResourceIdentifier(url) for url in point], None, None, None
            )
            for point in points
        ]
    )


def issuing_point(*urls: str, **flags: Any) -> x509.IssuingDistributionPoint:
    """A CRL's scope; ``flags`` by the names of cryptography."""
    scope: dict[str, Any] = {
        "full_name": [x509.UniformResourceIdentifier(url) for url in urls] or None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**scope, **flags})


class MemoryPki:
    """Root, intermediate, and holders as asked for.

    Args:
        at: The middle of every validity.
        name: Another name is another, unknown hierarchy with the same names in its certificates.
        marked: Whether the authorities bear ``OU=NOT FOR PRODUCTION``, as a simulator's do.
        issuer_signs_crls: Whether the intermediate's key usage permits it.
        root_is_authority: Whether the root's basic constraints say so.
        root_crl_url: The distribution point that the intermediate names.
    """

    crl_url = _CRL_URL
    """The partition that a holder's certificate names first."""
    complete_url = _COMPLETE_URL

    def __init__(
        self,
        at: datetime | None = None,
        name: str = "a",
        *,
        marked: bool = False,
        issuer_signs_crls: bool = True,
        root_is_authority: bool = True,
        root_crl_url: str = _ROOT_CRL_URL,
    ) -> None:
        self.at = at or datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)
        self._key_name = name
        self.root_crl_url = root_crl_url
        unit = {"ou": "NOT FOR PRODUCTION"} if marked else {}
        root_name = _name(c="TW", o="行政院", **unit, cn="Government Root Certification Authority")
        issuer_name = _name(c="TW", o="行政院", ou="內政部憑證管理中心")
        self._root = self._authority(
            root_name, root_name, "root", "root", None, authority=root_is_authority
        )
        self._issuer = self._authority(
            issuer_name, root_name, "issuer", "root", 0, crl_sign=issuer_signs_crls
        )

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

    @property
    def issuer_serial(self) -> int:
        """Of the intermediate, for the root's CRL."""
        return self._issuer.serial_number

    def holder(
        self,
        *,
        key: str = "holder",
        key_bits: int = _BITS,
        last_four: str | None = "6789",
        holder_type: str | None = "2.16.886.1.100.3.1.1",
        attributes: x509.UnrecognizedExtension | None = None,
        common_name: str = "王小明",
        country: str = "TW",
        card_number: str = "1061720472004809",
        policy: str | None = "2.16.886.101.0.3.3",
        signing: bool = True,
        usage_critical: bool = True,
        signs_certificates: bool = False,
        authority: bool = False,
        valid: tuple[float, float] = (-30, 335),
        serial: int = 0x1234,
        points: Sequence[Sequence[str]] = ((_CRL_URL,), (_COMPLETE_URL,)),
        ocsp_url: str | None = None,
        unknown_critical: bool = False,
        by_root: bool = False,
        self_signed: bool = False,
    ) -> bytes:
        """DER of a holder's certificate by the profile, but for what is given.

        Args:
            key: Name of the holder's key; another name is another key.
            key_bits: Its size.
            last_four: In 2.16.886.1.100.2.51; None leaves it out.
            holder_type: In 2.16.886.1.100.2.1; None leaves it out.
            attributes: A whole 2.5.29.9 in place of the one made from the two before.
            common_name: The holder's name.
            country: C.
            card_number: The subject's serialNumber.
            policy: The certificate policy; None leaves it out.
            signing: Key usage digitalSignature; else the encipherment certificate's.
            usage_critical: Whether key usage is critical.
            signs_certificates: Adds keyCertSign to the key usage.
            authority: Adds basic constraints that say so.
            valid: Days from `at`.
            serial: The certificate's serial number.
            points: Addresses of each CRL distribution point; none leaves them out.
            ocsp_url: Where its status can be asked; None leaves it out.
            unknown_critical: Adds a critical extension that nobody knows.
            by_root: Issued by the root itself.
            self_signed: Issued by nobody but its own key.
        """
        issuer = self._root if by_root else self._issuer
        subject = _name(c=country, cn=common_name, sn=card_number)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else issuer.subject)
            .public_key(_key(key, key_bits).public_key())
            .serial_number(serial)
            .not_valid_before(self.at + timedelta(days=valid[0]))
            .not_valid_after(self.at + timedelta(days=valid[1]))
            .add_extension(
                _usage(signing=signing, authority=signs_certificates, crl_sign=False),
                critical=usage_critical,
            )
            .add_extension(attributes or _holder_attributes(last_four, holder_type), critical=False)
        )
        if policy is not None:
            information = x509.PolicyInformation(x509.ObjectIdentifier(policy), None)
            builder = builder.add_extension(x509.CertificatePolicies([information]), critical=False)
        if ocsp_url is not None:
            builder = builder.add_extension(_information_access(ocsp_url), critical=False)
        if points:
            builder = builder.add_extension(distribution_points(*points), critical=False)
        if authority:
            constraints = x509.BasicConstraints(ca=True, path_length=None)
            builder = builder.add_extension(constraints, critical=True)
        if unknown_critical:
            builder = builder.add_extension(_unknown(), critical=True)
        signer = self._key("root" if by_root else "issuer")
        made = builder.sign(_key(key, key_bits) if self_signed else signer, hashes.SHA256())
        return made.public_bytes(Encoding.DER)

    def sign(
        self,
        message: bytes,
        key: str = "holder",
        algorithm: hashes.HashAlgorithm | None = None,
        key_bits: int = _BITS,
    ) -> bytes:
        """RSASSA-PKCS1-v1_5, with SHA-256 where no other algorithm is given."""
        return _key(key, key_bits).sign(message, padding.PKCS1v15(), algorithm or hashes.SHA256())

    def sign_pss(self, message: bytes, key: str = "holder") -> bytes:
        """RSASSA-PSS with SHA-256, which nobody asks for."""
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return _key(key, _BITS).sign(message, pss, hashes.SHA256())

    def crl(
        self,
        *revoked: int,
        number: int | None = 1,
        url: str | None = _CRL_URL,
        scope: x509.IssuingDistributionPoint | None = None,
        days: tuple[float, float] = (-1, 7),
        signer: str = "issuer",
        by_root: bool = False,
        extra: x509.ExtensionType | None = None,
        extra_critical: bool = True,
    ) -> bytes:
        """DER of a CRL of the intermediate, believable but for what is given.

        Args:
            revoked: Serial numbers.
            number: None leaves it out.
            url: The distribution point that it says to be for; None for none at all.
            scope: In place of that.
            days: thisUpdate and nextUpdate, from `at`.
            signer: Name of the key; another one forges.
            by_root: The root's CRL instead.
            extra: One more extension.
            extra_critical: Whether that is critical.
        """
        issuer = self._root if by_root else self._issuer
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(self.at + timedelta(days=days[0]))
            .next_update(self.at + timedelta(days=days[1]))
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        scope = scope or (issuing_point(url) if url is not None else None)
        if scope is not None:
            builder = builder.add_extension(scope, critical=True)
        if extra is not None:
            builder = builder.add_extension(extra, critical=extra_critical)
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial)
            builder = builder.add_revoked_certificate(
                entry.revocation_date(self.at - timedelta(days=1)).build()
            )
        made = builder.sign(self._key("root" if by_root else signer), hashes.SHA256())
        return made.public_bytes(Encoding.DER)

    def root_crl(self, *revoked: int) -> bytes:
        """DER of the root's CRL, about the intermediate."""
        return self.crl(*revoked, url=None, by_root=True)

    def key(self, name: str) -> rsa.RSAPrivateKey:
        """A key of this hierarchy: ``root``, ``issuer``, or any other name for another one."""
        return self._key(name)

    def points(self) -> x509.CRLDistributionPoints:
        """As holders' certificates name them."""
        return distribution_points((_CRL_URL,), (_COMPLETE_URL,))

    def usage(self, *, signing: bool) -> x509.KeyUsage:
        """Of an end entity."""
        return _usage(signing=signing, authority=False, crl_sign=False)

    def _key(self, name: str) -> rsa.RSAPrivateKey:
        return _key(f"{name}-{self._key_name}", _BITS)

    def _authority(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: str,
        by: str,
        length: int | None,
        *,
        crl_sign: bool = True,
        authority: bool = True,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(self._key(key).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.at - timedelta(days=1000))
            .not_valid_after(self.at + timedelta(days=3000))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=length), critical=True)
            .add_extension(_usage(signing=True, authority=True, crl_sign=crl_sign), critical=True)
        )
        if subject != issuer:
            builder = builder.add_extension(
                distribution_points([self.root_crl_url]), critical=False
            )
        return builder.sign(self._key(by), hashes.SHA256())


def _information_access(url: str) -> x509.AuthorityInformationAccess:
    location = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)]
    )


def _unknown() -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


def _usage(*, signing: bool, authority: bool = False, crl_sign: bool = True) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=False,
        key_encipherment=not signing,
        data_encipherment=not signing,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority and crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
