"""The holder profile: what stands in a mobile citizen certificate (moi-sp-api.md, "Certificates").

The shape of subjectDirectoryAttributes was read off a public certificate of MOI's test CA: three
attributes in this order, an OID, a PrintableString and a UTF8String, each alone in its SET.
"""

import enum
from datetime import UTC, datetime, timedelta, timezone

import attrs
from asn1crypto import core
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from moica_simulator.assumptions import FOREIGN_RESIDENT_TYPE

__all__ = [
    "CLASS_3_POLICY",
    "NOT_FOR_PRODUCTION",
    "CertificateShape",
    "Usage",
    "certificate_policies",
    "holder_name",
    "intermediate_name",
    "root_name",
    "service_name",
    "subject_directory_attributes",
    "validity_of_one_year",
]

NOT_FOR_PRODUCTION = "NOT FOR PRODUCTION"
CLASS_3_POLICY = x509.ObjectIdentifier("2.16.886.101.0.3.3")

_HOLDER_TYPE = "2.16.886.1.100.2.1"
_CITIZEN = "2.16.886.1.100.3.1.1"
_CARRIER = "2.16.886.1.100.2.2"
_LAST_FOUR = "2.16.886.1.100.2.51"
_TAIPEI = timezone(timedelta(hours=8))


class Usage(enum.StrEnum):
    """What a holder's key is for."""

    DIGITAL_SIGNATURE = "digital_signature"
    ENCIPHERMENT = "encipherment"


@attrs.frozen
class CertificateShape:
    """How a holder certificate differs from the rule; nothing given is the rule.

    Attributes:
        valid_from: The first moment, instead of now.
        valid_for: How long, instead of one year to the end of the day.
        last_four: The last four characters of an ID number, instead of the holder's own.
        policy: Whether it names the class 3 policy.
        usage: What the key is for.
        carrier: `mobile`, or `card` for the key on a citizen card.
    """

    valid_from: datetime | None = None
    valid_for: timedelta | None = None
    last_four: str | None = None
    policy: bool = True
    usage: Usage = Usage.DIGITAL_SIGNATURE
    carrier: str = "mobile"

    def validity(self, now: datetime) -> tuple[datetime, datetime]:
        """First and last moment."""
        since = (self.valid_from or now).replace(microsecond=0)
        if self.valid_for is None:
            return validity_of_one_year(since)
        return since, since + self.valid_for


def root_name() -> x509.Name:
    """The name of GRCA-G3, marked."""
    return _name(
        (NameOID.COUNTRY_NAME, "TW"),
        (NameOID.ORGANIZATION_NAME, "行政院"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, NOT_FOR_PRODUCTION),
        (NameOID.COMMON_NAME, "Government Root Certification Authority - G3"),
    )


def intermediate_name() -> x509.Name:
    """The name of MOICA-G3, marked."""
    return _name(
        (NameOID.COUNTRY_NAME, "TW"),
        (NameOID.ORGANIZATION_NAME, "行政院"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "內政部憑證管理中心"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, NOT_FOR_PRODUCTION),
    )


def service_name(name: str) -> x509.Name:
    """A service of the CA, marked."""
    return _name(
        (NameOID.COUNTRY_NAME, "TW"),
        (NameOID.ORGANIZATION_NAME, "行政院"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, NOT_FOR_PRODUCTION),
        (NameOID.COMMON_NAME, f"MOICA-SIM {name}"),
    )


def holder_name(name: str, card_number: str) -> x509.Name:
    """The holder's name: `C, CN, serialNumber` as MOICA writes it, and our mark after `C`."""
    return _name(
        (NameOID.COUNTRY_NAME, "TW"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, NOT_FOR_PRODUCTION),
        (NameOID.COMMON_NAME, name),
        (NameOID.SERIAL_NUMBER, card_number),
    )


def certificate_policies() -> x509.CertificatePolicies:
    """Class 3 assurance."""
    return x509.CertificatePolicies([x509.PolicyInformation(CLASS_3_POLICY, None)])


def subject_directory_attributes(
    id_number: str, last_four: str | None = None, carrier: str = "mobile"
) -> x509.UnrecognizedExtension:
    """2.5.29.9: whether a citizen or a foreign resident, as the ID number's form says, and the one
    link from certificate to ID number: its last four characters (or other ones, if given)."""
    holder = _CITIZEN if id_number[1] in "12" else FOREIGN_RESIDENT_TYPE
    shown = last_four or id_number[-4:]
    attributes = _SubjectDirectoryAttributes(
        [
            {"type": _HOLDER_TYPE, "values": [core.Any(core.ObjectIdentifier(holder))]},
            {"type": _CARRIER, "values": [core.Any(core.PrintableString(carrier))]},
            {
                "type": _LAST_FOUR,
                "values": [core.Any(core.UTF8String(shown))],
            },
        ]
    )
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES, attributes.dump())


def validity_of_one_year(now: datetime) -> tuple[datetime, datetime]:
    """From this second to the end of the same day next year, in Taipei."""
    local = now.astimezone(_TAIPEI)
    day = 28 if (local.month, local.day) == (2, 29) else local.day
    last = local.replace(year=local.year + 1, day=day, hour=23, minute=59, second=59, microsecond=0)
    return now.replace(microsecond=0), last.astimezone(UTC)


def _name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


class _Values(core.SetOf):  # type: ignore[misc] # asn1crypto ships no types
    _child_spec = core.Any


class _Attribute(core.Sequence):  # type: ignore[misc] # asn1crypto ships no types
    _fields = [("type", core.ObjectIdentifier), ("values", _Values)]  # noqa: RUF012 - its way


class _SubjectDirectoryAttributes(core.SequenceOf):  # type: ignore[misc] # the same
    _child_spec = _Attribute
