"""What is read from a certificate, and that nothing hostile in one raises anything foreign."""

from __future__ import annotations

import contextlib
from datetime import UTC
from typing import Any

import pytest
from asn1crypto import core
from asn1crypto import x509 as asn1x509
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.errors import GatewayError
from moica_gateway.testing.pki import MemoryPki, directory_attributes
from moica_gateway.trust.profile import ProfileBreach, check_profile, parse_holder_certificate

PKI = MemoryPki()
GOOD = PKI.holder()
TYPE, LAST_FOUR = "2.16.886.1.100.2.1", "2.16.886.1.100.2.51"
CITIZEN = core.ObjectIdentifier("2.16.886.1.100.3.1.1")


def test_a_good_certificate_is_read_whole() -> None:
    """Serial number in hexadecimal, the issuer by its unit, dates aware."""
    info = parse_holder_certificate(GOOD).info
    assert info.subject_name == "王小明"
    assert info.issuer_name == "內政部憑證管理中心"
    assert info.serial_number == "1234"
    assert info.last_four == "6789"
    assert info.not_before.tzinfo is UTC
    assert len(info.fingerprint_sha256) == len(info.public_key_sha256) == 64
    assert "王小明" not in repr(info)


@pytest.mark.parametrize(
    ("serial", "text"), [(1, "01"), (0x0ABC, "0abc"), (0x7F << 120, "7f" + "00" * 15)]
)
def test_a_serial_number_is_lower_case_hexadecimal(serial: int, text: str) -> None:
    """In whole bytes, without leading zero bytes."""
    assert parse_holder_certificate(PKI.holder(serial=serial)).info.serial_number == text


def test_an_encipherment_certificate_is_read_and_breaks_the_profile_by_its_usage_only() -> None:
    """Everything else is as the profile says."""
    der = PKI.holder(common_name="測試人", last_four="2116", signing=False)
    holder = parse_holder_certificate(der)
    assert holder.info.subject_name == "測試人"
    assert holder.info.last_four == "2116"
    assert check_profile(holder) == ProfileBreach(
        "certificate_usage", "its key usage is not (critically) for signatures"
    )


def test_an_authoritys_certificate_is_no_holders() -> None:
    """It breaks the profile."""
    holder = parse_holder_certificate(PKI.issuer)
    assert check_profile(holder) is not None


C, ORG, OU, CN, SERIAL = (
    NameOID.COUNTRY_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.COMMON_NAME,
    NameOID.SERIAL_NUMBER,
)


def name(*parts: tuple[x509.ObjectIdentifier, str]) -> asn1x509.Name:
    """As asn1crypto wants it."""
    made = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    return asn1x509.Name.load(made.public_bytes())


ISSUERS = [
    (name((OU, "內政部憑證管理中心"), (OU, "NOT FOR PRODUCTION")), "內政部憑證管理中心"),
    (name((OU, "first"), (OU, "last")), "last"),
    (name((OU, "NOT FOR PRODUCTION"), (CN, "Root")), "Root"),
    (name((C, "TW"), (ORG, "行政院")), "行政院"),
    (name((C, "TW")), ""),
]


@pytest.mark.parametrize(("issuer", "expected"), ISSUERS)
def test_the_simulators_mark_is_not_the_issuers_name(issuer: asn1x509.Name, expected: str) -> None:
    """The last unit that is not NOT FOR PRODUCTION; else CN, else O."""
    assert parse_holder_certificate(_with(issuer=issuer)).info.issuer_name == expected


def _with(**fields: Any) -> bytes:
    """The good certificate with fields changed (and a signature that no longer fits)."""
    certificate = asn1x509.Certificate.load(GOOD)
    for field, value in fields.items():
        certificate["tbs_certificate"][field] = value
    return bytes(certificate.dump(force=True))


