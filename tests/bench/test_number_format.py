"""How numbers are written for people."""

import pytest

from bench import number_format as fmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.604, "604 ms"),
        (1.0, "1 s"),
        (3.7, "3.7 s"),
        (9.87e-6, "9.87 µs"),
        (123.4, "123 s"),
        (4321.0, "4,321 s"),
        (12345.6, "12,346 s"),
        (2e-10, "0.2 ns"),
    ],
)
def test_durations(value: float, text: str) -> None:
    assert fmt.seconds(value) == text


def test_a_range_of_durations_is_in_one_unit() -> None:
    assert fmt.seconds_range(900e-9, 2.5e-3, 1.2e-6) == "0.9 .. 2,500 µs"


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (100, "100 B"), (2 << 40, "2 TiB"), (13_675_972_366_336, "12.44 TiB"), (3 << 70, "3,072 EiB")],
)
def test_sizes(nbytes: int, text: str) -> None:
    assert fmt.approximate(nbytes) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.604321, "0.604"), (5.36e-6, "5.36e-06"), (246_995.4, "246,995"), (1234.5, "1,234"), (10_000, "10,000")],
)
def test_significant_digits(value: float, text: str) -> None:
    assert fmt.significant(value) == fmt.multiple(value) == text


def test_other_kinds() -> None:
    assert fmt.count(536_870_912) == "536,870,912"
    assert (fmt.percent(0.000977), fmt.percent(1e-7)) == ("0.0977 %", "1.0e-05 %")
    assert (fmt.change(1.015), fmt.change(0.98)) == ("+1.5 %", "-2.0 %")
    assert (fmt.ratio(1.0126), fmt.ratio(0.001), fmt.ratio(54321.0)) == ("1.013", "0.001", "54,321")
    assert (fmt.exponent(1.0019), fmt.exponent(-0.0001), fmt.exponent(-0.5)) == ("1.002", "0.000", "-0.500")
    assert fmt.interval(0.98, 1.02, fmt.ratio) == "0.980 .. 1.020"


def test_no_number_has_forty_digits() -> None:
    for text in (fmt.significant(3e40), fmt.seconds(3e300), fmt.ratio(3e40), fmt.change(3e40), fmt.exponent(3e40)):
        assert len(text) <= 12, text
    assert len(fmt.approximate(3e300)) <= 12
    assert fmt.seconds_range(7.12e-28, 5.9341e40, 1.0) == "7.12e-28 .. 5.93e+40 s"
    assert fmt.significant(123456789012345.0) == "123,456,789,012,345"


def test_percentages_too_small_for_digits_have_a_power() -> None:
    assert (fmt.percent(1e-6), fmt.percent(0.99e-6)) == ("0.0001 %", "9.9e-05 %")
