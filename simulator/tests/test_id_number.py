"""ID numbers with their check digit, by numbers worked out by hand."""

import pytest

from moica_simulator.id_number import IdNumberFault, fault_in


@pytest.mark.parametrize(
    "text",
    [
        "A123456789",  # A is 10: 1 + 0*9, then 8+14+18+20+20+18+14+8 = 120, and 9: 130
        "B123456780",  # B is 11: 1 + 1*9, 120, and 0: 130
        "A223456781",  # 1, then 16+14+18+20+20+18+14+8 = 128, and 1: 130
        "I123456781",  # I is 34, as it was placed late: 3 + 4*9, 120, and 1: 160
        "A800000014",  # a resident's new form: 1, 8*8 + 1, and 4: 70
        "AB12345677",  # a resident's old form, B counts 1: 1, 8 + 84, and 7: 100
    ],
)
def test_a_valid_number_is_taken(text: str) -> None:
    """Citizens, and both forms of foreign residents."""
    assert fault_in(text) is None


@pytest.mark.parametrize("text", ["A123456788", "B123456789", "A800000015", "AB12345678"])
def test_a_wrong_check_digit_is_told(text: str) -> None:
    """The form is right and the sum is not."""
    assert fault_in(text) is IdNumberFault.CHECK_DIGIT


@pytest.mark.parametrize(
    "text",
    [
        *("", "a123456789", "A12345678", "A1234567890", "A323456789", "AE12345678"),
        *("1123456789", "A12345678９", "A123456789\n", " A123456789", "王123456789"),
    ],
)
def test_another_form_is_told(text: str) -> None:
    """Length, letters, and digits that only look like digits."""
    assert fault_in(text) is IdNumberFault.FORM


@pytest.mark.parametrize("text", ["A123456789", "AB12345677", "A800000014"])
def test_every_other_last_digit_is_wrong(text: str) -> None:
    """Of ten last digits one is right."""
    right = [digit for digit in "0123456789" if fault_in(text[:-1] + digit) is None]
    assert right == [text[-1]]
