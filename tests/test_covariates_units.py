from __future__ import annotations

import pytest

from aqreanalysis.covariates import get_field
from aqreanalysis.covariates.units import conversion, normal
from aqreanalysis.errors import CovariatesError


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("m s**-1", "m s-1"),
        ("m/s", "m s-1"),
        ("kg m**-3", "kg m-3"),
        ("\u00b5g/m3", "ug m-3"),
        ("ug.m-3", "ug m-3"),
        ("\u00b0C", "degc"),
        ("kg kg**-1", "kg kg-1"),
        ("kg m^-2", "kg m-2"),
    ],
)
def test_one_unit_has_one_spelling(written: str, plain: str) -> None:
    assert normal(written) == plain


def test_values_come_to_the_units_of_the_field() -> None:
    kelvin = conversion("degC", get_field("t2m"), "file")
    assert 20 * kelvin.factor + kelvin.offset == pytest.approx(293.15)
    assert conversion("hPa", get_field("sp"), "file").factor == 100
    assert conversion("m", get_field("tp"), "file").factor == 1000
    assert conversion("kg m-3", get_field("co_background"), "file").factor == pytest.approx(1e6)
    assert conversion("kg kg**-1", get_field("o3_background"), "file").mixing_ratio


@pytest.mark.parametrize(("units", "key"), [("", "t2m"), ("m", "sp"), ("ppb", "o3_background"), ("K", "u10")])
def test_a_unit_that_a_field_cannot_have_is_refused_never_guessed(units: str, key: str) -> None:
    with pytest.raises(CovariatesError, match=rf"somewhere: {key}"):
        conversion(units, get_field(key), "somewhere")


def test_an_unknown_field_is_named_with_the_nearest() -> None:
    with pytest.raises(CovariatesError, match=r"unknown field 'u1'.*did you mean"):
        get_field("u1")


@pytest.mark.parametrize(
    ("units", "key", "factor", "offset"),
    [
        ("mm/day", "tp", 1 / 24, 0.0),
        ("kg m-2 s-1", "tp", 3600.0, 0.0),
        ("m of water equivalent", "tp", 1000.0, 0.0),
        ("mm", "tp", 1.0, 0.0),
        ("km/hr", "u10", 1 / 3.6, 0.0),
        ("knots", "u10", 1852 / 3600, 0.0),
        ("m s**-1", "u10", 1.0, 0.0),
        ("hectopascal", "sp", 100.0, 0.0),
        ("mb", "sp", 100.0, 0.0),
        ("Kelvin", "t2m", 1.0, 0.0),
        ("Celsius", "t2m", 1.0, 273.15),
        ("\u00b0C", "t2m", 1.0, 273.15),
        ("ng m-3", "o3_background", 1e-3, 0.0),
        ("1e-9 kg m-3", "o3_background", 1.0, 0.0),
        ("\u00b5g/m3", "o3_background", 1.0, 0.0),
        ("\u03bcg m-3", "o3_background", 1.0, 0.0),
        ("g kg-1", "o3_background", 1e6, 0.0),
    ],
)
def test_valid_cf_units_and_the_spellings_of_files_are_taken(
    units: str, key: str, factor: float, offset: float
) -> None:
    factors = conversion(units, get_field(key), "file")
    assert (factors.factor, factors.offset) == pytest.approx((factor, offset), rel=1e-14)
    assert factors.mixing_ratio == (units == "g kg-1")


@pytest.mark.parametrize(("units", "key", "factor"), [("kg m-3", "o3_background", 1e9), ("hPa", "sp", 100.0)])
def test_factors_that_are_plain_numbers_come_out_to_the_bit(units: str, key: str, factor: float) -> None:
    assert conversion(units, get_field(key), "file").factor == factor