ATTRIBUTES: list[tuple[str, x509.UnrecognizedExtension, str]] = [
    (
        "a doubled attribute",
        directory_attributes(
            (TYPE, [CITIZEN]),
            (LAST_FOUR, [core.UTF8String("6789")]),
            (LAST_FOUR, [core.UTF8String("0000")]),
        ),
        "doubled",
    ),
    (
        "two values",
        directory_attributes((LAST_FOUR, [core.UTF8String("6789"), core.UTF8String("0000")])),
        "several values",
    ),
    ("no value", directory_attributes((LAST_FOUR, [])), "several values"),
    ("a number", directory_attributes((LAST_FOUR, [core.Integer(6789)])), "another type"),
    (
        "another kind of text",
        directory_attributes((LAST_FOUR, [core.BMPString("6789")])),
        "another type",
    ),
    (
        "a type as text",
        directory_attributes((TYPE, [core.UTF8String("2.16.886.1.100.3.1.1")])),
        "another type",
    ),
    (
        "not the structure",
        x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.9"), b"\x04\x01\x00"),
        "cannot be read",
    ),
    ("empty", x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.9"), b""), "cannot be read"),
    (
        "more behind it",
        x509.UnrecognizedExtension(
            x509.ObjectIdentifier("2.5.29.9"), directory_attributes().value + b"\x00"
        ),
        "cannot be read",
    ),
    (
        "not UTF-8",
        x509.UnrecognizedExtension(
            x509.ObjectIdentifier("2.5.29.9"),
            directory_attributes((LAST_FOUR, [core.UTF8String("6789")])).value.replace(
                b"6789", b"\xff\xfe\xfd\xfc"
            ),
        ),
        "cannot be read",
    ),
]


@pytest.mark.parametrize(
    ("attributes", "why"), [a[1:] for a in ATTRIBUTES], ids=[a[0] for a in ATTRIBUTES]
)
def test_odd_directory_attributes_are_malformed(
    attributes: x509.UnrecognizedExtension, why: str
) -> None:
    """The one link to the ID number is read strictly or not at all."""
    with pytest.raises(GatewayError, match=why) as raised:
        parse_holder_certificate(PKI.holder(attributes=attributes))
    assert raised.value.code == "certificate_malformed"
    assert "6789" not in str(raised.value)


def test_unknown_directory_attributes_are_nobodys_business() -> None:
    """Of any type and number of values."""
    attributes = directory_attributes(
        ("1.2.3.4", [core.Integer(1), core.Null()]),
        (TYPE, [CITIZEN]),
        (LAST_FOUR, [core.UTF8String("6789")]),
    )
    holder = parse_holder_certificate(PKI.holder(attributes=attributes))
    assert holder.info.last_four == "6789"
    assert check_profile(holder) is None


def test_one_certificate_has_one_encoding() -> None:
    """A signature with unused bits would be the same certificate with another fingerprint."""
    changed = bytearray(GOOD)
    changed[-257], changed[-1] = 1, changed[-1] & 0xFE
    with pytest.raises(GatewayError, match="unused bits"):
        parse_holder_certificate(bytes(changed))


def test_an_old_version_is_never_a_holders() -> None:
    """Version 2 has no extensions, whatever it brings: malformed, or against the profile."""
    old = GOOD.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020101"))
    try:
        holder = parse_holder_certificate(old)
    except GatewayError as e:
        assert e.code == "certificate_malformed"  # noqa: PT017 - both outcomes are allowed
    else:
        assert check_profile(holder) == ProfileBreach(
            "certificate_profile", "it is not of version 3"
        )


def test_a_doubled_name_is_no_name() -> None:
    """Two CNs: neither is believed."""
    doubled = name((C, "TW"), (CN, "王小明"), (CN, "王大明"), (SERIAL, "1" * 16))
    holder = parse_holder_certificate(_with(subject=doubled))
    assert holder.info.subject_name == ""
    assert check_profile(holder) is not None


def test_doubled_extensions_are_malformed() -> None:
    """The library tells; nothing foreign escapes."""
    extensions = list(asn1x509.Certificate.load(GOOD)["tbs_certificate"]["extensions"])
    with pytest.raises(GatewayError) as raised:
        parse_holder_certificate(_with(extensions=[*extensions, extensions[0]]))
    assert raised.value.code == "certificate_malformed"


@pytest.mark.parametrize("bits", [8193, 20_000])
def test_a_huge_key_is_malformed(bits: int) -> None:
    """Nobody vouches for it yet, and verifying under it would cost."""
    info = asn1x509.Certificate.load(GOOD)["tbs_certificate"]["subject_public_key_info"]
    info["public_key"] = {"modulus": (1 << (bits - 1)) + 1, "public_exponent": 65537}
    with pytest.raises(GatewayError) as raised:
        parse_holder_certificate(_with(subject_public_key_info=info))
    assert raised.value.code == "certificate_malformed"


@pytest.mark.parametrize("size", [0, 16_385, 1_000_000])
def test_sizes_are_bounded(size: int) -> None:
    """16 KiB."""
    with pytest.raises(GatewayError) as raised:
        parse_holder_certificate(b"\x30" * size)
    assert raised.value.code == "certificate_malformed"


def test_deep_nesting_is_malformed() -> None:
    """Bounded by the size, and whatever the parser thinks of it."""
    deep = b"\x30\x80" * 8000
    with pytest.raises(GatewayError) as raised:
        parse_holder_certificate(deep)
    assert raised.value.code == "certificate_malformed"


@given(st.binary(max_size=400))
def test_random_bytes_are_malformed_and_nothing_foreign_escapes(data: bytes) -> None:
    """Whatever arrives as a certificate."""
    with pytest.raises(GatewayError) as raised:
        parse_holder_certificate(data)
    assert raised.value.code == "certificate_malformed"


@given(st.data())
def test_a_mutated_certificate_raises_nothing_foreign(data: st.DataObject) -> None:
    """Bytes changed, cut out or doubled anywhere: malformed, or read and held to the profile."""
    place = data.draw(st.integers(0, len(GOOD) - 1))
    length = data.draw(st.integers(0, 4))
    put = data.draw(st.binary(max_size=6))
    mutated = GOOD[:place] + put + GOOD[place + length :]
    with contextlib.suppress(GatewayError):
        check_profile(parse_holder_certificate(mutated))


@given(st.binary(max_size=200))
def test_random_directory_attributes_raise_nothing_foreign(value: bytes) -> None:
    """The part that asn1crypto reads."""
    attributes = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.9"), value)
    with contextlib.suppress(GatewayError):
        parse_holder_certificate(PKI.holder(attributes=attributes))
